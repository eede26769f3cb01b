"""The explorer: that it finds what is there, and what it says of the protocol."""

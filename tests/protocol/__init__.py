"""The protocol cores on a network that obeys the test."""

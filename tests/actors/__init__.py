"""The actors, and the clients and nodes that a user sees."""

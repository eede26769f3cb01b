"""Moves frames between nodes, and knows no message: over ZeroMQ, or inside one process."""

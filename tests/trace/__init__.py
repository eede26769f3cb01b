"""Traces: as text, as a file, as a picture, and as recorded from a live cluster."""

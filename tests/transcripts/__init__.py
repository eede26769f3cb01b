"""Transcripts: runs of the protocol as texts to read. ``README.md`` says how they are made."""

"""A hot standby for any deterministic Python object."""

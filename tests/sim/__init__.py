"""The simulator: that it repeats itself, that faults happen, that it can say no; and many seeds."""

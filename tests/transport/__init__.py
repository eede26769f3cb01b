"""One contract for every transport, and what is ZeroMQ's alone."""

"""Cases of two public suites, on real sockets."""

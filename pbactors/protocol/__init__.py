"""The protocol, without any input or output: pure state machines (see ``core``)."""

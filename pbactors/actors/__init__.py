"""The driver for real sockets: pykka actors that own the transport they use."""

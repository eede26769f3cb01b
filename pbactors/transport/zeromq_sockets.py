"""ZeroMQ sockets: how they are made and ended, their options, and the reason for each."""

from __future__ import annotations

import threading
from typing import TypeAlias

import zmq

__all__ = [
    "BULK",
    "PUBLISHER",
    "REQUESTS",
    "ROUTER",
    "SUBSCRIBER",
    "WATCHED",
    "Options",
    "Socket",
    "Sockets",
    "endpoint",
    "forget_inproc",
]

Socket: TypeAlias = zmq.Socket[bytes]
Context: TypeAlias = zmq.Context[Socket]
Options: TypeAlias = dict[zmq.SocketOption, int]

# For every socket.
EVERYWHERE: Options = {
    # Unsent messages must never keep a process from ending.
    zmq.LINGER: 0,
    # A peer whose kernel accepts while its process is frozen must not hold a connection half made
    # for the default of 30 s.
    zmq.HANDSHAKE_IVL: 2000,
    # Without heartbeats a frozen peer is never noticed, and TCP keepalive does not help: its
    # kernel answers that. Both ends beat, since the time to live that a beat carries is void after
    # the next other message. libzmq's own thread answers, so a busy interpreter stays connected.
    # Patient, because a connection that is given up takes messages with it, and a new one needs a
    # second if its first packet gets lost: on a busy machine libzmq's thread, too, can wait for
    # half a second for its turn.
    zmq.HEARTBEAT_IVL: 250,
    zmq.HEARTBEAT_TIMEOUT: 1000,
    zmq.HEARTBEAT_TTL: 1000,
    # The default, 100 ms without back-off, is slow for a peer that restarts. The longest pause must
    # stay well below the dead interval: a view server that was away for long and comes back gives
    # its replicas no more than that to be heard again.
    zmq.RECONNECT_IVL: 20,
    zmq.RECONNECT_IVL_MAX: 100,
}

# The high-water marks bound memory and are no flow control: they count messages, and the kernel's
# buffers add to them. The protocol's own windows stay far below.
ROUTER: Options = {
    zmq.SNDHWM: 1000,
    zmq.RCVHWM: 1000,
    # Without it a reply to a caller that is gone or too slow vanishes uncounted.
    zmq.ROUTER_MANDATORY: 1,
}
PUBLISHER: Options = {zmq.SNDHWM: 1000}
SUBSCRIBER: Options = {zmq.RCVHWM: 1000}
# Not IMMEDIATE, although it would drop what is queued for a dead peer: with it, libzmq 4.3.5 fails
# an assertion ("!_more", fq.cpp) and aborts the process when a peer disconnects between two frames
# that we read. We follow the connection ourselves instead, hand nothing over before it stands, and
# close the socket, with its queue, when it is lost.
REQUESTS: Options = {zmq.SNDHWM: 256, zmq.RCVHWM: 1000}
# Of a watched peer nothing is wanted but to know soon whether it is frozen: one interval and one
# timeout after its last word, at the latest. At 1 % packet loss, pauses of 300 ms happen on healthy
# links, and none of 400 ms.
WATCHED: Options = REQUESTS | {
    zmq.HEARTBEAT_IVL: 100,
    zmq.HEARTBEAT_TIMEOUT: 450,
    zmq.HEARTBEAT_TTL: 500,  # in steps of 100 ms
}
BULK: Options = {zmq.SNDHWM: 32, zmq.RCVHWM: 32}
FOLLOWED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


class _InprocContext:
    """The one context of all ``inproc://`` sockets, made for the first user, ended by the last."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._context: Context | None = None

    def enter(self) -> Context:
        with self._lock:
            self._users += 1
            if self._context is None:
                self._context = zmq.Context()
            return self._context

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._context is not None:
                self._context.term()
                self._context = None


_inproc = _InprocContext()


class Sockets:
    """The sockets of one thread, in a context of their own.

    Private, so that nobody else's options, authentication or termination reach them.
    """

    def __init__(self) -> None:
        self._context: Context = zmq.Context()
        self._context.set(zmq.BLOCKY, 0)
        self._inproc: Context | None = None
        self._open: set[Socket] = set()
        self._monitors: dict[Socket, Socket] = {}
        self._inproc_names: list[tuple[Socket, str]] = []

    def bind(self, kind: int, options: Options, address: str, message_bytes_max: int) -> Socket:
        """Return a new socket that listens."""
        made = self._make(kind, options, address, message_bytes_max)
        made.bind(address)
        if address.startswith("inproc://"):
            self._inproc_names.append((made, address))
        return made

    def _make(self, kind: int, options: Options, address: str, message_bytes_max: int) -> Socket:
        context = self._context
        if address.startswith("inproc://"):
            if self._inproc is None:
                self._inproc = _inproc.enter()
            context = self._inproc
        made: Socket = context.socket(kind)
        self._open.add(made)
        for option, value in (EVERYWHERE | options).items():
            made.setsockopt(option, value)
        # Per frame, and enforced before the frame is in memory: the connection is closed.
        made.setsockopt(zmq.MAXMSGSIZE, message_bytes_max)
        if address.startswith("tcp://["):
            made.setsockopt(zmq.IPV6, 1)
        return made

    def connect(self, kind: int, options: Options, address: str, message_bytes_max: int) -> Socket:
        """Return a new socket that connects by itself, now and after every loss."""
        made = self._make(kind, options, address, message_bytes_max)
        if kind == zmq.DEALER and not address.startswith("inproc://"):
            # Before connecting, or a quick handshake would go unnoticed. Over inproc there is none.
            monitor = made.get_monitor_socket(FOLLOWED)
            monitor.setsockopt(zmq.LINGER, 0)
            self._monitors[made] = monitor
        try:
            made.connect(address)
        except zmq.ZMQError:
            self.close(made)
            raise
        return made

    def monitor_of(self, socket: Socket) -> Socket | None:
        """Return what tells when a DEALER connects and is disconnected; None over inproc."""
        return self._monitors.get(socket)

    def close(self, socket: Socket) -> None:
        """Close one, with what it has not sent."""
        self._open.discard(socket)
        monitor = self._monitors.pop(socket, None)
        if monitor is not None:
            socket.disable_monitor()
            monitor.close()
        socket.close()

    def close_all(self) -> None:
        """Close everything; when this returns, all addresses are free."""
        while self._inproc_names:
            made, address = self._inproc_names.pop()
            made.unbind(address)  # closing alone frees the name, but some time later
        for socket in list(self._open):
            self.close(socket)
        self._context.term()
        if self._inproc is not None:
            _inproc.leave()
            self._inproc = None


def endpoint(bound: Socket) -> str:
    """Return the address that a socket is bound to, with its real port."""
    endpoint = bound.get(zmq.LAST_ENDPOINT)
    return bytes(endpoint).rstrip(b"\0").decode()


def forget_inproc() -> None:
    """In a forked child: the context of the parent's ``inproc://`` sockets is not ours to end."""
    _inproc.reset()

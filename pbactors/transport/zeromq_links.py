"""Sockets that are read: what a message must look like, and, for a link to a peer, its connection
and what waits for that.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from dataclasses import dataclass, field

import zmq

from pbactors.transport.interface import Received
from pbactors.transport.zeromq_sockets import Socket

__all__ = ["EVENTS", "NOW", "NOW_AND_MORE", "POLLIN", "POLLOUT", "Link", "Reader"]

# As plain numbers: pyzmq's are flags of an enum, and "and" or "or" of those takes a microsecond.
EVENTS, POLLIN, POLLOUT = int(zmq.EVENTS), int(zmq.POLLIN), int(zmq.POLLOUT)
NOW = int(zmq.NOBLOCK)
NOW_AND_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)

HELD_MAX = 16
"""Messages per channel that wait for a connection to come about."""


@dataclass(eq=False, slots=True)
class Reader:
    """A socket that is read, and what its messages must look like.

    Attributes:
        node: the peer at the other end; empty for the ROUTER.
        frames: how many frames a message has; of three, the first is a route.
        before_body: the frame that stands before the body: the empty delimiter, or a topic.
    """

    socket: Socket
    node: str
    frames: int = 2
    before_body: bytes = b""

    def events(self) -> int:
        """What to poll the socket for."""
        return POLLIN

    def read(self, share: int, received: list[Received], counters: Counter[str]) -> int:
        """Take at most ``share`` messages without waiting; return how many, junk included."""
        recv = self.socket.recv
        for taken in range(share):
            # Frames know whether another one follows, so this takes 2.7 us. recv_multipart asks the
            # socket after each, and takes 4 to 6.
            try:
                frame = recv(NOW, False)
            except zmq.Again:
                return taken
            frames = [frame]
            while frame.more:
                frame = recv(NOW, False)
                frames.append(frame)
            if len(frames) != self.frames:
                counters["malformed_frame_count"] += 1
            elif frames[-2].bytes != self.before_body:
                counters["malformed_delimiter"] += 1
            else:
                route = frames[0].bytes if self.frames == 3 else b""
                received.append(Received(self.node, route, frames[-1].bytes))
            # Mostly there is one message, and asking costs less than the exception. Once there
            # were two, there are probably many, and asking after each would cost more.
            if taken == 0 and not int(self.socket.get(EVENTS)) & POLLIN:
                return 1
        return share


@dataclass(eq=False, slots=True)
class Link(Reader):
    """A DEALER to a peer. What is said before there is a connection waits for it, for a while.

    Attributes:
        bulk: whether it is for large transfers.
        monitor: where its connection is followed; None over ``inproc://``.
        connected: whether there is a connection.
        held: ``(until_s, body)`` of what waits for it.
    """

    bulk: bool = False
    monitor: Socket | None = None
    connected: bool = False
    held: deque[tuple[float, bytes]] = field(default_factory=deque)

    def events(self) -> int:
        """What to poll for: also for room, while something waits and could go."""
        return POLLIN | POLLOUT if self.held and self.connected else POLLIN

    def offer(self, body: bytes) -> bool:
        """Hand ``body`` to libzmq if there is a connection with room for it."""
        if not self.connected:
            return False
        try:
            self.socket.send(b"", NOW_AND_MORE)
            self.socket.send(body, NOW)
        except zmq.Again:
            return False
        return True

    def hold(self, body: bytes, until_s: float) -> bool:
        """Keep ``body`` until it can be offered; False if there are too many already."""
        if len(self.held) >= HELD_MAX:
            return False
        self.held.append((until_s, body))
        return True

    def let_go(self, now_s: float) -> int:
        """Send what waited, as far as it can go; return how many had waited for too long."""
        expired = 0
        while self.held:
            until_s, body = self.held[0]
            if until_s < now_s:
                expired += 1
            elif not self.offer(body):
                break
            self.held.popleft()
        return expired

    def follow(self, monitor: Socket) -> bool:
        """Note whether there is a connection; return False if the one there was is lost."""
        while int(monitor.get(EVENTS)) & POLLIN:
            event, _endpoint_of_peer = monitor.recv_multipart(NOW)
            number, _value = struct.unpack("=hi", event)
            if number == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected = True
            elif self.connected:
                return False
        return True

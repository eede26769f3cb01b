"""What every transport offers: named peers, the way back to whoever asked, one wait for it all.

A transport belongs to **one thread**, the one that called :meth:`Transport.open`. Every method
raises ``RuntimeError`` on another thread, except :meth:`Transport.wake`. The reason: ZeroMQ sockets
are not thread-safe, and misuse aborts the interpreter.

Delivery is what a network gives: a body arrives whole or not at all, may be lost, and is never
repeated or changed. Bodies sent over one channel to one peer arrive in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from threading import get_ident
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["Phase", "Received", "Transport"]


class Received(NamedTuple):
    """One body that arrived.

    Attributes:
        node: the peer that we called or subscribed to, if it came over such a link; else empty.
            It is the name under which we looked for an address, not a proof of who answered.
        route: the way back to whoever called us, for :meth:`Transport.reply`; else empty. Chosen
            by the transport, and void once that connection is gone.
        body: the bytes.
    """

    node: str
    route: bytes
    body: bytes


class Phase(Enum):
    """Where in its life a transport is."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


class Transport(ABC):
    """Sends and receives bodies for one thread. Made on any thread; that opens nothing.

    Args:
        message_bytes_max: the largest body that is sent or read.
    """

    def __init__(self, message_bytes_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._counters: Counter[str] = Counter()
        self._phase = Phase.NEW
        self._owner = 0
        self._lost: list[str] = []

    @property
    def counters(self) -> Mapping[str, int]:
        """How often what was lost or refused here, by reason. Readable from any thread.

        ``dropped_*`` counts bodies that were not sent (``dropped_too_large``,
        ``dropped_unknown_node``, ``dropped_unreachable``, ``dropped_unroutable``,
        ``dropped_reply_full``), and ``malformed_*`` what arrived in the wrong frames. What the
        network loses is not known here.
        """
        return MappingProxyType(self._counters)

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed since. False in a child after ``fork``."""
        return self._phase is Phase.OPEN

    # -- life -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Listen. The calling thread becomes the owner.

        Raises:
            AddressUnavailable: an address cannot be bound; nothing is left open, and ``open`` may
                be tried again.
            RuntimeError: it was opened before.
        """
        if self._phase is not Phase.NEW:
            raise RuntimeError(f"a transport that is {self._phase.value} cannot be opened")
        self._open()
        self._owner = get_ident()
        self._phase = Phase.OPEN

    def close(self) -> None:
        """Drop what is unsent and release every address. Repeating it does nothing.

        Afterwards nothing is sent or received any more: ``send`` and ``reply`` return False,
        ``receive`` an empty list, ``wait`` returns False at once.
        """
        opened = self._phase is Phase.OPEN and self._usable()
        self._end()
        if opened:
            self._close()

    def _end(self) -> None:
        """From here on nobody is its owner."""
        self._phase = Phase.CLOSED
        self._owner = 0

    def _usable(self) -> bool:
        if get_ident() == self._owner:  # asked for each message
            return True
        if self._phase is Phase.CLOSED:
            return False
        if self._phase is Phase.NEW:
            raise RuntimeError("a transport is used before it was opened")
        raise RuntimeError("a transport may be used only by the thread that opened it")

    @abstractmethod
    def _open(self) -> None:
        """Bind, or raise and leave nothing open."""

    @abstractmethod
    def _close(self) -> None:
        """Release everything."""

    @property
    @abstractmethod
    def bound_address(self) -> str | None:
        """Where peers reach this transport, with the real port; None if it does not listen."""

    @property
    @abstractmethod
    def bound_publisher(self) -> str | None:
        """Where subscribers reach it, with the real port; None if it does not publish."""

    # -- sending --------------------------------------------------------------------------------

    def send(self, node: str, body: bytes, *, bulk: bool = False) -> bool:
        """Send ``body`` to a peer by name; connects first if needed. Never blocks.

        Args:
            node: a key of the peers' addresses.
            body: at most ``message_bytes_max`` bytes.
            bulk: use a connection of its own, so that large transfers never stand before pings.

        Returns:
            False if it was certainly dropped, and counted. True promises nothing.
        """
        return self._usable() and self._small_enough(body) and self._send(node, body, bulk)

    def reply(self, route: bytes, body: bytes) -> bool:
        """Send ``body`` back to whoever called. Never blocks.

        Returns:
            False if it was certainly dropped, and counted: the caller is gone, or reads too slowly.
        """
        return self._usable() and self._small_enough(body) and self._reply(route, body)

    def publish(self, topic: bytes, body: bytes) -> None:
        """Send ``body`` to whoever subscribes to ``topic`` now. Never blocks."""
        if self._usable() and self._small_enough(body):
            self._publish(topic, body)

    def forget(self, node: str) -> None:
        """Drop both connections to a peer and what is queued there; the next ``send`` connects.

        So nothing that was meant for a peer's former self arrives after it came back.
        """
        if self._usable():
            self._forget(node)

    def subscribe(self, node: str, address: str, topic: bytes) -> None:
        """Receive what the publisher at ``address`` says on ``topic``, as coming from ``node``.

        Raises:
            ValueError: it is no address.
        """
        if self._usable():
            self._subscribe(node, address, topic)

    def watch(self, node: str) -> None:
        """Keep a connection to a peer from now on, and tell when it is lost.

        A process that is killed closes its connections at once; one that is frozen, or cut off,
        loses them when nothing has come through for a while. A busy one keeps them. What waits for
        a connection that was not watched so far is dropped.
        """
        if self._usable():
            self._watch(node)

    def lost(self) -> list[str]:
        """Return the watched peers whose connection was lost since the last time."""
        lost, self._lost = self._lost, []
        return lost

    def _small_enough(self, body: bytes) -> bool:
        if len(body) <= self._message_bytes_max:
            return True
        self._counters["dropped_too_large"] += 1
        return False

    def _dropped(self, reason: str) -> bool:
        self._counters[f"dropped_{reason}"] += 1
        return False

    @abstractmethod
    def _send(self, node: str, body: bytes, bulk: bool) -> bool: ...

    @abstractmethod
    def _reply(self, route: bytes, body: bytes) -> bool: ...

    @abstractmethod
    def _publish(self, topic: bytes, body: bytes) -> None: ...

    @abstractmethod
    def _forget(self, node: str) -> None: ...

    @abstractmethod
    def _watch(self, node: str) -> None: ...

    @abstractmethod
    def _subscribe(self, node: str, address: str, topic: bytes) -> None: ...

    # -- receiving ------------------------------------------------------------------------------

    def receive(self, most: int) -> list[Received]:
        """Take what has arrived, at most ``most`` bodies, without waiting.

        Whoever has sent something gets an equal share of ``most``, bulk channels last, so that a
        busy peer delays the others but never silences them. What came after the last ``wait`` may
        be left to the next call.
        """
        return self._receive(most) if self._usable() else []

    def wait(self, timeout_ms: float | None) -> bool:
        """Return when something can be received, after a :meth:`wake`, when a watched connection is
        lost, or when time is over.

        A ``wake`` since the last ``wait`` counts. It may also return early for nothing.

        Args:
            timeout_ms: None waits for ever.

        Returns:
            False, at once, if this transport is closed.
        """
        if not self._usable():
            return False
        self._wait(timeout_ms)
        return True

    @abstractmethod
    def wake(self) -> None:
        """End the owner's present or next :meth:`wait`. From any thread or signal handler."""

    @abstractmethod
    def _receive(self, most: int) -> list[Received]: ...

    @abstractmethod
    def _wait(self, timeout_ms: float | None) -> None: ...

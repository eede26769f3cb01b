"""The in-process twin of the ZeroMQ transport, for tests: same contract, no sockets.

Transports that share a :class:`MemoryNetwork` reach each other. Addresses are any strings; one
that ends in ``:0`` becomes one that is free. Delivery is immediate, and nothing waits for a peer
that does not listen: such a message is dropped at once.
"""

from __future__ import annotations

import errno
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pbactors.transport.interface import Received, Transport
from pbactors.transport.unavailable import unavailable

__all__ = ["MemoryNetwork", "MemoryTransport"]

QUEUE_MAX = 1000
"""Bodies that wait to be received, per sender and channel."""


class _Link(NamedTuple):
    """One direction from a caller to a peer; the caller's end of it is where replies go."""

    caller: MemoryTransport
    node: str
    bulk: bool
    route: bytes


class MemoryNetwork:
    """What connects memory transports. Thread-safe.

    Args:
        passes: asked for every body with the target's address (or the caller's node name for a
            reply); False loses the body silently.
    """

    def __init__(self, passes: Callable[[str, bytes], bool] = lambda _target, _body: True) -> None:
        self.passes = passes
        self.lock = threading.RLock()
        self.listeners: dict[str, MemoryTransport] = {}
        self.publishers: dict[str, MemoryTransport] = {}
        self.links: dict[bytes, _Link] = {}
        self.subscriptions: list[tuple[MemoryTransport, str, str, bytes]] = []
        self.watchers: list[MemoryTransport] = []
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """Return a number that was not used before."""
        return next(self._numbers)

    def bind(
        self, where: dict[str, MemoryTransport], address: str, key: str, owner: MemoryTransport
    ) -> str:
        """Give ``address`` to ``owner`` and return its real form."""
        if address.endswith(":0"):
            address = f"{address[:-1]}{self.number()}"
        if address in self.listeners or address in self.publishers:
            raise unavailable(address, key, errno.EADDRINUSE)
        where[address] = owner
        return address


class MemoryTransport(Transport):
    """A transport on a :class:`MemoryNetwork`; the other arguments are those of its twin."""

    def __init__(
        self,
        network: MemoryNetwork,
        bind: str | None,
        bind_publisher: str | None,
        peers: Mapping[str, str],
        message_bytes_max: int,
    ) -> None:
        super().__init__(message_bytes_max)
        self._network = network
        self._bind_to = bind
        self._bind_publisher_to = bind_publisher
        self._peers = peers
        self._bound_address: str | None = None
        self._bound_publisher: str | None = None
        self._links: dict[tuple[str, bool], _Link] = {}
        # By who sent it, requests and replies before bulk.
        self._queues: dict[tuple[bool, bytes], deque[Received]] = {}
        self._changed = threading.Condition(network.lock)
        self._woken = False
        self._watched: set[str] = set()

    @property
    def bound_address(self) -> str | None:
        """See :attr:`Transport.bound_address`."""
        return self._bound_address

    @property
    def bound_publisher(self) -> str | None:
        """See :attr:`Transport.bound_publisher`."""
        return self._bound_publisher

    # -- life -----------------------------------------------------------------------------------

    def _open(self) -> None:
        network = self._network
        with network.lock:
            try:
                if self._bind_to is not None:
                    self._bound_address = network.bind(
                        network.listeners, self._bind_to, "address", self
                    )
                if self._bind_publisher_to is not None:
                    self._bound_publisher = network.bind(
                        network.publishers, self._bind_publisher_to, "heartbeat", self
                    )
            except BaseException:
                self._close()
                raise

    def _close(self) -> None:
        network = self._network
        with network.lock:
            if self in network.watchers:
                network.watchers.remove(self)
            for where in (network.listeners, network.publishers):
                for address in [address for address, owner in where.items() if owner is self]:
                    del where[address]
            for watcher in network.watchers:
                watcher.miss(self._bound_address)
            network.subscriptions = [
                entry for entry in network.subscriptions if entry[0] is not self
            ]
            for link in self._links.values():
                del network.links[link.route]
            self._links.clear()
            self._queues.clear()

    # -- sending --------------------------------------------------------------------------------

    def _send(self, node: str, body: bytes, bulk: bool) -> bool:
        network = self._network
        with network.lock:
            address = self._peers.get(node)
            if address is None:
                return self._dropped("unknown_node")
            peer = network.listeners.get(address)
            if peer is None:
                return self._dropped("unreachable")
            link = self._links.get((node, bulk)) or self._connect(node, bulk)
            if not network.passes(address, body):
                return True
            received = Received("", link.route, body)
            return peer.deliver((bulk, link.route), received) or self._dropped("unreachable")

    def _connect(self, node: str, bulk: bool) -> _Link:
        network = self._network
        link = _Link(self, node, bulk, network.number().to_bytes(5, "big"))
        self._links[node, bulk] = network.links[link.route] = link
        return link

    def _forget(self, node: str) -> None:
        with self._network.lock:
            for bulk in (False, True):
                link = self._links.pop((node, bulk), None)
                if link is not None:
                    del self._network.links[link.route]
                    peer = self._network.listeners.get(self._peers.get(node, ""))
                    if peer is not None:
                        peer.hang_up((bulk, link.route))
                    self.hang_up((bulk, link.route))

    def _reply(self, route: bytes, body: bytes) -> bool:
        network = self._network
        with network.lock:
            link = network.links.get(route)
            if link is None:
                return self._dropped("unroutable")
            if not network.passes(link.node, body):
                return True
            received = Received(link.node, b"", body)
            delivered = link.caller.deliver((link.bulk, route), received)
            return delivered or self._dropped("reply_full")

    def _publish(self, topic: bytes, body: bytes) -> None:
        network = self._network
        with network.lock:
            for subscriber, node, address, wanted in network.subscriptions:
                meant = wanted == topic and address == self._bound_publisher
                if meant and network.passes(address, body):
                    received = Received(node, b"", body)
                    subscriber.deliver((False, address.encode()), received)

    def _watch(self, node: str) -> None:
        with self._network.lock:
            self._watched.add(node)
            if self not in self._network.watchers:
                self._network.watchers.append(self)

    def miss(self, address: str | None) -> None:
        """Note that whoever listened there is gone; the network has the lock."""
        lost = [node for node in self._watched if self._peers.get(node) == address]
        if lost:
            self._lost += lost
            self._changed.notify_all()

    def _subscribe(self, node: str, address: str, topic: bytes) -> None:
        with self._network.lock:
            self._network.subscriptions.append((self, node, address, topic))

    # -- receiving ------------------------------------------------------------------------------

    def deliver(self, sender: tuple[bool, bytes], received: Received) -> bool:
        """Take a body from the network, which holds the lock; False if its queue is full."""
        queue = self._queues.setdefault(sender, deque())
        if len(queue) >= QUEUE_MAX:
            return False
        queue.append(received)
        self._changed.notify_all()
        return True

    def hang_up(self, sender: tuple[bool, bytes]) -> None:
        """Drop what was not received yet from a sender that is gone; the network has the lock."""
        self._queues.pop(sender, None)

    def _receive(self, most: int) -> list[Received]:
        received: list[Received] = []
        with self._network.lock:
            while self._queues and len(received) < most:
                room = most - len(received)
                share = max(1, room // len(self._queues))
                for sender in sorted(self._queues, key=lambda sender: sender[0])[:room]:
                    queue = self._queues[sender]
                    received += [queue.popleft() for _ in range(min(share, len(queue)))]
                    if not queue:
                        del self._queues[sender]
        return received

    def _wait(self, timeout_ms: float | None) -> None:
        until_s = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        with self._changed:
            while not self._queues and not self._woken and not self._lost:
                left_s = None if until_s is None else until_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    break
                self._changed.wait(left_s)
            self._woken = False

    def wake(self) -> None:
        """See :meth:`Transport.wake`."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

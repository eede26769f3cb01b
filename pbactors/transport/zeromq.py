"""The transport over ZeroMQ; ``zeromq_sockets`` has the sockets' options and their reasons.

A node binds one ROUTER, where peers and clients reach it, and one PUB. It reaches each peer through
DEALERs of its own, one for requests and one for bulk: a DEALER with several connections would
spread its messages over them, and a large transfer must not stand before a ping.

A request is ``[b"", body]``, so that a plain REQ socket in any language can talk to a node; a
reply is what such a socket expects. Routing ids are made by libzmq and prove nothing.

``inproc://`` addresses work between transports of one process. They need a shared context, so
those sockets live in one of this module's own, which exists while somebody uses it.
"""

from __future__ import annotations

import errno
import math
import os
import time
import weakref
from collections.abc import Mapping

import zmq

from pbactors.transport.interface import Received, Transport
from pbactors.transport.ipc_claim import IpcClaim
from pbactors.transport.unavailable import unavailable
from pbactors.transport.wakeup import WakeUp
from pbactors.transport.zeromq_links import NOW, NOW_AND_MORE, POLLIN, POLLOUT, Link, Reader
from pbactors.transport.zeromq_sockets import (
    BULK,
    PUBLISHER,
    REQUESTS,
    ROUTER,
    SUBSCRIBER,
    WATCHED,
    Options,
    Socket,
    Sockets,
    endpoint,
    forget_inproc,
)

__all__ = ["ZeroMQTransport"]

LAST_WORDS_MAX = 1000
"""Messages read at once from a link that is about to be closed."""

WAIT_MS_MAX = 60_000
"""The longest single poll; libzmq takes a C int."""


class ZeroMQTransport(Transport):
    """A transport over ``tcp://``, ``ipc://`` and ``inproc://``.

    A message to a peer without a connection waits for ``patience_ms``, so that the first words to
    a new peer need not be said twice, and is dropped after that. (``inproc://`` alone can keep a
    message for a peer that has not yet bound its name.)

    A child that was forked cannot use it, but inherits the descriptors: a port stays taken until
    such a child ends or executes another program.

    Args:
        bind: where to listen for peers and clients; None for a mere client. Port 0 takes a free
            one.
        bind_publisher: where subscribers connect; None to publish nothing.
        peers: address by node name. Read when a link is made, so entries may follow later.
        message_bytes_max: the largest body. A peer that sends a larger one is disconnected.
        patience_ms: how long a message may wait for a connection.
    """

    _wakeup: WakeUp
    _sockets: Sockets

    def __init__(
        self,
        bind: str | None,
        bind_publisher: str | None,
        peers: Mapping[str, str],
        message_bytes_max: int,
        patience_ms: float = 250,
    ) -> None:
        super().__init__(message_bytes_max)
        self._bind_to = bind
        self._bind_publisher_to = bind_publisher
        self._peers = peers
        self._patience_s = patience_ms / 1000
        self._bound_address: str | None = None
        self._bound_publisher: str | None = None
        self._claims: list[IpcClaim] = []
        self._router: Reader | None = None
        self._publisher: Socket | None = None
        self._links: dict[tuple[str, bool], Link] = {}
        self._subscriptions: list[Reader] = []
        self._readers: dict[Socket | int, Reader] = {}
        self._followed: dict[Socket | int, Link] = {}
        # What the last wait saw, until receive takes it; None if nobody has looked since.
        self._ready: list[Reader] | None = None
        self._last_words: list[Received] = []  # from links that are closed
        self._watched: set[str] = set()
        self._entries: list[tuple[Socket | int, int]] = []
        self._woken = False

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
        self._wakeup = WakeUp()
        self._sockets = Sockets()
        try:
            if self._bind_to is not None:
                router = self._bind(zmq.ROUTER, ROUTER, self._bind_to, "address")
                self._router = Reader(router, "", frames=3)
                self._bound_address = endpoint(router)
            if self._bind_publisher_to is not None:
                publisher = self._bind(zmq.PUB, PUBLISHER, self._bind_publisher_to, "heartbeat")
                self._publisher = publisher
                self._bound_publisher = endpoint(publisher)
            self._list_entries()
        except BaseException:
            self._close()
            raise
        _living.add(self)

    def _bind(self, kind: int, options: Options, address: str, key: str) -> Socket:
        try:
            if address.startswith("ipc://") and address[6:7] not in ("@", "*"):
                self._claims.append(IpcClaim(address.removeprefix("ipc://")))
            return self._sockets.bind(kind, options, address, self._message_bytes_max)
        except (OSError, zmq.ZMQError) as cause:
            raise unavailable(address, key, cause.errno or 0) from cause

    def _close(self) -> None:
        _living.discard(self)
        self._sockets.close_all()
        self._wakeup.close()
        while self._claims:
            self._claims.pop().release()
        self._router = self._publisher = None
        self._links.clear()
        self._subscriptions.clear()
        self._readers.clear()
        self._followed.clear()
        self._ready = None
        self._last_words = []

    def _disown(self) -> None:
        """In a forked child: never again touch what belongs to the parent."""
        self._end()
        for claim in self._claims:
            claim.disown()

    def _list_entries(self) -> None:
        """Note what to poll, in the order of reading: requests before bulk."""
        self._ready = None
        links = self._links.values()
        requests = [] if self._router is None else [self._router]
        requests += [link for link in links if not link.bulk]
        others = self._subscriptions + [link for link in links if link.bulk]
        self._readers = {reader.socket: reader for reader in requests + others}
        self._followed = {link.monitor: link for link in links if link.monitor is not None}
        self._entries = [(monitor, POLLIN) for monitor in self._followed]
        self._entries += [(reader.socket, reader.events()) for reader in requests + others]
        self._entries.append((self._wakeup.fileno(), POLLIN))

    # -- sending --------------------------------------------------------------------------------

    def _send(self, node: str, body: bytes, bulk: bool) -> bool:
        link = self._links.get((node, bulk))
        if link is not None and link.held:
            in_time = self._let_go(link)
            if not in_time and self._peers.get(node, "").startswith("inproc://"):
                self._disconnect(link)  # inproc alone never connects again by itself
                link = None
        if link is None:
            link = self._connect(node, bulk)
        if link is None:
            return False
        if not link.held and link.offer(body):
            return True
        if not link.hold(body, time.monotonic() + self._patience_s):
            return self._dropped("unreachable")
        if len(link.held) == 1:
            self._list_entries()
        return True

    def _connect(self, node: str, bulk: bool) -> Link | None:
        address = self._peers.get(node)
        if address is None:
            self._dropped("unknown_node")
            return None
        options = BULK if bulk else WATCHED if node in self._watched else REQUESTS
        try:
            made = self._sockets.connect(zmq.DEALER, options, address, self._message_bytes_max)
        except zmq.ZMQError:  # no address, or out of descriptors
            self._dropped("unreachable")
            return None
        link = Link(made, node, bulk=bulk, monitor=self._sockets.monitor_of(made))
        link.connected = link.monitor is None
        self._links[node, bulk] = link
        self._list_entries()
        return link

    def _let_go(self, link: Link) -> bool:
        """Send what waited for a connection, as far as it can go; return False if some expired."""
        expired = link.let_go(time.monotonic())
        if expired:
            self._counters["dropped_unreachable"] += expired
        if not link.held:
            self._list_entries()
        return not expired

    def _follow(self, link: Link, monitor: Socket) -> bool:
        """Note whether a link has a connection; return False if it lost the one it had."""
        if not link.follow(monitor):
            return False
        self._let_go(link)
        self._list_entries()
        return True

    def _lose(self, link: Link) -> None:
        """Close a link whose peer is gone, but keep what that said before."""
        while link.read(LAST_WORDS_MAX, self._last_words, self._counters) == LAST_WORDS_MAX:
            pass
        self._counters["dropped_unreachable"] += len(link.held)
        self._disconnect(link)
        if link.node in self._watched and not link.bulk:
            self._lost.append(link.node)
            self._connect(link.node, bulk=False)

    def _disconnect(self, link: Link) -> None:
        del self._links[link.node, link.bulk]
        self._sockets.close(link.socket)
        self._list_entries()

    def _forget(self, node: str) -> None:
        for bulk in (False, True):
            link = self._links.get((node, bulk))
            if link is not None:
                self._disconnect(link)
        if node in self._watched:
            self._connect(node, bulk=False)

    def _watch(self, node: str) -> None:
        link = self._links.get((node, False))
        if link is not None and node not in self._watched:
            self._disconnect(link)  # it is too patient with a frozen peer
            link = None
        self._watched.add(node)
        if link is None:
            self._connect(node, bulk=False)

    def _reply(self, route: bytes, body: bytes) -> bool:
        if self._router is None:
            return self._dropped("unroutable")
        try:
            send = self._router.socket.send
            send(route, NOW_AND_MORE)
            send(b"", NOW_AND_MORE)
            send(body, NOW)
        except zmq.Again:
            return self._dropped("reply_full")
        except zmq.ZMQError as failure:
            if failure.errno != errno.EHOSTUNREACH:
                raise
            return self._dropped("unroutable")
        return True

    def _publish(self, topic: bytes, body: bytes) -> None:
        if self._publisher is not None:
            self._publisher.send_multipart((topic, body), NOW)

    def _subscribe(self, node: str, address: str, topic: bytes) -> None:
        try:
            made = self._sockets.connect(zmq.SUB, SUBSCRIBER, address, self._message_bytes_max)
        except zmq.ZMQError as cause:
            raise ValueError(f"{address} cannot be connected: {cause}") from cause
        made.setsockopt(zmq.SUBSCRIBE, topic)
        self._subscriptions.append(Reader(made, node, before_body=topic))
        self._list_entries()

    # -- receiving ------------------------------------------------------------------------------

    def _receive(self, most: int) -> list[Received]:
        ready, self._ready = self._ready, None
        if ready is None:
            ready = self._poll(0)
        received, self._last_words = self._last_words[:most], self._last_words[most:]
        room = most - len(received)
        if len(ready) == 1 and room:  # as it is mostly
            ready[0].read(room, received, self._counters)
            return received
        while ready and room > 0:
            share = max(1, room // len(ready))
            may_have_more = []
            for reader in ready[:room]:
                taken = reader.read(share, received, self._counters)
                room -= taken
                if taken == share:
                    may_have_more.append(reader)
            ready = may_have_more
        return received

    def _poll(self, timeout_ms: int) -> list[Reader]:
        """Return who has something to read, in order; note a wake-up, and what connections do."""
        ready = []
        followed = []
        for who, events in zmq.zmq_poll(self._entries, timeout_ms):
            reader = self._readers.get(who)
            if reader is not None:
                if events & POLLIN:
                    ready.append(reader)
                if events & POLLOUT and isinstance(reader, Link):
                    self._let_go(reader)
            elif who in self._followed:
                followed.append(self._followed[who])
            else:
                self._wakeup.clear()
                self._woken = True
        for link in followed:
            if link.monitor is not None and not self._follow(link, link.monitor):
                self._lose(link)
                if link in ready:
                    ready.remove(link)
        return ready

    def _wait(self, timeout_ms: float | None) -> None:
        # libzmq stops polling when a signal arrives, and pyzmq goes on with a deadline of whole
        # seconds: so the deadline is kept here, and still a wait on the main thread lasts for up to
        # a second too long while signals keep coming. A negative time is over; to libzmq it is
        # endless.
        left_ms = math.inf if timeout_ms is None else timeout_ms
        until_s = time.monotonic() + left_ms / 1000
        if self._last_words or self._lost or self._woken:
            left_ms = 0
        while True:
            self._ready = self._poll(math.ceil(max(0, min(left_ms, WAIT_MS_MAX))))
            if self._ready or self._last_words or self._lost or self._woken:
                break
            left_ms = (until_s - time.monotonic()) * 1000
            if left_ms <= 0:
                break
        self._woken = False

    def wake(self) -> None:
        """See :meth:`Transport.wake`. Before ``open`` there is nothing to wake."""
        if self.is_open:
            self._wakeup.set()


_living: weakref.WeakSet[ZeroMQTransport] = weakref.WeakSet()


def _after_fork() -> None:
    for transport in list(_living):
        transport._disown()
    forget_inproc()


os.register_at_fork(after_in_child=_after_fork)

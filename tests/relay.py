"""A relay between real nodes that loses, delays and cuts whole messages.

Every directed link, from who connects to whom it connects, has a TCP endpoint of its own at the
relay. What arrives there goes on over a connection of its own to the real node, and the replies go
back the same way, so the nodes see a network and the product needs no hook. Both ways of a link
are shaped separately, by a seeded random::

    relay = Relay(seed=1)
    address = relay.endpoint("a", "b")          # what a's topology says of b
    relay.attach("b", "tcp://127.0.0.1:40123")  # where b really listens
    relay.way("a", "b", Leg.REQUESTS).lose = 0.2
    relay.cut("a", "b")                         # nothing from a reaches b any more

One thread owns all sockets. Ports are chosen by the system. ``close`` leaves nothing behind.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Self, TypeAlias, TypeVar

import zmq

__all__ = ["Leg", "Relay", "Way"]

DEADLINE_S = 10.0
READ_MAX = 100
"""Messages that are read from one socket before the others have their turn."""

Socket: TypeAlias = zmq.Socket[bytes]
T = TypeVar("T")


class Leg(Enum):
    """The two ways of a link."""

    REQUESTS = "from who connected to whom it connected to"
    REPLIES = "back to who connected"


@dataclass(eq=False, slots=True)
class Way:
    """How one way of a link treats messages. Change it at any time, from any thread.

    Attributes:
        lose: the share of messages that is lost.
        delay_s: how much later the others arrive, in seconds.
        is_cut: whether all are lost.
        passed: how many went on, delayed ones included.
        lost: how many did not.
    """

    lose: float = 0.0
    delay_s: float = 0.0
    is_cut: bool = False
    passed: int = 0
    lost: int = 0


@dataclass(eq=False, slots=True)
class _Link:
    """One directed link: where it listens, and its connections to the real node by route."""

    caller: str
    called: str
    front: Socket
    requests: Way
    replies: Way
    backs: dict[bytes, Socket] = field(default_factory=dict)


class Relay:
    """All links of one test. Every method is for any thread. Use it in a ``with`` block.

    Args:
        seed: of the losses. Which message meets which number depends on the threads of the nodes,
            so a seed makes a test typical, not exactly repeatable.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._ways: dict[tuple[str, str, Leg], Way] = {}
        self._lock = threading.Lock()  # of the ways and of what is to be done
        self._lose = 0.0
        self._spared: set[str] = set()
        self._isolated: frozenset[str] = frozenset()
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._addresses: dict[str, str] = {}
        self._links: dict[tuple[str, str], _Link] = {}
        self._readers: dict[Socket, Callable[[], bool]] = {}
        self._polled: list[tuple[Socket | int, int]] | None = None
        self._late: list[tuple[float, int, Callable[[], Any]]] = []
        self._counter = itertools.count()
        self._ended = False
        self._wake, self._wakened = socket.socketpair()
        self._context: zmq.Context[Socket] = zmq.Context()
        self._thread = threading.Thread(target=self._run, name="relay")
        self._thread.start()

    # -- the network --------------------------------------------------------------------------

    def endpoint(self, caller: str, called: str) -> str:
        """Return the address under which ``caller`` reaches ``called``."""
        return self._do(lambda: self._open_link(caller, called))

    def endpoints(self, caller: str, called: Iterable[str]) -> Mapping[str, str]:
        """Return where ``caller`` reaches these nodes; a link is made when it is looked up."""
        return _Endpoints(self, caller, frozenset(called))

    def attach(self, node: str, address: str) -> None:
        """Say where a node really listens. What was meant for it until now was lost."""
        self._do(lambda: self._attach(node, address))

    def detach(self, node: str) -> None:
        """A node is gone: drop the connections to it, with what is queued there."""
        self._do(lambda: self._detach(node))

    # -- its shape ----------------------------------------------------------------------------

    def way(self, caller: str, called: str, leg: Leg) -> Way:
        """Return one way of a link, which need not exist yet."""
        key = (caller, called, leg)
        with self._lock:
            way = self._ways.get(key)
            if way is None:
                lose = 0.0 if caller in self._spared else self._lose
                way = self._ways[key] = Way(lose)
            return way

    def ways(self, source: str, target: str) -> tuple[Way, Way]:
        """Return both ways in which a message can go from ``source`` to ``target``."""
        return (
            self.way(source, target, Leg.REQUESTS),
            self.way(target, source, Leg.REPLIES),
        )

    def cut(self, source: str, target: str) -> None:
        """Lose everything from ``source`` to ``target``. One way: cut both for a partition."""
        for way in self.ways(source, target):
            way.is_cut = True

    def mend(self, source: str, target: str) -> None:
        """Let messages from ``source`` to ``target`` through again."""
        for way in self.ways(source, target):
            way.is_cut = False

    def isolate(self, node: str) -> None:
        """Lose everything from and to a node, on links to come too, until ``reconnect``."""
        with self._lock:
            self._isolated = self._isolated | {node}

    def reconnect(self, node: str) -> None:
        """End what ``isolate`` began."""
        with self._lock:
            self._isolated = self._isolated - {node}

    def delay(self, source: str, target: str, delay_s: float) -> None:
        """Delay everything from ``source`` to ``target`` from now on."""
        for way in self.ways(source, target):
            way.delay_s = delay_s

    def lose_everywhere(self, share: float) -> None:
        """Lose this share of the messages on every way, those of links to come included."""
        with self._lock:
            self._lose = share
            for (caller, _, _), way in self._ways.items():
                if caller not in self._spared:
                    way.lose = share

    def spare(self, caller: str) -> None:
        """Let ``lose_everywhere`` pass over what this caller asks and is answered."""
        with self._lock:
            self._spared.add(caller)
            for (name, _, _), way in self._ways.items():
                if name == caller:
                    way.lose = 0.0

    def requests_to(self, called: str) -> int:
        """Return how many messages went on to a node, replies to its own requests aside."""
        with self._lock:
            return sum(
                way.passed
                for (_, target, leg), way in self._ways.items()
                if target == called and leg is Leg.REQUESTS
            )

    def lost(self, source: str, target: str) -> int:
        """Return how many messages from ``source`` to ``target`` were lost on the way."""
        return sum(way.lost for way in self.ways(source, target))

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close every socket and end the thread. Repeating is harmless."""
        if self._thread.is_alive():
            self._do(self._end)
            self._thread.join(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- on the relay's thread ----------------------------------------------------------------

    def _do(self, job: Callable[[], T]) -> T:
        """Have the relay's thread do something, and return what came of it."""
        done: Future[T] = Future()
        self._jobs.append((job, done))
        self._wake.send(b"\0")
        return done.result(DEADLINE_S)

    def _run(self) -> None:
        while not self._ended:
            for ready, _ in zmq.zmq_poll(self._entries(), self._patience_ms()):
                if isinstance(ready, zmq.Socket) and ready in self._readers:
                    self._read_some(self._readers[ready])
            self._do_jobs()
            while self._late and self._late[0][0] <= time.monotonic():
                heapq.heappop(self._late)[2]()
        for each in self._readers:
            each.close()
        self._context.term()
        self._wake.close()
        self._wakened.close()

    def _entries(self) -> list[tuple[Socket | int, int]]:
        if self._polled is None:
            sockets: list[Socket | int] = [self._wakened.fileno(), *self._readers]
            self._polled = [(each, zmq.POLLIN) for each in sockets]
        return self._polled

    def _watch(self, new: Socket, read: Callable[[], bool]) -> None:
        self._readers[new] = read
        self._polled = None

    def _patience_ms(self) -> int:
        if not self._late:
            return -1
        return max(0, math.ceil((self._late[0][0] - time.monotonic()) * 1000))

    def _read_some(self, read: Callable[[], bool]) -> None:
        for _ in range(READ_MAX):
            if not read():
                return

    def _do_jobs(self) -> None:
        if not self._jobs:
            return
        self._wakened.recv(1)
        job, done = self._jobs.popleft()
        try:
            done.set_result(job())
        except BaseException as error:  # noqa: BLE001 - whoever asked for it is told
            done.set_exception(error)

    def _end(self) -> None:
        self._ended = True

    def _make(self, kind: int) -> Socket:
        made = self._context.socket(kind)
        made.linger = 0
        made.set_hwm(0)  # losses are the business of the ways alone
        return made

    def _open_link(self, caller: str, called: str) -> str:
        link = self._links.get((caller, called))
        if link is None:
            front = self._make(zmq.ROUTER)
            front.bind("tcp://127.0.0.1:0")
            requests = self.way(caller, called, Leg.REQUESTS)
            replies = self.way(caller, called, Leg.REPLIES)
            link = self._links[caller, called] = _Link(caller, called, front, requests, replies)
            self._watch(front, partial(self._pass_request, link))
        return link.front.getsockopt_string(zmq.LAST_ENDPOINT)

    def _attach(self, node: str, address: str) -> None:
        self._detach(node)
        self._addresses[node] = address

    def _detach(self, node: str) -> None:
        self._addresses.pop(node, None)
        for link in self._links.values():
            if link.called == node:
                for back in link.backs.values():
                    del self._readers[back]
                    back.close()
                link.backs.clear()
        self._polled = None

    def _pass_request(self, link: _Link) -> bool:
        """Read one request; tell whether there was one."""
        try:
            route, *frames = link.front.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._pass(link, link.requests, partial(self._deliver_request, link, route, frames))
        return True

    def _deliver_request(self, link: _Link, route: bytes, frames: list[bytes]) -> None:
        address = self._addresses.get(link.called)
        if address is None:
            return  # the node is down
        back = link.backs.get(route)
        if back is None:
            back = link.backs[route] = self._make(zmq.DEALER)
            back.connect(address)
            self._watch(back, partial(self._pass_reply, link, route, back))
        back.send_multipart(frames, zmq.NOBLOCK)

    def _pass_reply(self, link: _Link, route: bytes, back: Socket) -> bool:
        """Read one reply; tell whether there was one."""
        try:
            frames = back.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        send = partial(link.front.send_multipart, [route, *frames], zmq.NOBLOCK)
        self._pass(link, link.replies, send)
        return True

    def _pass(self, link: _Link, way: Way, deliver: Callable[[], Any]) -> None:
        """Lose, delay or pass on one message."""
        is_cut = way.is_cut or link.caller in self._isolated or link.called in self._isolated
        if is_cut or (way.lose and self._random.random() < way.lose):
            way.lost += 1
            return
        way.passed += 1
        if way.delay_s:
            due_s = time.monotonic() + way.delay_s
            heapq.heappush(self._late, (due_s, next(self._counter), deliver))
        else:
            deliver()


class _Endpoints(Mapping[str, str]):
    """Addresses by the name of the node called, which need not be up yet."""

    def __init__(self, relay: Relay, caller: str, called: frozenset[str]) -> None:
        self._relay = relay
        self._caller = caller
        self._called = called

    def __getitem__(self, called: str) -> str:
        if called not in self._called:
            raise KeyError(called)
        return self._relay.endpoint(self._caller, called)

    def __iter__(self) -> Iterator[str]:
        return iter(self._called)

    def __len__(self) -> int:
        return len(self._called)

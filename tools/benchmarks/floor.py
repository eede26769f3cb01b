"""The floor: a client, a primary and a backup in bare pyzmq, as small and as fast as that can be.

It has no views, no sessions, no actors and no checks, and it loses data whenever anything goes
wrong. It says what the sockets, msgpack and Python cost by themselves: what pbactors adds is the
distance to it. Client requests and replies are coalesced, one message goes to the backup per batch,
and msgpack is decoded once per hop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any

import msgpack  # type: ignore[import-untyped]
import zmq

from benchmarks import helpers
from benchmarks.loads import Load

__all__ = ["Floor", "FloorAddress"]

IN_FLIGHT_MAX = 4
"""Batches that are with the backup at once."""

pack = msgpack.Packer(autoreset=True).pack
unpack = msgpack.unpackb


def _bound(kind: int) -> tuple[zmq.Socket[bytes], str]:
    socket = zmq.Context.instance().socket(kind)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    return socket, f"tcp://127.0.0.1:{port}"


def _backup(pipe: Connection) -> None:
    state: dict[str, str] = {}
    socket, address = _bound(zmq.ROUTER)
    pipe.send(address)
    while True:
        route, body = socket.recv_multipart()
        rows = unpack(body)
        for _number, _method, key, value in rows:
            state[key] = value
        socket.send_multipart((route, pack(len(rows))))


def _primary(pipe: Connection, backup: str) -> None:
    state: dict[str, str] = {}
    clients, address = _bound(zmq.ROUTER)
    link = zmq.Context.instance().socket(zmq.DEALER)
    link.connect(backup)
    pipe.send(address)
    entries = [(clients, zmq.POLLIN), (link, zmq.POLLIN)]
    gathered: list[tuple[bytes, Any]] = []
    in_flight: deque[list[tuple[bytes, Any]]] = deque()
    while True:
        for socket, _ in zmq.zmq_poll(entries, -1):
            if socket is clients:
                try:
                    while True:
                        route, body = clients.recv_multipart(zmq.NOBLOCK)
                        gathered.append((route, unpack(body)))
                        if not clients.get(zmq.EVENTS) & zmq.POLLIN:
                            break
                except zmq.Again:
                    pass
            else:
                link.recv()
                replies: dict[bytes, list[int]] = {}
                for route, rows in in_flight.popleft():
                    numbers = replies.setdefault(route, [])
                    for number, _method, key, value in rows:
                        state[key] = value
                        numbers.append(number)
                for route, numbers in replies.items():
                    clients.send_multipart((route, pack(numbers)))
        if gathered and len(in_flight) < IN_FLIGHT_MAX:
            link.send(pack([row for _, rows in gathered for row in rows]))
            in_flight.append(gathered)
            gathered = []


@dataclass(frozen=True)
class FloorAddress:
    """Where the floor's primary is. See ``loads.System``."""

    primary: str

    def client(self, load: Load) -> FloorClient:
        """See ``loads.System``."""
        return FloorClient(self.primary, load)


class Floor:
    """Primary and backup, each a process. Use it in a ``with`` block."""

    def __init__(self) -> None:
        self._processes: list[Any] = []

    def __enter__(self) -> FloorAddress:
        backup = self._start(_backup)
        return FloorAddress(self._start(_primary, backup))

    def _start(self, target: Any, *args: str) -> str:
        ours, theirs = helpers.pipe()
        self._processes.append(helpers.start(target, theirs, *args))
        address: str = ours.recv()
        return address

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()


class FloorClient:
    """Puts values under a number of keys."""

    def __init__(self, address: str, load: Load) -> None:
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.connect(address)
        self._value = load.value
        self._names = cycle([f"key{number}" for number in range(load.keys)])
        self._last = 0

    def send(self, count: int) -> None:
        """See ``closed_loop.Client``."""
        value, first = self._value, self._last + 1
        self._last += count
        numbered = zip(range(first, first + count), self._names, strict=False)
        self._socket.send(pack([(n, "put", key, value) for n, key in numbered]))

    def receive(self) -> int:
        """See ``closed_loop.Client``."""
        return len(unpack(self._socket.recv()))

    def close(self) -> None:
        """See ``closed_loop.Client``."""
        self._socket.close(linger=0)

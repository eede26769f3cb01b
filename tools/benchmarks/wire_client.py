"""The fastest client that can be written on ``pbactors.wire``: a socket, sessions, and a loop.

It asks the view server who is primary, opens its sessions, and from then on does what
``docs/protocol.md`` asks of a client in fair weather: numbers without a gap, a floor, results taken
once. It repeats nothing and follows no view, so it is a measure and no client to use.
"""

from __future__ import annotations

import os
from itertools import cycle, islice

import zmq

from benchmarks.loads import Load
from pbactors import Topology, wire
from pbactors.machines.calls import encode_call
from pbactors.protocol.messages import GetView, Reply, Request, ViewReply
from pbactors.protocol.operations import Kind, Operation, Query
from pbactors.protocol.view import INCARNATION_BYTES, Member, View

__all__ = ["WireClient"]

ANSWER_MS = 30_000
CALL = int(Kind.CALL)


class _Session:
    """One session: the last number that was sent, and the last that was answered."""

    __slots__ = ("answered", "last", "name")

    def __init__(self, name: int) -> None:
        self.name = name
        self.last = 0
        self.answered = 0


class WireClient:
    """Puts, and gets, values under a number of keys.

    Args:
        topology: the cluster, which has a primary.
        load: what to do.
    """

    def __init__(self, topology: Topology, load: Load) -> None:
        self._member = Member("", os.urandom(INCARNATION_BYTES))
        self._cluster = b""
        self._names = cycle([f"key{number}" for number in range(load.keys)])
        self._value = load.value
        self._queries = load.queries
        self._due_queries = 0
        self._last_query = 0
        view = self._ask(topology.view_server.address)
        if view.primary is None:
            raise RuntimeError("the cluster has no primary")
        self._view = view.number
        self._socket = _connect(topology.node(view.primary.name).address)
        self._sessions = {one.name: one for one in (self._open() for _ in range(load.sessions))}
        self._turns = cycle(self._sessions.values())

    def _ask(self, address: str) -> View:
        socket = _connect(address)
        socket.send_multipart((b"", wire.encode(b"", self._member, GetView())))
        header, reply = wire.decode(_receive(socket))
        socket.close(linger=0)
        if not isinstance(reply, ViewReply):
            raise RuntimeError(f"the view server says {reply}")
        self._cluster = header.cluster
        return reply.view

    def _open(self) -> _Session:
        token = os.urandom(16)
        self._request([(0, 0, 0, int(Kind.OPEN), token)], [])
        return _Session(self._reply().results[0][0])

    def _request(self, operations: list[Operation], queries: list[Query]) -> None:
        request = Request(self._view, tuple(operations), tuple(queries))
        self._socket.send_multipart((b"", wire.encode(self._cluster, self._member, request)))

    def _reply(self) -> Reply:
        _, reply = wire.decode(_receive(self._socket))
        if not isinstance(reply, Reply):
            raise RuntimeError(f"the primary says {reply}")
        return reply

    def send(self, count: int) -> None:
        """See ``closed_loop.Client``."""
        self._due_queries += count * self._queries
        asked, self._due_queries = divmod(self._due_queries, 100)
        operations: list[Operation] = []
        if len(self._sessions) == 1:
            operations = self._commands(next(self._turns), count - asked)
        else:
            for session in islice(self._turns, count - asked):
                session.last += 1
                body = encode_call("put", (next(self._names), self._value))
                operations.append((session.name, session.last, session.answered + 1, CALL, body))
        self._request(operations, self._gets(asked) if asked else [])

    def _commands(self, session: _Session, count: int) -> list[Operation]:
        name, floor, value = session.name, session.answered + 1, self._value
        first = session.last + 1
        session.last += count
        numbered = zip(range(first, first + count), self._names, strict=False)
        return [(name, n, floor, CALL, encode_call("put", (key, value))) for n, key in numbered]

    def _gets(self, count: int) -> list[Query]:
        session = next(self._turns)
        first = self._last_query + 1
        self._last_query += count
        numbered = zip(range(first, first + count), self._names, strict=False)
        return [(n, session.name, session.last, encode_call("get", (key,))) for n, key in numbered]

    def receive(self) -> int:
        """See ``closed_loop.Client``."""
        reply = self._reply()
        if len(self._sessions) == 1 and reply.results:
            session, number, _ = reply.results[-1]
            self._sessions[session].answered = number
        else:
            for session, number, _ in reply.results:
                self._sessions[session].answered = number
        return len(reply.results) + len(reply.answers)

    def close(self) -> None:
        """See ``closed_loop.Client``. The sessions are left to be dropped."""
        self._socket.close(linger=0)


def _connect(address: str) -> zmq.Socket[bytes]:
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.rcvtimeo = ANSWER_MS
    socket.connect(address)
    return socket


def _receive(socket: zmq.Socket[bytes]) -> bytes:
    return socket.recv_multipart()[-1]

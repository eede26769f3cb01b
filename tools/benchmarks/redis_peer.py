"""Redis with one replica, where it is installed: SET and WAIT, on sockets without a library.

With ``per operation`` each open operation has a connection of its own, as callers have who know
nothing of each other. With ``grouped`` one caller sends all its SETs and a single WAIT.
"""

from __future__ import annotations

import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TypeAlias

from benchmarks.closed_loop import Client
from benchmarks.loads import Load

__all__ = ["Redis", "is_installed", "running"]

Server: TypeAlias = "subprocess.Popen[bytes]"

SERVER = "redis-server"
READY_S = 20.0
WAIT = b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n1000\r\n"
SET_DONE, CONFIRMED = b"+OK\r\n", b":1\r\n"


def is_installed() -> bool:
    """Tell whether there is a Redis to measure."""
    return shutil.which(SERVER) is not None


@dataclass(frozen=True)
class Redis:
    """A running primary. See ``loads.System``."""

    port: int
    grouped: bool

    def client(self, load: Load) -> Client:
        """See ``loads.System``."""
        return (_Grouped if self.grouped else _PerOperation)(self.port, load)


@contextmanager
def running() -> Iterator[int]:
    """Run a primary and its replica; yield the primary's port.

    Raises:
        RuntimeError: the replica does not follow in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        until_s = time.monotonic() + READY_S
        while time.monotonic() < until_s:
            with _pair(folder) as (port, servers):
                if _is_replicated(port, servers, until_s):
                    yield port
                    return
            # Somebody was quicker to take the ports: others, then.
    raise RuntimeError(f"the replica of Redis did not follow within {READY_S:.0f} s")


@contextmanager
def _pair(folder: str) -> Iterator[tuple[int, list[Server]]]:
    port, other = _free_ports(2)
    servers: list[Server] = []
    try:
        servers.append(_start(folder, port))
        servers.append(_start(folder, other, "--replicaof", "127.0.0.1", str(port)))
        yield port, servers
    finally:
        for server in servers:
            server.kill()
        for server in servers:
            server.wait()


def _start(folder: str, port: int, *options: str) -> Server:
    words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
    words += ["--save", "", "--appendonly", "no"]
    fast = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]
    return subprocess.Popen([SERVER, *words, *fast, *options], stdout=subprocess.DEVNULL)


def _free_ports(count: int) -> list[int]:
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def _is_replicated(port: int, servers: list[Server], until_s: float) -> bool:
    """Wait for the first confirmed write; False if a server has ended, or time is over."""
    while time.monotonic() < until_s and all(server.poll() is None for server in servers):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(_set("ready", "yes") + WAIT)
                answers = b""
                while answers.count(b"\n") < 2 and (received := connection.recv(100)):
                    answers += received
                if answers.endswith(CONFIRMED):
                    return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


def _set(key: str, value: str) -> bytes:
    head = f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n${len(value)}\r\n{value}\r\n"
    return head.encode()


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class _PerOperation:
    """A connection for each open operation."""

    def __init__(self, port: int, load: Load) -> None:
        self._idle = [_connect(port) for _ in range(load.outstanding)]
        self._by_descriptor = {one.fileno(): one for one in self._idle}
        self._ready = select.epoll()
        for descriptor in self._by_descriptor:
            self._ready.register(descriptor, select.EPOLLIN)
        self._names = cycle([f"key{number}" for number in range(load.keys)])
        self._value = load.value
        self._answers = {one.fileno(): b"" for one in self._idle}

    def send(self, count: int) -> None:
        for _ in range(count):
            self._idle.pop().sendall(_set(next(self._names), self._value) + WAIT)

    def receive(self) -> int:
        answered = 0
        while not answered:  # an answer may come in two parts
            answered = sum(self._read(descriptor) for descriptor, _ in self._ready.poll())
        return answered

    def _read(self, descriptor: int) -> bool:
        """Read from a connection; return whether its answer is complete."""
        connection = self._by_descriptor[descriptor]
        answer = self._answers[descriptor] + connection.recv(100)
        if len(answer) < len(SET_DONE + CONFIRMED):
            self._answers[descriptor] = answer
            return False
        if answer != SET_DONE + CONFIRMED:
            raise RuntimeError(f"Redis answers {answer!r}")
        self._answers[descriptor] = b""
        self._idle.append(connection)
        return True

    def close(self) -> None:
        self._ready.close()
        for connection in self._by_descriptor.values():
            connection.close()


class _Grouped:
    """All SETs of a turn and one WAIT, on one connection."""

    def __init__(self, port: int, load: Load) -> None:
        self._connection = _connect(port)
        self._names = cycle([f"key{number}" for number in range(load.keys)])
        self._value = load.value
        self._groups: list[int] = []
        self._answer = b""

    def send(self, count: int) -> None:
        sets = [_set(next(self._names), self._value) for _ in range(count)]
        self._connection.sendall(b"".join(sets) + WAIT)
        self._groups.append(count)

    def receive(self) -> int:
        count = self._groups.pop(0)
        expected = SET_DONE * count + CONFIRMED
        while len(self._answer) < len(expected):
            self._answer += self._connection.recv(65536)
        if not self._answer.startswith(expected):
            raise RuntimeError(f"Redis answers {self._answer[:100]!r}")
        self._answer = self._answer[len(expected) :]
        return count

    def close(self) -> None:
        self._connection.close()

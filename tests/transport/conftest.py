"""Makes connected transports of every kind, and closes them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from pbactors.transport.interface import Received, Transport
from pbactors.transport.memory import MemoryNetwork, MemoryTransport
from pbactors.transport.zeromq import ZeroMQTransport

DEADLINE_S = 10.0
MESSAGE_BYTES_MAX = 1024 * 1024

_names = itertools.count()


class Kit:
    """Transports of one kind, which find each other by name."""

    def __init__(self, kind: str, folder: str) -> None:
        self.kind = kind
        self.peers: dict[str, str] = {}
        self.publishers: dict[str, str] = {}
        self.network = MemoryNetwork()
        self._folder = folder
        self._opened: list[Transport] = []

    def free_address(self) -> str:
        number = next(_names)
        return {
            "memory": "memory:0",
            "tcp": "tcp://127.0.0.1:0",
            "ipc": f"ipc://{self._folder}/{number}",
            "inproc": f"inproc://test-{number}",
        }[self.kind]

    def make(self, bind: str | None, bind_publisher: str | None) -> Transport:
        if self.kind == "memory":
            return MemoryTransport(
                self.network, bind, bind_publisher, self.peers, MESSAGE_BYTES_MAX
            )
        return ZeroMQTransport(bind, bind_publisher, self.peers, MESSAGE_BYTES_MAX)

    def open(self, transport: Transport) -> Transport:
        transport.open()
        self._opened.append(transport)
        return transport

    def node(self, name: str, address: str | None = None) -> Transport:
        """Open a transport that listens, and tell the others where."""
        made = self.open(self.make(address or self.free_address(), self.free_address()))
        assert made.bound_address is not None
        assert made.bound_publisher is not None
        self.peers[name] = made.bound_address
        self.publishers[name] = made.bound_publisher
        return made

    def client(self) -> Transport:
        return self.open(self.make(None, None))

    def gather(self, transport: Transport, count: int) -> list[Received]:
        """Receive until ``count`` bodies are there; fail when that takes too long."""
        until_s = time.monotonic() + DEADLINE_S
        found: list[Received] = []
        while len(found) < count:
            assert time.monotonic() < until_s, f"{len(found)} of {count} came: {found[:5]}"
            self.pump(transport)
            found += transport.receive(1000)
        return found

    def silent(self, transport: Transport, for_ms: float = 100) -> bool:
        """Tell whether nothing arrives for that long."""
        until_s = time.monotonic() + for_ms / 1000
        while time.monotonic() < until_s:
            self.pump(transport)
            if transport.receive(1000):
                return False
        return True

    def pump(self, transport: Transport) -> None:
        """Wait a little on one, and let the others, whose owner we are too, do their work."""
        transport.wait(2)
        for other in self._opened:
            other.wait(0)

    def close(self) -> None:
        for transport in self._opened:
            transport.close()


@pytest.fixture(params=["memory", "tcp", "ipc", "inproc"])
def kit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    made = Kit(request.param, str(tmp_path_factory.mktemp("i")))
    yield made
    made.close()


@pytest.fixture(params=["tcp", "ipc", "inproc"])
def socket_kit(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kit]:
    made = Kit(request.param, str(tmp_path_factory.mktemp("s")))
    yield made
    made.close()


@pytest.fixture
def tcp_kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    made = Kit("tcp", str(tmp_path_factory.mktemp("t")))
    yield made
    made.close()


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``; fail when that takes too long."""
    until_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.002)

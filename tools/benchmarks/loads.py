"""Client processes that load a system, all at the same time, and what they saw together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple, Protocol

from benchmarks import helpers
from benchmarks.closed_loop import Client, Measured, drive

__all__ = ["Load", "Seen", "System", "measure"]

READY_S = 60.0
"""How long a client may take to connect and to warm up."""


@dataclass(frozen=True)
class Load:
    """What the clients do.

    Attributes:
        outstanding: operations that each process has open.
        processes: how many there are.
        value_bytes: the size of a value.
        keys: how many keys take turns.
        queries: of 100 operations so many read.
        sessions: how many sessions of the cluster each process has, where there are sessions.
    """

    outstanding: int
    processes: int = 1
    value_bytes: int = 16
    keys: int = 1000
    queries: int = 0
    sessions: int = 1

    @property
    def value(self) -> str:
        """What is put."""
        return "v" * self.value_bytes


class System(Protocol):
    """What is measured, once it runs. It travels to the client processes."""

    def client(self, load: Load) -> Client:
        """Connect a client; in its own process."""


class Seen(NamedTuple):
    """What all client processes saw together.

    Attributes:
        rate_per_s: operations answered per second.
        waits: ``(nanoseconds, operations)``, of all of them.
    """

    rate_per_s: float
    waits: list[tuple[int, int]]

    def wait_us(self, share: float) -> float:
        """Return how long an operation took, at most, for this share of them, in microseconds."""
        left = share * sum(count for _, count in self.waits)
        for wait_ns, count in sorted(self.waits):
            left -= count
            if left <= 0:
                return wait_ns / 1000
        return 0.0


def measure(system: System, load: Load, warm_s: float, seconds: float) -> Seen:
    """Let the clients warm up, then work at the same time.

    Raises:
        RuntimeError: a client failed; the text says how.
    """
    pipes = [_start(system, load, warm_s, seconds) for _ in range(load.processes)]
    for pipe in pipes:
        _take(pipe)
    for pipe in pipes:
        pipe.send(None)
    found: list[Measured] = [_take(pipe) for pipe in pipes]
    for pipe in pipes:
        pipe.send(None)
    rate_per_s = sum(one.operations / one.seconds for one in found)
    return Seen(rate_per_s, [wait for one in found for wait in one.waits])


def _start(system: System, load: Load, warm_s: float, seconds: float) -> Connection:
    ours, theirs = helpers.pipe()
    helpers.start(_work, theirs, system.client, load, warm_s, seconds)
    theirs.close()
    return ours


def _take(pipe: Connection) -> Measured:
    if not pipe.poll(READY_S):
        raise RuntimeError(f"a client was not done after {READY_S:.0f} s")
    try:
        found: Measured | str = pipe.recv()
    except EOFError:
        raise RuntimeError("a client process ended by itself") from None
    if isinstance(found, str):
        raise RuntimeError(found)
    return found


def _work(
    pipe: Connection,
    connect: Callable[[Load], Client],
    load: Load,
    warm_s: float,
    seconds: float,
) -> None:
    """The life of a client process."""
    try:
        client = connect(load)
        pipe.send(drive(client, load.outstanding, warm_s, at_least=load.keys))
        pipe.recv()
        pipe.send(drive(client, load.outstanding, seconds))
        pipe.recv()
        client.close()
    except (EOFError, OSError):
        return
    except Exception as error:  # noqa: BLE001
        pipe.send(f"a client failed: {type(error).__name__}: {error}")

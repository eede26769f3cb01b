"""PySyncObj at its best, where it is installed: three nodes, batches, a tick of a millisecond.

Its clients are nodes themselves. The measured process is the leader, which is the fastest place to
be: its two partners wait longer before they would stand for election.
"""

from __future__ import annotations

import importlib.util
import queue
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from benchmarks import helpers
from benchmarks.loads import Load

__all__ = ["PySyncObj", "is_installed", "running"]

READY_S = 30.0
TICK_S = 0.001
PERIOD_S = 0.003
PATIENCE_S = 20.0
"""How long a partner waits before it would lead; the leader stands at once."""


def is_installed() -> bool:
    """Tell whether there is a PySyncObj to measure."""
    return importlib.util.find_spec("pysyncobj") is not None


def _node(me: str, others: list[str], patience_s: float) -> Any:
    from pysyncobj import SyncObj, SyncObjConf, replicated  # type: ignore[import-not-found]

    class Store(SyncObj):  # type: ignore[misc]
        def __init__(self) -> None:
            conf = SyncObjConf(
                appendEntriesUseBatch=True,
                autoTickPeriod=TICK_S,
                appendEntriesPeriod=PERIOD_S,
                raftMinTimeout=patience_s,
                raftMaxTimeout=2 * patience_s,
                connectionTimeout=2 * patience_s,
                commandsQueueSize=100_000,
            )
            super().__init__(me, others, conf)
            self.data: dict[str, str] = {}

        @replicated  # type: ignore[misc]
        def put(self, key: str, value: str) -> None:
            self.data[key] = value

    return Store()


def _partner(me: str, others: list[str]) -> None:
    node = _node(me, others, PATIENCE_S)
    while node is not None:
        time.sleep(1)


@dataclass(frozen=True)
class PySyncObj:
    """The addresses of three nodes, of which the first is the client's. See ``loads.System``."""

    addresses: tuple[str, str, str]

    def client(self, load: Load) -> _Leader:
        """See ``loads.System``."""
        me, *others = self.addresses
        return _Leader(_node(me, others, 0.5), load)


@contextmanager
def running() -> Iterator[PySyncObj]:
    """Run the two partners of the node that the client process will be."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    first, second, third = (f"127.0.0.1:{holder.getsockname()[1]}" for holder in holders)
    for holder in holders:
        holder.close()
    partners = [
        helpers.start(_partner, me, others)
        for me, others in ((second, [first, third]), (third, [first, second]))
    ]
    try:
        yield PySyncObj((first, second, third))
    finally:
        for partner in partners:
            partner.kill()
            partner.join()


class _Leader:
    """The leader, and the only one who puts."""

    def __init__(self, node: Any, load: Load) -> None:
        self._node = node
        self._names = cycle([f"key{number}" for number in range(load.keys)])
        self._value = load.value
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        until_s = time.monotonic() + READY_S
        while not (node.isReady() and node._isLeader()):
            if time.monotonic() > until_s:
                raise RuntimeError(f"the node did not lead within {READY_S:.0f} s")
            time.sleep(0.05)

    def send(self, count: int) -> None:
        for _ in range(count):
            self._node.put(next(self._names), self._value, callback=self._on_done)

    def _on_done(self, _result: object, error: int) -> None:
        self._done.put(error)

    def receive(self) -> int:
        errors = [self._done.get()]
        while not self._done.empty():
            errors.append(self._done.get())
        if any(errors):
            raise RuntimeError(f"PySyncObj fails with code {max(errors)}")
        return len(errors)

    def close(self) -> None:
        self._node.destroy()

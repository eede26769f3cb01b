"""A client that calls as fast as it is answered, in a process of its own, and notes when it was.

The monotonic clock is the same in all processes of a machine, so these moments can be held against
the one in which a node was killed.
"""

from __future__ import annotations

import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, Self

import pykka

import pbactors
from benchmarks import helpers
from pbactors.machines.kv import KeyValueStore

__all__ = ["Answers", "Caller"]

CALL_TIMEOUT_S = 20.0
ANSWER_S = 30.0
VALUE = "v" * 16


class Answers(NamedTuple):
    """What became of the calls since the last time.

    Attributes:
        answered_ns: when they were answered, by the monotonic clock, in order.
        failed: how many ended with an error.
    """

    answered_ns: list[int]
    failed: int


class Caller:
    """The client process. Use it in a ``with`` block.

    Args:
        topology: the file of the cluster.
        outstanding: how many calls are open all the time.
    """

    def __init__(self, topology: Path, outstanding: int = 1) -> None:
        self._pipe, theirs = helpers.pipe()
        self._process = helpers.start(_call, topology, outstanding, theirs)
        theirs.close()

    def take(self) -> Answers:
        """Return what was answered since the last time, once the open call has ended.

        Raises:
            RuntimeError: the process does not answer.
        """
        self._pipe.send(None)
        if not self._pipe.poll(ANSWER_S):
            raise RuntimeError(f"the client was not served for {ANSWER_S:.0f} s")
        answers: Answers = self._pipe.recv()
        return answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _call(topology: Path, outstanding: int, pipe: Connection) -> None:
    """Call until the first process is gone."""
    answered_ns: list[int] = []
    failed = 0
    open_calls: deque[pykka.Future[None]] = deque()
    with pbactors.connect(topology) as client:
        while True:
            while len(open_calls) < outstanding:
                open_calls.append(
                    client.submit(KeyValueStore.put, "key", VALUE, timeout_s=CALL_TIMEOUT_S)
                )
            try:
                open_calls.popleft().get()
                answered_ns.append(time.monotonic_ns())
            except pbactors.CallError:
                failed += 1
            if pipe.poll():
                try:
                    pipe.recv()
                except EOFError:
                    return
                pipe.send(Answers(answered_ns, failed))
                answered_ns, failed = [], 0

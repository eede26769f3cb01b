"""A client process: calls the cluster from a few threads until its standard input ends.

``python -m tests.storm.client TOPOLOGY NUMBER SEED START_NS HISTORY``
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import pykka

import pbactors
from tests.storm.history import HistoryWriter, StormLoad, round_of

__all__ = ["FINISH_S"]

WORKERS: Final = 3
BURST_MAX: Final = 6
"""Calls that a worker sends without waiting for an answer."""

CALLS_PER_SECOND: Final = 30
"""Of each worker, at most."""

IMPATIENT: Final = 0.1
"""Which part of the bursts gives up after a short time, not knowing what came of them."""

PATIENCE_S: Final = 0.5
"""How often a waiting worker looks whether the storm is over."""

FINISH_S: Final = 60.0
"""How long the last answers may take."""


class Worker(threading.Thread):
    """One thread that calls, waits, and writes down what it was told.

    Args:
        cluster: shared by all workers of the process, so that they are one session.
        writer: takes the history.
        number: tells it from all other workers of the storm.
        seed: of its choices.
        start_ns: when the storm began.
        stop: set when it shall come to an end.

    Attributes:
        wrong: what should not happen to a client, in words.
    """

    def __init__(
        self,
        cluster: pbactors.Cluster,
        writer: HistoryWriter,
        number: int,
        seed: int,
        start_ns: int,
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"worker {number}")
        self.wrong: list[str] = []
        self._cluster = cluster
        self._writer = writer
        self._number = number
        self._random = Random(f"{seed} {number}")
        self._start_ns = start_ns
        self._stop_event = stop
        self._load = StormLoad(rounds=0)
        self._turn = 0

    def run(self) -> None:
        """Call until told to stop."""
        random = self._random
        while not self._stop_event.is_set():
            calls = 1 if random.random() < 0.7 else random.randint(2, BURST_MAX)
            timeout_s = random.uniform(0.3, 2.0) if random.random() < IMPATIENT else None
            begun = [self._begin(timeout_s) for _ in range(calls)]
            for number, future in begun:
                self._finish(number, future)
            self._stop_event.wait(calls / CALLS_PER_SECOND * random.uniform(0.5, 1.5))

    def _begin(self, timeout_s: float | None) -> tuple[int, pykka.Future[Any]]:
        invocation = self._load.invoke_in(
            round_of(self._start_ns), self._random, self._number, self._turn
        )
        self._turn += 1
        method = getattr(self._load.machine, invocation.method)
        number = self._writer.began(f"worker {self._number}", invocation)
        return number, self._cluster.submit(method, *invocation.arguments, timeout_s=timeout_s)

    def _finish(self, number: int, future: pykka.Future[Any]) -> None:
        try:
            self._writer.ended(number, self._answer(future))
        except pykka.Timeout:
            self.wrong.append(f"call {number} got no answer within {FINISH_S:.0f} s of calm")
        except pbactors.NotSent:
            self._writer.never_sent(number)
        except pbactors.PbactorsError as error:
            # Giving up is what was asked for: the call stays without an answer.
            if type(error) is not pbactors.OutcomeUnknown:
                self.wrong.append(f"call {number}: {type(error).__name__}: {error}")

    def _answer(self, future: pykka.Future[Any]) -> Any:
        """Wait as long as the storm lasts, during which nobody promised an answer; then a while."""
        while not self._stop_event.is_set():
            with suppress(pykka.Timeout):
                return future.get(timeout=PATIENCE_S)
        return future.get(timeout=FINISH_S)


def main(topology: str, number: str, seed: str, start_ns: str, history: str) -> int:
    """Call until standard input ends. Return 1 if something happened that should not."""
    stop = threading.Event()

    def wait_for_the_end() -> None:
        while os.read(0, 1024):
            pass
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    writer = HistoryWriter(Path(history))
    first = WORKERS * int(number)
    with pbactors.connect(topology) as cluster:
        workers = [
            Worker(cluster, writer, first + place, int(seed), int(start_ns), stop)
            for place in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    wrong = [text for worker in workers for text in worker.wrong]
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

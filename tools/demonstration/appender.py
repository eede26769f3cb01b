"""A client process: appends as fast as it can until its standard input ends.

``python -m demonstration.appender TOPOLOGY TEXT CLIENT EVIDENCE``
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from pathlib import Path

import pykka

import pbactors
from demonstration.evidence import Evidence
from demonstration.script import Script
from pbactors.machines.kv import KeyValueStore

__all__ = ["Appender"]

OUTSTANDING_MAX = 64
"""Appends that are sent and not acknowledged."""

FINISH_S = 30.0
"""How long the last acknowledgements may take."""


class Appender:
    """Appends the lines of a script through one pipelined session, and notes what it is told.

    Args:
        cluster: through which.
        script: what to write.
        client: as whom, from 1.
    """

    def __init__(self, cluster: pbactors.Cluster, script: Script, client: int) -> None:
        self.evidence = Evidence(client, ends=[], gap_s=0.0, errors=[])
        self._cluster = cluster
        self._script = script
        self._open: deque[tuple[int, str, pykka.Future[str]]] = deque()
        self._told_s: float | None = None  # when the last acknowledgement came

    def run(self, stop: threading.Event) -> None:
        """Append until ``stop`` is set, then wait for the last acknowledgements."""
        number = 0
        while not stop.is_set():
            if len(self._open) == OUTSTANDING_MAX and not self._take(time.monotonic() + 0.5):
                continue
            number += 1
            line = self._script.line(self.evidence.client, number)
            self.evidence.ends.append(None)
            future = self._cluster.submit(KeyValueStore.append, self._script.key(number), line)
            self._open.append((number, line, future))
        deadline_s = time.monotonic() + FINISH_S
        while self._open and time.monotonic() < deadline_s:
            self._take(deadline_s)
        if self._open:
            self.evidence.errors.append(f"{len(self._open)} appends were not answered in the end")

    def _take(self, deadline_s: float) -> bool:
        """Note what the oldest append was told; False if it was told nothing in time."""
        number, line, future = self._open[0]
        try:
            page = future.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except pykka.Timeout:
            return False
        except pbactors.CallError as error:
            self.evidence.errors.append(f"line {number}: {type(error).__name__}: {error}")
        else:
            self.evidence.ends[number - 1] = len(page)
            if not page.endswith(line):
                self.evidence.errors.append(f"line {number}: the page it returned ends otherwise")
            self._note_gap()
        self._open.popleft()
        return True

    def _note_gap(self) -> None:
        now_s = time.monotonic()
        if self._told_s is not None:
            self.evidence.gap_s = max(self.evidence.gap_s, now_s - self._told_s)
        self._told_s = now_s


def main(topology: str, text: str, client: str, evidence: str) -> None:
    """Append until standard input ends, then save the evidence."""
    stop = threading.Event()

    def wait_for_the_end() -> None:
        while os.read(0, 1024):
            pass
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    with pbactors.connect(topology) as cluster:
        appender = Appender(cluster, Script.of(Path(text)), int(client))
        appender.run(stop)
    appender.evidence.save(Path(evidence))


if __name__ == "__main__":
    main(*sys.argv[1:])

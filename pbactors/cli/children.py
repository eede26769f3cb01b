"""The processes of ``pbactors up``: one ``pbactors node`` for each node of the topology.

Nothing outlives ``up``, also if it is killed with SIGKILL: :mod:`pbactors.cli.lifeline`. Each child
leads a process group of its own, so that Ctrl-C at the terminal reaches ``up`` alone, once, and
``up`` ends them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, TypeAlias

from pbactors.topology import Topology

__all__ = ["Child", "ChildEvents", "Ended", "Said", "end_all"]

PATIENCE_S: Final = 3.0
"""How long children have to end by themselves before they are killed."""


@dataclass(frozen=True, slots=True)
class Said:
    """A child has written a line."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A child has ended, and everything it wrote was reported before.

    Attributes:
        name: of the node.
        code: the exit code, or minus the signal that killed it.
    """

    name: str
    code: int

    def __str__(self) -> str:
        if self.code >= 0:
            return f"has ended with exit code {self.code}"
        try:
            return f"was killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"was killed by signal {-self.code}"


ChildEvents: TypeAlias = SimpleQueue[Said | Ended | signal.Signals]


class Child:
    """One node's process.

    Args:
        topology: of the cluster.
        name: of the node.
        form_new: for the view server: form a new cluster.
        events: where its lines and its end are put, from a thread of its own.

    Attributes:
        name: of the node.
        pid: its process id.
        serves: whether it has said that it serves.
    """

    def __init__(self, topology: Topology, name: str, form_new: bool, events: ChildEvents) -> None:
        command = [sys.executable, "-m", "pbactors", "node", str(topology.path), name, "--child"]
        self._process = subprocess.Popen(
            command + ["--new"] * form_new,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        self.name = name
        self.pid = self._process.pid
        self.serves = False
        self._events = events
        self._reader = threading.Thread(target=self._read, name=f"reads {name}")
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._events.put(Said(self.name, line.rstrip("\n")))
        self._events.put(Ended(self.name, self._process.wait()))

    def ask_to_end(self) -> None:
        """Send SIGINT, unless it has ended: all others end too, so nobody is handed over to."""
        self._process.send_signal(signal.SIGINT)

    def end(self, patience_s: float) -> None:
        """Wait for its end; after ``patience_s`` kill it, which cannot fail."""
        self._reader.join(max(0.0, patience_s))
        self._process.kill()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def end_all(children: Iterable[Child]) -> None:
    """End all children at the same time, and return when none is left."""
    ending = list(children)
    for child in ending:
        child.ask_to_end()
    until_s = time.monotonic() + PATIENCE_S
    for child in ending:
        child.end(until_s - time.monotonic())

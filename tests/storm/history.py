"""What clients write down, line by line, and the load that they put on the cluster.

A line is on its way to the disk before the call is, so a killed client loses nothing that it was
told. All times are those of ``CLOCK_MONOTONIC``, which all processes of a machine share.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from pbactors.linearizability import Call
from pbactors.workload import Invocation
from pbactors.workload.texts import MixedWorkload

__all__ = ["ROUND_S", "HistoryWriter", "StormLoad", "answered_since", "read_folder", "round_of"]

ROUND_S: Final = 5.0
"""After so many seconds the clients turn to other keys: short histories are quick to judge."""

_SECOND_NS: Final = 1_000_000_000
_SUFFIX: Final = ".history"


def round_of(start_ns: int) -> int:
    """Return the number of the current round, from 0, for a storm that began at ``start_ns``."""
    return int((time.monotonic_ns() - start_ns) / _SECOND_NS / ROUND_S)


class StormLoad(MixedWorkload):
    """Registers, appended texts and counters, with other keys in each round.

    Args:
        rounds: how many there are, for the final reads.
    """

    name = "storm"

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds

    def invoke_in(self, number: int, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next in a round."""
        return _in_round(number, self.invoke(random, client, turn))

    def final(self) -> Sequence[Invocation]:
        """Read every key of every round."""
        keys = super().final()
        rounds = range(self._rounds)
        return [_in_round(number, invocation) for number in rounds for invocation in keys]


def _in_round(number: int, invocation: Invocation) -> Invocation:
    key, *rest = invocation.arguments
    return Invocation(invocation.method, (f"{key}/{number}", *rest))


class HistoryWriter:
    """Writes down the calls of one process. Usable from several threads.

    Args:
        path: the file, which must not exist yet; it should end in ``.history``.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def began(self, client: str, invocation: Invocation) -> int:
        """Note that a call begins now, before it does, and return its number."""
        number = next(self._numbers)
        method, arguments = invocation
        entry = {"call": number, "began_ns": time.monotonic_ns(), "client": client}
        self._write({**entry, "method": method, "arguments": list(arguments)})
        return number

    def ended(self, number: int, result: object) -> None:
        """Note the answer of a call, which has come now."""
        self._write({"call": number, "ended_ns": time.monotonic_ns(), "result": result})

    def never_sent(self, number: int) -> None:
        """Note that a call has certainly not happened."""
        self._write({"call": number, "never_sent": True})

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, entry: dict[str, object]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._file, line) :]


def read_folder(folder: Path) -> list[Call]:
    """Return the calls of all clients, in the order in which they began, in seconds from the first.

    Calls that have no answer are pending; those that were certainly never sent are left out.
    """
    raw = [call for path in sorted(folder.glob(f"*{_SUFFIX}")) for call in _read(path)]
    raw.sort(key=lambda call: call.began)
    first = raw[0].began if raw else 0
    return [
        call._replace(
            began=(call.began - first) / _SECOND_NS,
            ended=None if call.ended is None else (call.ended - first) / _SECOND_NS,
        )
        for call in raw
    ]


def answered_since(folder: Path, moment_ns: int) -> int:
    """Return how many calls that began after a moment of the monotonic clock were answered."""
    return sum(
        call.began > moment_ns and call.ended is not None
        for path in folder.glob(f"*{_SUFFIX}")
        for call in _read(path)
    )


def _read(path: Path) -> Iterator[Call]:
    """Yield the calls of one file, in nanoseconds."""
    calls: dict[int, Call] = {}
    for entry in _entries(path):
        number = entry["call"]
        if "began_ns" in entry:
            operation = Invocation(entry["method"], tuple(entry["arguments"]))
            calls[number] = Call(entry["client"], operation, None, entry["began_ns"], None)
        elif "ended_ns" in entry:
            calls[number] = calls[number]._replace(result=entry["result"], ended=entry["ended_ns"])
        else:
            del calls[number]
    yield from calls.values()


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    *lines, rest = path.read_bytes().split(b"\n")
    del rest  # nothing, or the line in whose middle the client was killed: its call is pending
    for line in lines:
        yield json.loads(line)

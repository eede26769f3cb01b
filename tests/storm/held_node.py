"""A replica whose interpreter is held at random, as by a method that computes for long.

``python -m tests.storm.held_node SEED TOPOLOGY NAME``: the same as ``pbactors node TOPOLOGY NAME``,
beside a thread that lets no other run for up to 300 ms, or collects garbage, again and again.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from pbactors.__main__ import main

__all__ = ["HELD_MAX_MS", "hold", "holds"]

HELD_MAX_MS: Final = 300
BETWEEN_S: Final = (0.2, 1.5)
"""How long the interpreter runs freely between two holds."""

COLLECTIONS: Final = 0.3
"""Which part of the holds are garbage collections."""

LISTS: Final = 200_000
"""What a collection has to look at: about 70 ms on an idle machine."""

_C: Final = ctypes.PyDLL(None)
"""Unlike CDLL, PyDLL keeps the interpreter to itself while the C code runs."""

_HELD: Final = re.compile(r"^held by (\w+) for (\d+) ms$", re.MULTILINE)


def hold_at_random(random: Random) -> None:
    """Hold the interpreter now and then, for ever, and say for how long each time."""
    while True:
        time.sleep(random.uniform(*BETWEEN_S))
        if random.random() < COLLECTIONS:
            what, held_s = "gc", collect()
        else:
            what, held_s = "C", hold(random.uniform(0, HELD_MAX_MS / 1000))
        print(f"held by {what} for {held_s * 1000:.0f} ms", flush=True)


def hold(seconds: float) -> float:
    """Let no other thread of this process run Python for so long; return for how long it was."""
    start_s = time.monotonic()
    # That this code sleeps makes it exact; the processors are kept busy by others.
    _C.usleep(round(seconds * 1_000_000))
    return time.monotonic() - start_s


def collect() -> float:
    """Collect garbage where there is much to look at; return how long that took."""
    garbage = [[number] for number in range(LISTS)]
    start_s = time.monotonic()
    gc.collect()
    took_s = time.monotonic() - start_s
    del garbage
    return took_s


def holds(log: Path) -> Iterator[tuple[str, int]]:
    """Yield what held a replica, ``C`` or ``gc``, and for how many milliseconds, from its log."""
    for what, held_ms in _HELD.findall(log.read_text()):
        yield what, int(held_ms)


if __name__ == "__main__":
    _, seed, *arguments = sys.argv
    random = Random(f"{seed} {arguments}")
    threading.Thread(target=hold_at_random, args=(random,), daemon=True).start()
    sys.argv = ["pbactors", "node", *arguments]
    main()

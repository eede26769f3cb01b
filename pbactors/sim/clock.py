"""The clocks of nodes: seconds apart and drifting, with a source of chance of their own (R51)."""

from __future__ import annotations

from random import Random

from pbactors.machines.context import STAMP_BYTES
from pbactors.sim.agenda import Agenda

__all__ = ["Clock"]

_EPOCH_NS = 1_700_000_000_000_000_000
_APART_S = 5.0


class Clock:
    """Makes the stamps of one node.

    Args:
        agenda: true time.
        random: how far this clock is off, and the random part of its stamps.
    """

    def __init__(self, agenda: Agenda, random: Random) -> None:
        self._agenda = agenda
        self._random = random
        self._offset_ns = int(random.uniform(-_APART_S, _APART_S) * 1e9)
        self._speed = random.uniform(0.9, 1.1) * 1e6

    def __call__(self, last: bytes) -> bytes:
        """Return a new stamp, above ``last``."""
        now_ns = _EPOCH_NS + self._offset_ns + int(self._agenda.now_ms * self._speed)
        if last:
            now_ns = max(now_ns, int.from_bytes(last[:8], "big") + 1)
        return now_ns.to_bytes(8, "big") + self._random.randbytes(STAMP_BYTES - 8)

"""Timers in virtual time: due, early, late, and for nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pbactors.protocol.core import Timer
from pbactors.sim.agenda import Agenda
from pbactors.sim.mix import Mix
from pbactors.sim.process import Process

__all__ = ["Timers"]


class Timers:
    """Sets timers of processes.

    Args:
        mix: how often they fire wrongly.
        agenda: virtual time.
        fired: takes a timer of a running process that fires.
        faults: counts what went wrong.
    """

    def __init__(
        self,
        mix: Mix,
        agenda: Agenda,
        fired: Callable[[Process, Timer], None],
        faults: Counter[str],
    ) -> None:
        self._mix = mix
        self._agenda = agenda
        self._fired = fired
        self._faults = faults
        self._settings = 0
        self._calm = False

    def calm(self) -> None:
        """Set timers faithfully from here on."""
        self._calm = True

    def set(self, process: Process, timer: Timer, delay_ms: float) -> None:
        """Fire ``timer`` after ``delay_ms``, more or less; replaces a pending one of that name."""
        self._settings += 1
        process.timers[timer] = self._settings
        mix, draw = self._mix, process.random.random
        early, late, spurious, share = draw(), draw(), draw(), draw()
        if not self._calm:
            if early < mix.early_timers:
                self._faults["early timer"] += 1
                delay_ms *= share
            elif late < mix.late_timers:
                self._faults["late timer"] += 1
                delay_ms += 2 * delay_ms * share
            if spurious < mix.spurious_timers:
                self._faults["spurious timer"] += 1
                self._agenda.after(delay_ms * share, self._fire, process, timer, 0)
        self._agenda.after(delay_ms, self._fire, process, timer, self._settings)

    def _fire(self, process: Process, timer: Timer, setting: int) -> None:
        """Fire what was set by that number, if it still stands; 0 is for nothing."""
        if not process.alive or (setting and process.timers.get(timer) != setting):
            return
        if setting:
            del process.timers[timer]
        self._fired(process, timer)

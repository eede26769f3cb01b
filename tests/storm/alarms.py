"""What a view server's log says of alarms: whom it suspected, whom it gave up, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["Alarms", "alarms_in"]

EXPLAINS_S: Final = 2.0
"""So long after a pause, or after what one explains, it explains what follows: a server that was
not heard since has used up its patience, and a view is made whole by another."""

_DAY_S: Final = 24 * 3600
_LINE: Final = re.compile(r"(\d\d):(\d\d):(\d\d\.\d{3})  \S+  (.*)")


_SUSPECTS: Final = re.compile(r"suspects \S+: ")
_VOID: Final = re.compile(r"no longer suspects ")
_PAUSE: Final = re.compile(r"did nothing for ")
_ALARM: Final = re.compile(r"view \d+: |view_server: ")
"""A new view; or somebody who was alive counts as dead."""


class Line(NamedTuple):
    """What a node said.

    Attributes:
        time_s: the time of day.
        text: without time and name.
    """

    time_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Alarms:
    """What was found.

    Attributes:
        suspicions: how often a connection was lost.
        void: how often that was found to mean nothing.
        pauses: how the view server says that it did nothing.
        explained: new views, and servers that count as dead, which a pause explains.
        false: those that nothing explains.
    """

    suspicions: int
    void: int
    pauses: Sequence[str]
    explained: Sequence[str]
    false: Sequence[str]

    def __str__(self) -> str:
        return (
            f"{len(self.false)} false alarms, {len(self.explained)} that a pause explains, in "
            f"{len(self.pauses)} pauses; {self.suspicions} suspicions, {self.void} of them void"
        )


def alarms_in(log: str) -> Alarms:
    """Return what a part of the view server's log, written while every node was alive, says."""
    suspicions = void = 0
    pauses, explained, false = [], [], []
    explains_until_s = 0.0
    for line in _lines(log):
        if _SUSPECTS.match(line.text):
            suspicions += 1
        elif _VOID.match(line.text):
            void += 1
        elif _PAUSE.match(line.text):
            pauses.append(line.text)
            explains_until_s = line.time_s + EXPLAINS_S
        elif _ALARM.match(line.text):
            if line.time_s < explains_until_s:
                explained.append(line.text)
                explains_until_s = line.time_s + EXPLAINS_S
            else:
                false.append(line.text)
    return Alarms(suspicions, void, pauses, explained, false)


def _lines(log: str) -> Iterator[Line]:
    """Yield the lines, with times that do not go back at midnight."""
    days_s, before_s = 0, 0.0
    for found in _LINE.finditer(log):
        hours, minutes, seconds, text = found.groups()
        time_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if time_s < before_s - _DAY_S / 2:
            days_s += _DAY_S
        before_s = time_s
        yield Line(days_s + time_s, text)

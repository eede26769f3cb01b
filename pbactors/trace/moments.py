"""A trace: what happened in a run, moment by moment.

Simulator, explorer and live nodes write the same moments, so that one text form and one picture
serve all of them. A message is named by a number that its sending and its arrivals share; a message
that never arrives may have a moment ``LOST``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

__all__ = ["Moment", "Sort", "Trace"]


class Sort(Enum):
    """What sort of thing happened."""

    STARTED = "started"
    STOPPED = "stopped"
    PAUSED = "paused"
    RESUMED = "resumed"
    TIMER = "timer"
    SIGNAL = "signal"
    SENT = "sent"
    RECEIVED = "received"
    LOST = "lost"
    STATUS = "status"
    EVENT = "event"
    CALLED = "called"
    ANSWERED = "answered"
    FAULT = "fault"
    BROKEN = "broken"


class Moment(NamedTuple):
    """One thing that happened.

    Attributes:
        time_ms: when, in milliseconds since the beginning of the run; in a run without time, the
            number of the step.
        node: where: the lane of the picture. Empty for what concerns the network or the whole.
        sort: what sort of thing.
        text: it, in one line for a person.
        message: the number of the message that was sent, received or lost; 0 for anything else.
        peer: the node at the other end of that message.
        fields: details, with plain values. Of a message its kind (``"kind"``) and its fields; of
            ``STATUS`` at least ``role``, ``state``, ``view`` (its number), ``primary``, ``backup``
            (names or None), ``op``.
    """

    time_ms: float
    node: str
    sort: Sort
    text: str
    message: int = 0
    peer: str = ""
    fields: Mapping[str, object] = {}


class Trace:
    """Moments in order; the oldest are dropped where there would be too many.

    Args:
        moments_max: how many are kept; None for all.
    """

    def __init__(self, moments_max: int | None = None) -> None:
        self.moments: deque[Moment] = deque(maxlen=moments_max)

    def __iter__(self) -> Iterator[Moment]:
        return iter(self.moments)

    def __len__(self) -> int:
        return len(self.moments)

    def add(self, moment: Moment) -> None:
        """Add what happened last."""
        self.moments.append(moment)

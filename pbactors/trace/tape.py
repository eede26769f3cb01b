"""What one node has told of itself, put together from the pieces in which it was fetched."""

from __future__ import annotations

from collections import deque
from typing import Final

from pbactors.protocol.tool_messages import Moments
from pbactors.protocol.view import FRESH, Incarnation
from pbactors.trace.file import from_line
from pbactors.trace.moments import Moment, Sort

__all__ = ["SILENT_MS", "Tape"]

SILENT_MS: Final = 1000.0
"""After how long without an answer a node is taken for dead or frozen, in the picture alone."""


class Tape:
    """The moments of one node, and what its silence must mean. No clock of its own.

    Args:
        name: of the node.
        moments_max: how many are kept; the oldest give way.

    Attributes:
        moments: in their order.
        number: of the last of them, as the node counts; 0 before any.
        left: how many more the node has.
        missed: how many are gone for ever: they came faster than they were fetched.
        heard_ms: when it answered last, unix time; None if it never did.
    """

    def __init__(self, name: str, moments_max: int) -> None:
        self.name = name
        self.moments: deque[Moment] = deque(maxlen=moments_max)
        self.number = 0
        self.left = 0
        self.missed = 0
        self.heard_ms: float | None = None
        self._incarnation: Incarnation = FRESH
        self._moments_max = moments_max

    def take(self, incarnation: Incarnation, answer: Moments, now_ms: float) -> None:
        """Take a piece. What stands on the tape already is passed over.

        Args:
            incarnation: of the node, as it says.
            answer: the piece.
            now_ms: unix time.

        Raises:
            ValueError: a line of it is no moment; nothing is taken.
        """
        moments = [from_line(line) for line in answer.lines.decode().splitlines()]
        gap = answer.first - self.number - 1
        if self.heard_ms is not None and moments:
            same_life = incarnation == self._incarnation
            self._note_silence(now_ms, moments[0].time_ms, same_life)
            # Numbers begin anew, with the time, where a node has stopped recording meanwhile.
            if same_life and 0 < gap < self._moments_max:
                self.missed += gap
        self.moments.extend(moments[max(0, -gap) :])
        self.number = answer.first + len(moments) - 1
        self.left = answer.left
        self.heard_ms = now_ms
        self._incarnation = incarnation

    def is_silent(self, now_ms: float) -> bool:
        """Tell whether the node has answered before, but not lately."""
        return self.heard_ms is not None and now_ms - self.heard_ms > SILENT_MS

    def end(self, now_ms: float) -> None:
        """Take what was not fetched for missed; note that the node does not answer, if so."""
        self.missed += self.left
        self.left = 0
        if self.is_silent(now_ms):
            self._note(Sort.STOPPED, "does not answer any more")

    def _note_silence(self, now_ms: float, until_ms: float, same_life: bool) -> None:
        """Note what must have happened since the last answer: it was frozen, or died."""
        if same_life and not self.is_silent(now_ms):
            return
        gone, back = (Sort.PAUSED, Sort.RESUMED) if same_life else (Sort.STOPPED, Sort.STARTED)
        self._note(gone, "does not answer")
        word = "answers again" if same_life else "answers in another life"
        self.moments.append(Moment(until_ms, self.name, back, word))

    def _note(self, sort: Sort, text: str) -> None:
        self.moments.append(Moment(self.heard_ms or 0.0, self.name, sort, text))

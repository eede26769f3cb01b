"""Is a history of concurrent calls linearizable?

A history is what clients saw: who called what, when, and what came of it. It is *linearizable*
(Herlihy and Wing, 1990) if every call can be given one moment between its beginning and its end so
that the results are those of a sequential run of the model in the order of these moments.

The search is that of Wing and Gong (1993): of the calls that may come next, namely those that began
before the first one still to be placed ended, take one that the model agrees with, and go on; where
none is left, take the last one back. Lowe (2017) adds what makes it fast: what was placed together
with the state that results is remembered, and never tried again.

A call without an answer may have taken effect at any time after it began, or never. Such calls are
tried last, and only where they change the state: a search is hardly ever in need of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

__all__ = ["Call", "Model", "Verdict", "check"]

SHOWN_CALLS_MAX: Final = 12
"""How many calls of each kind a report shows."""

_CLOCK_EVERY: Final = 256


class Call(NamedTuple):
    """One call of a history.

    Attributes:
        client: who called, for people.
        operation: what was called; the model and ``part_of`` understand it.
        result: what came of it; None for a pending call.
        began: when, on any clock or counter that all calls share.
        ended: when the result was there; None for a pending call, which may or may not have taken
            effect, at any time after it began.
    """

    client: Hashable
    operation: Any
    result: object
    began: float
    ended: float | None

    def __str__(self) -> str:
        what = "no answer" if self.ended is None else repr(self.result)
        return f"{self.client}: {self.operation} -> {what}"


class Model(Protocol):
    """A sequential specification. States are hashable and are never changed in place."""

    def initial(self) -> Hashable:
        """Return the state before any operation."""

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        """Return the state after ``operation``, and the one result that it must have."""


class Verdict(NamedTuple):
    """What a check found.

    Attributes:
        linearizable: True or False; None where time ran out before it was known.
        text: for a person: in one line if all is well, otherwise the longest linearizable prefix
            that was found, and the calls that cannot follow.
    """

    linearizable: bool | None
    text: str


def check(
    calls: Sequence[Call],
    model: Model,
    part_of: Callable[[Any], Hashable] | None = None,
    time_limit_s: float | None = None,
) -> Verdict:
    """Judge a history.

    Args:
        calls: the history, in any order.
        model: what the results are held against.
        part_of: tells which independent part of the state an operation is about. A history is
            linearizable if it is so part by part, and small parts are much cheaper.
        time_limit_s: give up after so many seconds.
    """
    parts: dict[Hashable, list[Call]] = {}
    for call in calls:
        parts.setdefault(None if part_of is None else part_of(call.operation), []).append(call)
    until_s = None if time_limit_s is None else time.monotonic() + time_limit_s
    undecided = None
    for part, its_calls in parts.items():
        search = _Search(its_calls, model)
        ended = search.run(until_s)
        where = "" if part is None else f"part {part!r}: "
        if ended is False:
            return Verdict(False, where + search.report())
        if ended is None and undecided is None:
            undecided = f"{where}not decided within {time_limit_s} s ({len(its_calls)} calls)"
    if undecided is not None:
        return Verdict(None, undecided)
    return Verdict(True, f"{len(calls)} calls in {len(parts)} parts are linearizable")


class _Search:
    """The search for an order of the calls of one part.

    The beginnings and ends of calls form one linked list in the order of time, held in two arrays;
    a call that is placed leaves it. Entry ``2 i`` is the beginning of call ``i``, ``2 i + 1`` its
    end. A pending call has no end in the list.
    """

    def __init__(self, calls: Sequence[Call], model: Model) -> None:
        self._calls = calls
        self._model = model
        moments = []
        for number, call in enumerate(calls):
            moments.append((call.began, 0, 2 * number))
            if call.ended is not None:
                # of a beginning and an end at the same time, the beginning counts as first
                moments.append((call.ended, 1, 2 * number + 1))
        self._head = 2 * len(calls)
        order = [self._head, *(entry for _, _, entry in sorted(moments)), self._head]
        self._next = [0] * (2 * len(calls) + 1)
        self._previous = [0] * (2 * len(calls) + 1)
        for entry, following in pairwise(order):
            self._next[entry] = following
            self._previous[following] = entry
        self._ends_left = sum(call.ended is not None for call in calls)
        self._best: list[int] = []

    def run(self, until_s: float | None) -> bool | None:
        """Return whether there is an order; None if time ran out."""
        state = self._model.initial()
        placed = 0  # a bit for each call
        seen: set[tuple[int, Hashable]] = set()
        # for each place: the call there (-1 before the first), the state before, what may follow
        stack: list[tuple[int, Hashable, Iterator[int]]] = [(-1, state, self._candidates())]
        steps = 0
        while self._ends_left:
            steps += 1
            if until_s is not None and steps % _CLOCK_EVERY == 0 and time.monotonic() > until_s:
                return None
            for number in stack[-1][2]:
                fits, after = self._after(state, number)
                key = (placed | 1 << number, after)
                if fits and key not in seen:
                    seen.add(key)
                    break
            else:
                number, state, _ = stack.pop()
                if not stack:
                    return False
                self._put_back(number)
                placed ^= 1 << number
                continue
            self._take(number)
            placed |= 1 << number
            stack.append((number, state, self._candidates()))
            state = after
            if len(stack) - 1 > len(self._best):
                self._best = [call for call, _, _ in stack[1:]]
        return True

    def _after(self, state: Any, number: int) -> tuple[bool, Hashable]:
        """Return whether this call can be next (and, if pending, need be), and the state then."""
        call = self._calls[number]
        after, result = self._model.step(state, call.operation)
        if call.ended is None:
            return after != state, after
        return result == call.result, after

    def _candidates(self) -> Iterator[int]:
        """Yield the calls that may be next: first those with an answer, then pending ones."""
        pending = []
        entry = self._next[self._head]
        while entry != self._head and not entry & 1:
            following = self._next[entry]
            if self._calls[entry >> 1].ended is None:
                pending.append(entry >> 1)
            else:
                yield entry >> 1
            entry = following
        yield from pending

    def _take(self, number: int) -> None:
        """Take a call out of the list: it is placed."""
        for entry in self._entries(number):
            self._next[self._previous[entry]] = self._next[entry]
            self._previous[self._next[entry]] = self._previous[entry]
        self._ends_left -= self._calls[number].ended is not None

    def _put_back(self, number: int) -> None:
        """Undo the last ``_take``, which was of this call."""
        for entry in reversed(self._entries(number)):
            self._next[self._previous[entry]] = entry
            self._previous[self._next[entry]] = entry
        self._ends_left += self._calls[number].ended is not None

    def _entries(self, number: int) -> tuple[int, ...]:
        if self._calls[number].ended is None:
            return (2 * number,)
        return (2 * number, 2 * number + 1)

    # -- for people ---------------------------------------------------------------------------

    def report(self) -> str:
        """Return the longest order that was found, and why it does not go on."""
        state: Any = self._model.initial()
        for number in self._best:
            state, _ = self._model.step(state, self._calls[number].operation)
        count = len(self._best)
        left = [call for number, call in enumerate(self._calls) if number not in set(self._best)]
        deadline = min(call.ended for call in left if call.ended is not None)
        lines = [f"of {len(self._calls)} calls {count} can be put in an order, and no more:"]
        hidden = max(0, count - SHOWN_CALLS_MAX)
        if hidden:
            lines.append(f"       ... {hidden} calls before ...")
        for place, number in enumerate(self._best[hidden:], start=hidden + 1):
            lines.append(f"  {place:5}  {self._calls[number]}")
        lines.append(f"The state is then {state!r}, and of these the next would have to come:")
        nexts = [call for call in left if call.began <= deadline and call.ended is not None]
        for call in nexts[:SHOWN_CALLS_MAX]:
            expected = self._model.step(state, call.operation)[1]
            lines.append(f"         {call}   [{call.began:g} to {call.ended:g}; now {expected!r}]")
        return "\n".join(lines)

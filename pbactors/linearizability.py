"""Is a history of concurrent calls linearizable?

A history is what clients saw: who called what, when, and what came of it. It is *linearizable*
(Herlihy and Wing, 1990) if every call can be given one moment between its beginning and its end so
that the results are those of a sequential run of the model in the order of these moments.

The search is that of Wing and Gong (1993): of the calls that may come next, namely those that began
before the first one still to be placed ended, take one that the model agrees with, and go on; where
none is left, take the last one back. Lowe (2017) adds what makes it fast: what was placed together
with the state that results is remembered, and never tried again.

A call without an answer may have taken effect at any time after it began, or never. Many of them
would make many orders, so the search takes one only where the answered call behind it then has the
right result, and no earlier than that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import pairwise
from math import inf
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

__all__ = ["SHOWN_CALLS_MAX", "SHOWN_CHARACTERS_MAX", "Call", "Model", "Verdict", "check"]

SHOWN_CALLS_MAX: Final = 12
"""How many calls of each kind a report shows."""

SHOWN_CHARACTERS_MAX: Final = 100
"""How much of a call, a state or a result a report shows."""

_CLOCK_EVERY: Final = 256
_SHORT_BURSTS: Final = (0, 1, 2)


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
        search = _Search(its_calls, model, until_s)
        ended = search.run()
        where = "" if part is None else f"part {part!r}: "
        if ended is False:
            return Verdict(False, where + search.report())
        if ended is None and undecided is None:
            undecided = f"{where}not decided within {time_limit_s} s ({len(its_calls)} calls)"
    if undecided is not None:
        return Verdict(None, undecided)
    return Verdict(True, f"{len(calls)} calls in {len(parts)} parts are linearizable")


class _Placed(NamedTuple):
    """An answered call in its place, with the pending ones before it, and the state then."""

    burst: tuple[int, ...]
    number: int
    state: Hashable


class _OutOfTime(Exception):
    """The search took too long."""


class _Search:
    """The search for an order of the calls of one part.

    The beginnings and ends of answered calls form one linked list in the order of time, held in
    two arrays; a call that is placed leaves it. Entry ``2 i`` is the beginning of call ``i``,
    ``2 i + 1`` its end.

    A *burst* is what calls without an answer are placed between one answered call and the next. A
    burst only serves the answered call behind it, so most searches end with short ones or none:
    they are tried in the order of their length, and longer ones only if shorter did not do.
    """

    def __init__(self, calls: Sequence[Call], model: Model, until_s: float | None) -> None:
        self._calls = sorted(calls, key=attrgetter("began"))
        self._model = model
        self._until_s = until_s
        self._steps = 0
        self._pending: list[int] = []
        moments = []
        for number, call in enumerate(self._calls):
            if call.ended is None:
                self._pending.append(number)
            else:
                # of a beginning and an end at the same time, the beginning counts as first
                moments.append((call.began, 0, 2 * number))
                moments.append((call.ended, 1, 2 * number + 1))
        self._answered = len(moments) // 2
        self._head = 2 * len(self._calls)
        order = [self._head, *(entry for _, _, entry in sorted(moments)), self._head]
        self._next = [0] * (self._head + 1)
        self._previous = [0] * (self._head + 1)
        for entry, following in pairwise(order):
            self._next[entry] = following
            self._previous[following] = entry
        self._twins = self._find_twins()
        self._cut = False
        self._best: list[int] = []
        self._best_answered = -1

    def _find_twins(self) -> dict[int, int]:
        """Return, for a pending call, the one before that asked for the same.

        Of such calls any one could be taken for any other, so they are placed in their order.
        """
        twins, latest = {}, dict[str, int]()
        for number in self._pending:
            operation = self._calls[number].operation
            asked = repr(operation)
            if asked in latest and self._calls[latest[asked]].operation == operation:
                twins[number] = latest[asked]
            latest[asked] = number
        return twins

    def run(self) -> bool | None:
        """Return whether there is an order; None if time ran out."""
        try:
            for longest in (*_SHORT_BURSTS, len(self._pending)):
                self._cut = False
                if self._run(longest):
                    return True
                if not self._cut:
                    return False
        except _OutOfTime:
            return None
        return False

    def _run(self, longest: int) -> bool:
        """Return whether there is an order in which no burst is longer."""
        # By answered calls that were placed and the state then: which pending ones were placed.
        # Whoever is there with more of them placed can do nothing that cannot be done with fewer.
        seen: dict[tuple[int, Hashable], list[int]] = {}
        state = self._model.initial()
        # for each place: what was placed there, what is placed up to there, what may follow
        stack: list[tuple[_Placed, int, int, Iterator[_Placed]]] = []
        stack.append((_Placed((), -1, state), 0, 0, self._followers(state, 0, longest)))
        while len(stack) <= self._answered:
            placed, answered, used, followers = stack[-1]
            for step in followers:
                answered_then = answered | 1 << step.number
                used_then = used
                for number in step.burst:
                    used_then |= 1 << number
                if _is_new(seen.setdefault((answered_then, step.state), []), used_then):
                    break
            else:
                self._remember(stack)
                stack.pop()
                if not stack:
                    return False
                self._put_back(placed.number)
                continue
            self._take(step.number)
            following = self._followers(step.state, used_then, longest)
            stack.append((step, answered_then, used_then, following))
        return True

    def _followers(self, state: Hashable, used: int, longest: int) -> Iterator[_Placed]:
        """Yield what may be placed next: each answered call, alone and then behind bursts."""
        self._look_at_the_clock()
        answered, waiting = self._candidates(used)
        for number in answered:
            after, result = self._model.step(state, self._calls[number].operation)
            if result == self._calls[number].result:
                yield _Placed((), number, after)
        if waiting:
            yield from self._behind_bursts(state, used, longest, answered, waiting)

    def _behind_bursts(
        self,
        state: Hashable,
        used: int,
        longest: int,
        answered: Sequence[int],
        waiting: Sequence[int],
    ) -> Iterator[_Placed]:
        reached: dict[Hashable, list[int]] = {state: [0]}
        queue: deque[tuple[tuple[int, ...], int, Hashable]] = deque([((), 0, state)])
        while queue:
            burst, mask, before = queue.popleft()
            for number in answered if burst else ():
                call = self._calls[number]
                after, result = self._model.step(before, call.operation)
                if result == call.result and not self._can_wait(state, burst, call, after):
                    yield _Placed(burst, number, after)
            for number in waiting:
                twin = self._twins.get(number)
                if mask >> number & 1 or (twin is not None and not (used | mask) >> twin & 1):
                    continue
                self._look_at_the_clock()
                after = self._model.step(before, self._calls[number].operation)[0]
                mask_then = mask | 1 << number
                if not _is_new(reached.setdefault(after, []), mask_then):
                    continue
                if len(burst) == longest:
                    self._cut = True
                    break
                queue.append(((*burst, number), mask_then, after))

    def _can_wait(self, state: Any, burst: tuple[int, ...], call: Call, after: Hashable) -> bool:
        """Tell whether a call of the burst could as well come behind ``call``: it is tried there.

        Args:
            state: that before the burst.
            burst: pending calls.
            call: the answered one that follows them.
            after: the state then.
        """
        step = self._model.step
        for left_out in burst:
            before = state
            for number in burst:
                if number != left_out:
                    before, _ = step(before, self._calls[number].operation)
            then, result = step(before, call.operation)
            if result == call.result and step(then, self._calls[left_out].operation)[0] == after:
                return True
        return False

    def _candidates(self, used: int) -> tuple[list[int], list[int]]:
        """Return the calls that began before the first end: answered ones and pending ones."""
        answered = []
        entry = self._next[self._head]
        while not entry & 1 and entry != self._head:
            answered.append(entry >> 1)
            entry = self._next[entry]
        answered.sort(key=self._end_of)  # mostly, what ended first was first
        if not self._pending or entry == self._head:
            return answered, []
        end = self._end_of(entry >> 1)
        waiting = []
        for number in self._pending:
            if self._calls[number].began > end:
                break
            if not used >> number & 1:
                waiting.append(number)
        return answered, waiting

    def _end_of(self, number: int) -> float:
        ended = self._calls[number].ended
        return inf if ended is None else ended

    def _look_at_the_clock(self) -> None:
        self._steps += 1
        if self._until_s is None or self._steps % _CLOCK_EVERY:
            return
        if time.monotonic() > self._until_s:
            raise _OutOfTime

    def _take(self, number: int) -> None:
        """Take an answered call out of the list: it is placed."""
        for entry in (2 * number, 2 * number + 1):
            self._next[self._previous[entry]] = self._next[entry]
            self._previous[self._next[entry]] = self._previous[entry]

    def _put_back(self, number: int) -> None:
        """Undo the last ``_take``, which was of this call."""
        for entry in (2 * number + 1, 2 * number):
            self._next[self._previous[entry]] = entry
            self._previous[self._next[entry]] = entry

    # -- for people ---------------------------------------------------------------------------

    def _remember(self, stack: Sequence[tuple[_Placed, int, int, Iterator[_Placed]]]) -> None:
        """Remember the order that has the most answered calls."""
        if len(stack) - 1 > self._best_answered:
            self._best_answered = len(stack) - 1
            self._best = [number for step, *_ in stack[1:] for number in (*step.burst, step.number)]

    def report(self) -> str:
        """Return the longest order that was found, and why it does not go on."""
        state: Any = self._model.initial()
        rows = []
        for number in self._best:
            state, _ = self._model.step(state, self._calls[number].operation)
            rows.append((_short(str(self._calls[number])), _short(repr(state))))
        count = len(rows)
        lines = [f"of {len(self._calls)} calls {count} can be put in an order, and no more:"]
        hidden = max(0, count - SHOWN_CALLS_MAX)
        if hidden:
            lines.append(f"       ... {hidden} calls before ...")
        width = max((len(text) for text, _ in rows[hidden:]), default=0)
        for place, (text, then) in enumerate(rows[hidden:], start=hidden + 1):
            lines.append(f"  {place:5}  {text:{width}}   then {then}")
        lines += self._why_not_on(state)
        return "\n".join(lines)

    def _why_not_on(self, state: Hashable) -> Iterator[str]:
        placed = set(self._best)
        left = [call for number, call in enumerate(self._calls) if number not in placed]
        ends = min(call.ended for call in left if call.ended is not None)
        under_way = [call for call in left if call.began <= ends]
        then = _short(repr(state))
        yield f"The state is {then}. Next must be one that began before {ends:g}, and:"
        answered = [call for call in under_way if call.ended is not None]
        for call in answered[:SHOWN_CALLS_MAX]:
            expected = _short(repr(self._model.step(state, call.operation)[1]))
            when = f"[{call.began:g} to {call.ended:g}]"
            yield f"         {_short(str(call))}   {when} would result in {expected}"
        yield from _more(answered)
        pending = [call for call in under_way if call.ended is None]
        if pending:
            yield "These have no answer; that they may have happened before does not help:"
        for call in pending[:SHOWN_CALLS_MAX]:
            yield f"         {_short(str(call))}   [from {call.began:g}]"
        yield from _more(pending)


def _more(calls: Sequence[Call]) -> Iterator[str]:
    if len(calls) > SHOWN_CALLS_MAX:
        yield f"         ... and {len(calls) - SHOWN_CALLS_MAX} more ..."


def _short(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS_MAX:
        return text
    half = SHOWN_CHARACTERS_MAX // 2
    return f"{text[:half]} ... {text[-half:]}"


def _is_new(known: list[int], used: int) -> bool:
    """Add a set of calls, unless it, or a part of it, is known."""
    for mask in known:
        if mask & used == mask:
            return False
    known.append(used)
    return True

"""Searches through a space of states: breadth first, depth first, or at random."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Literal, NamedTuple

from pbactors.explore.bounds import Bounds
from pbactors.explore.judge import Judge
from pbactors.explore.space import Action, Move, Reach, Space, State

__all__ = ["Found", "search", "walk"]

PROGRESS_STATES = 4096


class Found(NamedTuple):
    """What a search found.

    Attributes:
        states: different states met.
        moves: moves made between them.
        depth: moves from a start to the state looked at last.
        exhausted: whether nothing is left within the bounds.
        violation: what does not hold at the end of ``path``, or None.
        goal: the state that satisfied the goal, or None.
        path: the actions that lead from a start to the violation or the goal.
        start: the start from which ``path`` leads.
        pruned: moves that would have gone beyond the bounds on views and confirm numbers.
    """

    states: int
    moves: int
    depth: int
    exhausted: bool
    violation: str | None
    goal: State | None
    path: tuple[Action, ...]
    start: State | None
    pruned: int


class _Search:
    """One search: what was seen, and how the search came to it.

    States are remembered by a hash of 64 bits. Among a hundred million states two share one with
    a chance of one in four thousand; then one of them is not looked at.
    """

    def __init__(self, judge: Judge, reach: Reach, goal: Callable[[State], bool] | None) -> None:
        self.judge = judge
        self.reach = reach
        self.goal = goal
        self.parents: dict[int, int | None] = {}
        self.moves = 0
        self.depth = 0
        self.starts: dict[int, State] = {}

    def look(self, state: State, parent: State | None) -> str | None:
        """Note a new state; return what does not hold in it."""
        digest = hash(state)
        self.parents[digest] = None if parent is None else hash(parent)
        if parent is None:
            self.starts[digest] = state
        return self.judge.refuse(state)

    def found(
        self,
        end: State | None,
        *,
        exhausted: bool = False,
        violation: str | None = None,
        last: Action | None = None,
    ) -> Found:
        """Return how the search ended, with the way to the state where it did."""
        start, path = (None, ()) if end is None else self._path(end)
        return Found(
            states=len(self.parents),
            moves=self.moves,
            depth=self.depth,
            exhausted=exhausted,
            violation=violation,
            goal=end if violation is None else None,
            path=path if last is None else (*path, last),
            start=start,
            pruned=self.reach.pruned,
        )

    def _path(self, end: State) -> tuple[State, tuple[Action, ...]]:
        """Make the way to ``end`` again, from hashes alone."""
        digests = [hash(end)]
        while (parent := self.parents[digests[-1]]) is not None:
            digests.append(parent)
        state = start = self.starts[digests.pop()]
        actions = []
        for digest in reversed(digests):
            move = next(move for move in self.reach.moves(state) if hash(move[0]) == digest)
            actions.append(self.reach.action(move))
            state = move[0]
        return start, tuple(actions)


def search(
    space: Space,
    starts: Iterable[State],
    bounds: Bounds,
    judge: Judge,
    *,
    goal: Callable[[State], bool] | None = None,
    order: Literal["breadth", "depth"] = "breadth",
    states_max: int | None = None,
    seconds_max: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Visit every state that can be reached, until something does not hold or the goal is met.

    Args:
        space: where states are.
        starts: where to begin.
        bounds: how far to go.
        judge: says what does not hold.
        goal: the search ends with the first state that satisfies it.
        order: breadth first finds shortest ways; depth first gets far soon.
        states_max: end, not exhausted, after so many states.
        seconds_max: end, not exhausted, after this time.
        progress: told now and then how many states there are, and how many wait to be looked at.
    """
    run = _Search(judge, Reach(space, bounds), goal)
    frontier: deque[tuple[int, State]] = deque()
    for state in starts:
        if hash(state) not in run.parents:
            violation = run.look(state, None)
            if violation is not None or (goal is not None and goal(state)):
                return run.found(state, violation=violation)
            frontier.append((0, state))
    take = frontier.popleft if order == "breadth" else frontier.pop
    until_s = None if seconds_max is None else time.monotonic() + seconds_max
    visited = 0
    while frontier:
        run.depth, state = take()
        ended = _visit(run, state, frontier)
        if ended is not None:
            return ended
        if states_max is not None and len(run.parents) >= states_max:
            return run.found(None)
        visited += 1
        if visited % PROGRESS_STATES == 0:
            if progress is not None:
                progress(len(run.parents), len(frontier))
            if until_s is not None and time.monotonic() > until_s:
                return run.found(None)
    return run.found(None, exhausted=True)


def _visit(run: _Search, state: State, frontier: deque[tuple[int, State]]) -> Found | None:
    """Look at what follows ``state``; return the end of the search if it is found there."""
    parents = run.parents
    for move in run.reach.moves(state):
        run.moves += 1
        after, _, _, _, violation = move
        if violation is not None:
            return run.found(state, violation=violation, last=run.reach.action(move))
        if hash(after) in parents:
            continue
        violation = run.look(after, state)
        if violation is not None:
            return run.found(after, violation=violation)
        if run.goal is not None and run.goal(after):
            return run.found(after)
        frontier.append((run.depth + 1, after))
    return None


def walk(
    space: Space, start: State, bounds: Bounds, judge: Judge, random: Random, steps_max: int
) -> Found:
    """Go one way at random, which gets deeper than any search; end where nothing can happen."""
    reach = Reach(space, bounds)
    state = start
    path: list[Action] = []
    violation = judge.refuse(start)
    while violation is None and len(path) < steps_max:
        moves: list[Move] = list(reach.moves(state))
        if not moves:
            break
        move = random.choice(moves)
        path.append(reach.action(move))
        state = move[0]
        violation = move[4] or judge.refuse(state)
    return Found(
        states=len(path) + 1,
        moves=len(path),
        depth=len(path),
        exhausted=False,
        violation=violation,
        goal=None,
        path=tuple(path),
        start=start,
        pruned=reach.pruned,
    )

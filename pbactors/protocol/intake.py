"""What a primary takes from clients: each command once, in its session's order, bounded (R38).

Commands that are taken and not executed are *marked*, so that a client's repetition is not taken
again. Marks belong to one unbroken time as primary: they are dropped with it, and start from the
executed session table (R39).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import cast

from pbactors.config import Limits
from pbactors.protocol.core import Address
from pbactors.protocol.messages import Reason, Request
from pbactors.protocol.operations import (
    BODY_OF,
    Operation,
    Query,
    Result,
    by_session,
    in_rows,
)
from pbactors.protocol.replies import Replies
from pbactors.protocol.state import ReplicatedState

__all__ = ["Intake", "WaitingQuery"]


@dataclass(slots=True)
class WaitingQuery:
    """A query that is not answered yet.

    Attributes:
        source: who asked.
        query: what.
        key: what a repetition of it has in common with it.
        position: it sees the state right after this op number; None until placed.
        confirm: the confirm number whose echo it waits for; None until one is sent.
    """

    source: Address
    query: Query
    key: tuple[bytes, int]
    position: int | None = None
    confirm: int | None = None

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (self.source, self.query, self.position, self.confirm)


class Intake:
    """Takes requests, and remembers what is taken and not answered.

    Args:
        state: the session table decides what is new.
        replies: for what can be answered or refused at once.
        limits: bounds.

    Attributes:
        gathered: what was taken, in order of arrival, and has no place in the order yet.
    """

    def __init__(self, state: ReplicatedState, replies: Replies, limits: Limits) -> None:
        self._state = state
        self._replies = replies
        self._limits = limits
        self.gathered: deque[Operation | WaitingQuery] = deque()
        self._pending = 0
        self._taken: dict[int, int] = {}
        self._opening: dict[bytes, Address] = {}
        self._asked: dict[tuple[bytes, int], Address] = {}

    # -- taking -------------------------------------------------------------------------------

    def on_request(self, source: Address, request: Request) -> None:
        """Take operations and queries, each query right behind the command it must see."""
        if not request.queries:
            self._take_operations(source, request.operations)
            return
        for operations, queries in in_rows(request.operations, request.queries):
            self._take_operations(source, operations)
            self._take_queries(source, queries)

    def _take_operations(self, source: Address, operations: Sequence[Operation]) -> None:
        for session, row in by_session(operations):
            if session:
                self._take_commands(source, session, row)
            else:
                for operation in row:
                    self._take_opening(source, operation)

    def _take_commands(self, source: Address, session: int, operations: list[Operation]) -> None:
        """Take what is next in order of one session's commands."""
        entry = self._state.sessions.get(session)
        if entry is None:
            self._replies.session_gone(source, session)
            return
        limits, gathered = self._limits, self.gathered
        before = taken = self._taken.get(session, entry.last)
        full = taken + limits.pending_operations_max - self._pending
        repeated = False
        for operation in operations:
            _, number, floor, _, body = operation
            if number == taken + 1:
                if number >= floor + limits.session_window:
                    self._refuse(source, "the session's window is full")
                elif number > full:
                    self._refuse(source, "too many commands are pending")
                elif len(body) > limits.operation_bytes_max:
                    self._refuse(source, "the arguments are too large")
                else:
                    taken = number
                    gathered.append(operation)
            elif number > taken:
                continue  # behind a gap that the client will fill
            elif number > entry.last:
                repeated = True
            elif number >= entry.floor:  # else the client has said it has this result
                self._replies.result(source, (session, number, entry.results[number]))
        if taken > before:
            self._taken[session] = taken
            self._pending += taken - before
        if taken > before or repeated:  # pending; the client may have moved
            self._replies.route(session, source)

    def _refuse(self, source: Address, text: str) -> None:
        self._replies.refuse(source, Reason.OVERLOADED, text)

    def _take_opening(self, source: Address, operation: Operation) -> None:
        token = operation[4]
        known = self._state.sessions.opened_by(token)
        if known is not None:
            self._replies.result(source, (known, 0, token))
        elif token in self._opening:
            self._opening[token] = source
        elif self._pending >= self._limits.pending_operations_max:
            self._refuse(source, "too many commands are pending")
        else:
            self._opening[token] = source
            self._pending += 1
            self.gathered.append(operation)

    def _take_queries(self, source: Address, queries: Sequence[Query]) -> None:
        asked, get_session = self._asked, self._state.sessions.get
        for query in queries:
            number, session, after, _ = query
            key = (source.route, number)
            if key in asked:
                continue
            if after:
                entry = get_session(session)
                if entry is None:
                    self._replies.session_gone(source, session)
                    continue
                if after > self._taken.get(session, entry.last):
                    continue  # its command is not here yet; both will come again
            if len(asked) >= self._limits.waiting_queries_max:
                self._refuse(source, "too many queries are waiting")
                continue
            asked[key] = source
            self.gathered.append(WaitingQuery(source, query, key))

    def next_batch(
        self, end: int, room: int | None
    ) -> tuple[tuple[Operation, ...], list[WaitingQuery]]:
        """Take the next commands out, up to the size of one forward, and the queries among them.

        Args:
            end: the last op number that is given away; it decides where queries stand.
            room: how many commands there is room for; None for a whole forward.
        """
        count_max = self._limits.forward_operations_max
        if room is not None:
            count_max = max(0, min(count_max, room))
        if self._asked:
            operations, queries = self._next_of_both(end, count_max)
        else:
            operations, queries = self._next_commands(count_max), []
        taken = len(operations) + len(queries)
        if taken == len(self.gathered):
            self.gathered.clear()
        else:
            for _ in range(taken):
                self.gathered.popleft()
        return operations, queries

    def _next_commands(self, count_max: int) -> tuple[Operation, ...]:
        """Return the first of what is gathered, where no query is."""
        commands = list(islice(cast("deque[Operation]", self.gathered), count_max))
        sizes = accumulate(map(len, map(BODY_OF, commands)))
        fitting = sum(map(self._limits.forward_bytes_max.__ge__, sizes))
        return tuple(commands[: max(1, fitting)])

    def _next_of_both(
        self, end: int, count_max: int
    ) -> tuple[tuple[Operation, ...], list[WaitingQuery]]:
        operations: list[Operation] = []
        queries: list[WaitingQuery] = []
        size = 0
        for item in self.gathered:
            if isinstance(item, WaitingQuery):
                item.position = end + len(operations)
                queries.append(item)
                continue
            size += len(item[4])
            full = size > self._limits.forward_bytes_max
            if len(operations) >= count_max or (operations and full):
                break
            operations.append(item)
        return tuple(operations), queries

    # -- answering ----------------------------------------------------------------------------

    def executed(self, operations: tuple[Operation, ...], results: list[Result | None]) -> None:
        """Commands were executed; the session of some may be gone by then."""
        self._pending -= len(operations)
        done = 0
        for session, row in by_session(operations):
            came_to = results[done : done + len(row)]
            done += len(row)
            if session:
                self._replies.executed(session, came_to)
                if self._taken.get(session) == row[-1][1]:  # nothing of it is pending any more
                    del self._taken[session]
                    self._replies.drop_route(session)
            else:
                self._opened(row, came_to)

    def _opened(self, openings: list[Operation], results: list[Result | None]) -> None:
        for operation, result in zip(openings, results, strict=True):
            source = self._opening.pop(operation[4], None)
            if source is not None and result is not None:
                self._replies.result(source, result)

    def answered(self, waiting: WaitingQuery, outcome: bytes) -> None:
        """A query was answered."""
        del self._asked[waiting.key]
        self._replies.answer(waiting.source, (waiting.query[0], outcome))

    def refuse_all(self, reason: Reason, text: str) -> None:
        """Tell everyone who waits to ask elsewhere, later (R40)."""
        for source in (*self._asked.values(), *self._opening.values()):
            self._replies.refuse(source, reason, text)
        for session in self._taken:
            self._replies.refuse_session(session, reason, text)

    # -- copies -------------------------------------------------------------------------------

    def clone(self, state: ReplicatedState, replies: Replies) -> Intake:
        """Return an independent copy over equal ``state`` and ``replies``."""
        copy = Intake(state, replies, self._limits)
        copy.gathered = deque(
            replace(item) if isinstance(item, WaitingQuery) else item for item in self.gathered
        )
        copy._pending = self._pending
        copy._taken = dict(self._taken)
        copy._opening = dict(self._opening)
        copy._asked = dict(self._asked)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            tuple(
                item.freeze() if isinstance(item, WaitingQuery) else item for item in self.gathered
            ),
            tuple(sorted(self._taken.items())),
            tuple(sorted(self._opening.items())),
            tuple(sorted(self._asked)),
            self._pending,
        )

"""The at-most-once table: part of the replicated state, and of every snapshot (R21, R29, R38, R41).

A session is opened by an operation and named by its op number. Its commands carry request numbers
from 1 without a gap. The table remembers, for each session, the last executed number and the
results that the client may still ask for. Both copies change it only by executing operations, so
both agree on it: on floors, on evictions, on everything.

Why it must be replicated: a client that heard no answer asks the promoted backup again. A table
that stayed behind with the old primary would let the command take effect twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import count
from operator import eq
from typing import TypeAlias

from pbactors import values
from pbactors.errors import InvariantViolated, MalformedMessage
from pbactors.protocol.operations import (
    BODY_OF,
    KIND_OF,
    NUMBER_OF,
    Kind,
    Operation,
    Result,
    by_session,
)

__all__ = ["Run", "Session", "Sessions"]

_CALLS = frozenset({int(Kind.CALL)})

Run: TypeAlias = Callable[[int, list[bytes]], list[bytes]]
"""Executes the bodies of calls in a row, given the op number of the first; returns the outcomes."""


_Row: TypeAlias = "tuple[int, Session, list[Operation]]"
"""Calls of one session in a row: its id, what is remembered of it, and they."""


class Session:
    """What is remembered of one client.

    Attributes:
        token: the client's random token, by which a repeated opening is recognised.
        last: the last executed request number.
        floor: results below this number have arrived and are dropped (R32).
        results: outcomes by request number, from ``floor`` to ``last``.
    """

    __slots__ = ("floor", "last", "results", "token")

    def __init__(self, token: bytes) -> None:
        self.token = token
        self.last = 0
        self.floor = 1
        self.results: dict[int, bytes] = {}

    def raise_floor(self, floor: int) -> None:
        """Drop the results that the client has said it has: those below a higher floor."""
        for number in range(self.floor, floor):
            self.results.pop(number, None)
        self.floor = floor

    def are_next(self, operations: list[Operation]) -> bool:
        """Tell whether these operations of the session are calls, and next in order (R38)."""
        in_order = all(map(eq, map(NUMBER_OF, operations), count(self.last + 1)))
        return in_order and _CALLS.issuperset(map(KIND_OF, operations))

    def clone(self) -> Session:
        """Return an independent copy."""
        copy = Session(self.token)
        copy.last, copy.floor, copy.results = self.last, self.floor, dict(self.results)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (self.token, self.last, self.floor, tuple(self.results.items()))


class Sessions:
    """All sessions, in the order in which they were last used.

    Args:
        sessions_max: opening one more ends the one unused for longest. Order of use is order of
            execution, so the choice is the same on both copies (R41).
    """

    def __init__(self, sessions_max: int) -> None:
        self.sessions_max = sessions_max
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        self._by_token: dict[bytes, int] = {}
        self._lent: set[int] = set()  # sessions that a snapshot has yet to read as they are

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, session: int) -> Session | None:
        """Return the session of that id, if it stands."""
        return self._sessions.get(session)

    def opened_by(self, token: bytes) -> int | None:
        """Return the id of the session that this token opened, if it stands."""
        return self._by_token.get(token)

    def execute(self, first: int, operations: Sequence[Operation], run: Run) -> list[Result | None]:
        """Execute operations in order, each at most once.

        Args:
            first: the op number of the first of them.
            operations: what to execute.
            run: executes calls.

        Returns:
            The result of each, or None where the session no longer stands; then it was not
            executed.
        """
        results: list[Result | None] = []
        begun: list[_Row] = []
        for session, row in by_session(operations):
            entry = self._begin(session, row)
            if entry is not None:
                begun.append((session, entry, row))
                continue
            self._finish(first, begun, run, results)
            for operation in row:
                self._execute_one(first, operation, run, results)
        self._finish(first, begun, run, results)
        return results

    def _begin(self, session: int, row: list[Operation]) -> Session | None:
        """Note that these operations of a session are executed, if all are calls and next in order.

        What follows sees them as executed, so the calls of many sessions run in one go: what they
        come to decides nothing about it.
        """
        entry = self._sessions.get(session)
        if entry is None or not entry.are_next(row):
            return None
        if session in self._lent:
            self._lent.discard(session)
            entry = self._sessions[session] = entry.clone()
        entry.last = row[-1][1]
        self._sessions.move_to_end(session)  # now the most recently used
        return entry

    def _finish(
        self, first: int, begun: list[_Row], run: Run, results: list[Result | None]
    ) -> None:
        """Run the calls that have begun, and keep what they come to."""
        if not begun:
            return
        bodies = [body for _, _, row in begun for body in map(BODY_OF, row)]
        outcomes = run(first + len(results), bodies)
        if len(outcomes) != len(bodies):
            raise InvariantViolated(f"{len(bodies)} calls came to {len(outcomes)} outcomes")
        rest = iter(outcomes)  # of which each row takes its part
        for session, entry, row in begun:
            kept, floor = entry.results, entry.floor
            for (_, number, received, _, _), outcome in zip(row, rest, strict=False):
                kept[number] = outcome
                results.append((session, number, outcome))
                if received > floor:
                    floor = received
            if floor > entry.floor:
                entry.raise_floor(floor)
        begun.clear()

    def _execute_one(
        self, first: int, operation: Operation, run: Run, results: list[Result | None]
    ) -> None:
        """Execute an operation that may be anything."""
        session, _, _, _, body = operation
        if not session:
            results.append((self._open(first + len(results), body), 0, body))
            return
        entry = self._begin(session, [operation])
        if entry is not None:
            self._finish(first, [(session, entry, [operation])], run, results)
            return
        entry = self._sessions.get(session)
        results.append(None if entry is None else self._repeat_or_close(entry, operation))

    def _repeat_or_close(self, entry: Session, operation: Operation) -> Result:
        session, number, _, kind, _ = operation
        if number <= entry.last:  # a repeat: it has had its effect (R24)
            return (session, number, entry.results.get(number, b""))
        if number != entry.last + 1 or kind != Kind.CLOSE:
            raise InvariantViolated(
                f"R38: session {session} executes number {number} after {entry.last}"
            )
        self._drop(session)
        return (session, number, b"")

    def _open(self, op: int, token: bytes) -> int:
        known = self._by_token.get(token)
        if known is not None:
            return known
        while len(self._sessions) >= self.sessions_max:
            self._drop(next(iter(self._sessions)))
        self._sessions[op] = Session(token)
        self._by_token[token] = op
        return op

    def _drop(self, session: int) -> None:
        del self._by_token[self._sessions.pop(session).token]

    # -- copies -------------------------------------------------------------------------------

    def snapshot(self, piece_bytes_max: int) -> Iterator[bytes]:
        """Yield the table, as it is at this call, in pieces of about ``piece_bytes_max`` bytes.

        A piece is a packed list of rows: ``(id, token, last, floor)`` begins a session,
        ``(id, number, outcome)`` adds a result to it. Operations may be executed meanwhile: they
        change copies of the sessions that are lent to the snapshot.
        """
        entries = list(self._sessions.items())
        lent = self._lent = {session for session, _ in entries}
        return self._pieces(entries, lent, piece_bytes_max)

    def _pieces(
        self, entries: list[tuple[int, Session]], lent: set[int], piece_bytes_max: int
    ) -> Iterator[bytes]:
        rows: list[tuple[object, ...]] = []
        size = 0
        for row, row_bytes in _rows(entries):
            if rows and size + row_bytes > piece_bytes_max:
                yield values.pack(rows)
                rows, size = [], 0
            rows.append(row)
            size += row_bytes
        lent.clear()
        yield values.pack(rows)

    def load(self, piece: bytes) -> None:
        """Add the rows of one piece.

        Raises:
            MalformedMessage: the piece is not one of a session table.
        """
        rows = values.unpack(piece)
        if not isinstance(rows, list):
            raise MalformedMessage("a piece of a session table is a list of rows")
        for row in rows:
            match row:
                case (int() as session, bytes() as token, int() as last, int() as floor):
                    entry = self._sessions[session] = Session(token)
                    entry.last, entry.floor = last, floor
                    self._by_token[token] = session
                case (int() as session, int() as number, bytes() as outcome) if (
                    session in self._sessions
                ):
                    self._sessions[session].results[number] = outcome
                case _:
                    raise MalformedMessage("a row of a session table that nobody writes")

    def clone(self) -> Sessions:
        """Return an independent copy."""
        copy = Sessions(self.sessions_max)
        copy._sessions = OrderedDict(
            (session, entry.clone()) for session, entry in self._sessions.items()
        )
        copy._by_token = dict(self._by_token)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return tuple((session, entry.freeze()) for session, entry in self._sessions.items())


def _rows(
    entries: Iterable[tuple[int, Session]],
) -> Iterator[tuple[tuple[object, ...], int]]:
    for session, entry in entries:
        yield (session, entry.token, entry.last, entry.floor), 48
        for number, outcome in entry.results.items():
            yield (session, number, outcome), 24 + len(outcome)

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
from collections.abc import Callable, Hashable, Iterable, Iterator

from pbactors import values
from pbactors.errors import InvariantViolated, MalformedMessage
from pbactors.protocol.operations import Kind, Operation, Result

__all__ = ["Session", "Sessions"]


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
        """Drop the results that the client has said it has."""
        for number in range(self.floor, floor):
            self.results.pop(number, None)
        self.floor = max(self.floor, floor)

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

    def execute(
        self, op: int, operation: Operation, run: Callable[[bytes], bytes]
    ) -> Result | None:
        """Execute one operation, at most once.

        Args:
            op: the op number.
            operation: what to execute.
            run: executes the body of a call and returns its outcome.

        Returns:
            The result, or None where the session no longer stands; then nothing was executed.
        """
        session, number, floor, kind, body = operation
        if kind == Kind.OPEN:
            return (self._open(op, body), 0, body)
        entry = self._sessions.get(session)
        if entry is None:
            return None
        if number <= entry.last:  # a repeat: it has had its effect (R24)
            return (session, number, entry.results.get(number, b""))
        if number != entry.last + 1:
            raise InvariantViolated(
                f"R38: session {session} executes number {number} after {entry.last}"
            )
        if kind == Kind.CLOSE:
            self._drop(session)
            return (session, number, b"")
        outcome = run(body)
        if session in self._lent:
            self._lent.discard(session)
            entry = self._sessions[session] = entry.clone()
        entry.last = number
        entry.raise_floor(floor)
        entry.results[number] = outcome
        self._sessions.move_to_end(session)  # now the most recently used
        return (session, number, outcome)

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

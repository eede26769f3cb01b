"""The replicated state: what primary and backup must have in common, and nothing else.

It is the machine, the session table, the number of the last executed operation, its stamp, and the
chained digest of all results. A transfer copies exactly this; equal histories make it equal on both
copies.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from pbactors.errors import InvariantViolated, MalformedMessage
from pbactors.protocol.machine import Machine
from pbactors.protocol.messages import Section
from pbactors.protocol.operations import Operation, Query, Result
from pbactors.protocol.sessions import Sessions

__all__ = ["ReplicatedState"]


class ReplicatedState:
    """Machine, session table, op number, stamp and digest, changed by executing operations only.

    Args:
        machine: what is replicated.
        sessions: the at-most-once table.
        copy: tells this copy from others, for outcomes that never count as equal (R50, R52).

    Attributes:
        op: the last executed op number; 0 before any.
        stamp: the stamp of that operation; empty before any (R51).
        digest: the chained digest of all outcomes up to it (R50).
    """

    __slots__ = ("_copy", "digest", "machine", "op", "sessions", "stamp")

    def __init__(self, machine: Machine, sessions: Sessions, copy: bytes) -> None:
        self.machine = machine
        self.sessions = sessions
        self._copy = copy
        self.op = 0
        self.stamp = b""
        self.digest = 0

    def execute(self, stamp: bytes, operations: Sequence[Operation]) -> list[Result | None]:
        """Execute the next operations of one batch, in order.

        Args:
            stamp: the stamp of the batch.
            operations: one at least.

        Returns:
            The result of each; None for one whose session no longer stands.
        """

        def run(first: int, bodies: list[bytes]) -> list[bytes]:
            outcomes = self.machine.execute(first, stamp, bodies)
            self.digest = self.machine.digest(self.digest, outcomes, self._copy)
            return outcomes

        results = self.sessions.execute(self.op + 1, operations, run)
        self.op += len(operations)
        self.stamp = stamp
        return results

    def query(self, query: Query) -> bytes:
        """Execute a query on the state as it is.

        Raises:
            InvariantViolated: the state lacks a command that the query must see (R29).
        """
        _, session, after, body = query
        entry = self.sessions.get(session) if after else None
        if entry is not None and entry.last < after:
            raise InvariantViolated(
                f"R29: a query behind command {after} of session {session} would see the state "
                f"after {entry.last}"
            )
        return self.machine.query(self.stamp, body)

    # -- copies -------------------------------------------------------------------------------

    def snapshot(self, piece_bytes_max: int) -> Iterator[tuple[Section, bytes]]:
        """Yield everything but op number, stamp and digest, in bounded pieces.

        It is the state of the moment of this call. Where ``executes_during_snapshot`` says no,
        nothing is executed while the iterator is in use.
        """
        sessions = self.sessions.snapshot(piece_bytes_max)
        machine = self.machine.snapshot(piece_bytes_max)
        return _in_sections(sessions, machine)

    def executes_during_snapshot(self) -> bool:
        """Tell whether a snapshot that is begun now stays that of this moment meanwhile (R33)."""
        return self.machine.executes_during_snapshot()

    def blank(self) -> ReplicatedState:
        """Return an empty state of the same kind, to ``load`` a snapshot into."""
        sessions = Sessions(self.sessions.sessions_max)
        return ReplicatedState(self.machine.blank(), sessions, self._copy)

    def load(self, section: int, body: bytes) -> None:
        """Add one piece, in order.

        Raises:
            MalformedMessage: the piece belongs to no state of this kind.
        """
        if section == Section.SESSIONS:
            self.sessions.load(body)
        elif section == Section.MACHINE:
            self.machine.load(body)
        else:
            raise MalformedMessage(f"no section of the state: {section}")

    def loaded(self, op: int, stamp: bytes, digest: int) -> None:
        """Finish loading: this is the state right after operation ``op``."""
        self.machine.loaded()
        self.op = op
        self.stamp = stamp
        self.digest = digest

    def clone(self) -> ReplicatedState:
        """Return an independent copy."""
        copy = ReplicatedState(self.machine.clone(), self.sessions.clone(), self._copy)
        copy.op, copy.stamp, copy.digest = self.op, self.stamp, self.digest
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (self.digest, self.content())

    def content(self) -> Hashable:
        """Return something hashable, equal exactly where copies are equal in all but the digest,
        which only speaks of them.
        """
        return (self.op, self.stamp, self.sessions.freeze(), self.machine.freeze())


def _in_sections(
    sessions: Iterator[bytes], machine: Iterator[bytes]
) -> Iterator[tuple[Section, bytes]]:
    for body in sessions:
        yield Section.SESSIONS, body
    for body in machine:
        yield Section.MACHINE, body

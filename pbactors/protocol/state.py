"""The replicated state: what primary and backup must have in common, and nothing else.

It is the machine, the session table, the number of the last executed operation and its stamp. A
transfer copies exactly this; equal histories make it equal on both copies.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from pbactors.errors import InvariantViolated, MalformedMessage
from pbactors.protocol.machine import Machine
from pbactors.protocol.messages import Section
from pbactors.protocol.operations import Operation, Query, Result
from pbactors.protocol.sessions import Sessions

__all__ = ["ReplicatedState"]


class ReplicatedState:
    """Machine, session table, op number and stamp, changed by executing operations only.

    Attributes:
        op: the last executed op number; 0 before any.
        stamp: the stamp of that operation; empty before any (R51).
    """

    __slots__ = ("machine", "op", "sessions", "stamp")

    def __init__(self, machine: Machine, sessions: Sessions) -> None:
        self.machine = machine
        self.sessions = sessions
        self.op = 0
        self.stamp = b""

    def execute(self, stamp: bytes, operation: Operation) -> Result | None:
        """Execute the next operation; None where its session no longer stands."""
        op = self.op + 1
        machine = self.machine
        result = self.sessions.execute(op, operation, lambda body: machine.execute(op, stamp, body))
        self.op = op
        self.stamp = stamp
        return result

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
        """Yield everything but op number and stamp, in bounded pieces."""
        for body in self.sessions.snapshot(piece_bytes_max):
            yield Section.SESSIONS, body
        for body in self.machine.snapshot(piece_bytes_max):
            yield Section.MACHINE, body

    def blank(self) -> ReplicatedState:
        """Return an empty state of the same kind, to ``load`` a snapshot into."""
        return ReplicatedState(self.machine.blank(), Sessions(self.sessions.sessions_max))

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

    def loaded(self, op: int, stamp: bytes) -> None:
        """Finish loading: this is the state right after operation ``op``."""
        self.machine.loaded()
        self.op = op
        self.stamp = stamp

    def clone(self) -> ReplicatedState:
        """Return an independent copy."""
        copy = ReplicatedState(self.machine.clone(), self.sessions.clone())
        copy.op, copy.stamp = self.op, self.stamp
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (self.op, self.stamp, self.sessions.freeze(), self.machine.freeze())

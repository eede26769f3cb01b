"""The replicated state under observation: everything that it executes is told to the judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pbactors.machines.calls import decode_call
from pbactors.protocol.machine import Machine
from pbactors.protocol.operations import Kind, Operation, Result
from pbactors.protocol.replica import Replica
from pbactors.protocol.sessions import Sessions
from pbactors.protocol.state import ReplicatedState

__all__ = ["Executed", "WatchedState", "watch"]


class Executed(NamedTuple):
    """One operation as one copy executed it.

    Attributes:
        operation: what.
        stamp: with which stamp (R51).
        result: what came of it; None where its session was gone.
    """

    operation: Operation
    stamp: bytes
    result: Result | None

    def __str__(self) -> str:
        session, number, _, kind, body = self.operation
        if kind == Kind.CALL:
            method, arguments, named = decode_call(body)
            given = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in named.items())]
            what = f"{method}({', '.join(given)})"
        else:
            what = Kind(kind).name.lower()
        outcome = "its session is gone" if self.result is None else repr(self.result[2])
        stamp = self.stamp.hex()
        return f"[request {number} of session {session}: {what}, stamp {stamp}: {outcome}]"


Told = Callable[["WatchedState", int, Executed], None]


class WatchedState(ReplicatedState):
    """A state that tells what it executes.

    Attributes:
        tail: what it executed and the judge did not know yet to be part of the history, by op
            number.
    """

    __slots__ = ("_told", "tail")

    def __init__(self, machine: Machine, sessions: Sessions, copy: bytes, told: Told) -> None:
        super().__init__(machine, sessions, copy)
        self._told = told
        self.tail: dict[int, Executed] = {}

    def execute(self, stamp: bytes, operations: Sequence[Operation]) -> list[Result | None]:
        """Execute the next operations, and tell of each, with its op number."""
        first = self.op + 1
        results = super().execute(stamp, operations)
        for op, (operation, result) in enumerate(zip(operations, results, strict=True), first):
            self._told(self, op, Executed(operation, stamp, result))
        return results

    def blank(self) -> WatchedState:
        """Return an empty state of the same kind, which is watched too."""
        blank = super().blank()
        return WatchedState(blank.machine, blank.sessions, self._copy, self._told)


def watch(replica: Replica, told: Told) -> None:
    """Watch a replica that has not started yet."""
    state = replica.state
    replica.role.state = WatchedState(
        state.machine, state.sessions, replica.member.incarnation, told
    )

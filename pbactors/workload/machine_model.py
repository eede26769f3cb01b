"""A class as the sequential model of itself."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from random import Random
from typing import Any, Final

from pbactors.config import Limits
from pbactors.machines.adapter import ReplicatedMachine, contents_of
from pbactors.machines.calls import encode_call
from pbactors.machines.context import STAMP_BYTES, Context
from pbactors.machines.state_machine import StateMachine, interface
from pbactors.workload.base import Invocation, Unpredictable, outcome_of

__all__ = ["MachineModel", "MachineState"]

STATES_MAX: Final = 10_000
"""How many states are remembered, with what follows from them."""

_STAMP: Final = bytes(STAMP_BYTES)


class _WatchedContext(Context):
    """Notices that it is read: what a method does with it, nobody foresees."""

    was_read = False

    @property
    def now(self) -> datetime:
        self.was_read = True
        return super().now

    @property
    def random(self) -> Random:
        self.was_read = True
        return super().random

    def new_id(self) -> str:
        self.was_read = True
        return super().new_id()


class _WatchedMachine(ReplicatedMachine):
    """Keeps the context of its last call."""

    context: _WatchedContext

    def new_context(self, stamp: bytes, op_number: int) -> Context:
        self.context = _WatchedContext(stamp, op_number)
        return self.context


class MachineState:
    """A state of the class. Equal where the snapshots are.

    Attributes:
        machine: never changed; whoever goes on from here takes a clone.
    """

    __slots__ = ("_snapshot", "machine")

    def __init__(self, machine: _WatchedMachine) -> None:
        self.machine = machine
        self._snapshot = tuple(machine.snapshot(Limits().snapshot_piece_bytes_max))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MachineState) and self._snapshot == other._snapshot

    def __hash__(self) -> int:
        return hash(self._snapshot)

    def __repr__(self) -> str:
        """Show the attributes, or what the class puts into its snapshots instead."""
        return ", ".join(map(repr, contents_of(self._snapshot)))


class MachineModel:
    """A class as its own sequential model, which can foresee what depends on no context.

    Not thread-safe: it remembers what it found.

    Args:
        machine: the class.
    """

    def __init__(self, machine: type[StateMachine]) -> None:
        self._kinds = interface(machine)
        self._initial = MachineState(_WatchedMachine(machine, Limits().result_bytes_max))
        self._known: dict[tuple[MachineState, bytes], tuple[MachineState, object]] = {}

    def initial(self) -> Hashable:
        """Return the state of a new object."""
        return self._initial

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        """Return the state after ``operation``, and its result.

        Raises:
            Unpredictable: the method read ``self.context``.
        """
        body = encode_call(operation.method, operation.arguments)
        known = self._known.get((state, body))
        if known is None:
            if len(self._known) >= STATES_MAX:
                self._known.clear()
            known = self._known[state, body] = self._step(state, operation, body)
        return known

    def _step(
        self, state: MachineState, operation: Invocation, body: bytes
    ) -> tuple[MachineState, object]:
        machine = state.machine
        if self._kinds[operation.method] == "query":
            outcome, after = machine.query(_STAMP, body), state
        else:
            machine = machine.clone()
            [outcome] = machine.execute(1, _STAMP, [body])
            after = MachineState(machine)
        if machine.context.was_read:
            raise Unpredictable(f"{operation} reads self.context, which no model foresees")
        return after, outcome_of(outcome)

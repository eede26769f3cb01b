"""The workload on sets: what was added is there, and nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from random import Random
from typing import Any, Final

from pbactors.linearizability import Call
from pbactors.machines.sets import Sets
from pbactors.workload.base import Invocation, Workload

__all__ = ["SetModel", "SetWorkload"]

NAMES: Final = 3
"""How many sets: few, so that clients meet."""


class SetModel:
    """One set, as a frozenset."""

    def initial(self) -> Hashable:
        """Return the state before any operation."""
        return frozenset()

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        """Return the state after ``operation``, and its result."""
        method, (_, *arguments) = operation
        match method, arguments:
            case "contains", [item]:
                return state, item in state
            case "members", []:
                return state, sorted(state)
            case "add", [item]:
                return state | {item}, item not in state
            case "remove", [item]:
                return state - {item}, item in state
        raise ValueError(f"no operation on a set: {operation}")


class SetWorkload(Workload):
    """Adding, removing, and looking."""

    name = "set"
    machine = Sets

    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next."""
        name = f"set{random.randrange(NAMES)}"
        draw = random.random()
        if draw < 0.2:
            return Invocation("members", (name,))
        item = f"{client}.{turn}" if draw < 0.5 else f"{client}.{random.randrange(turn + 1)}"
        if draw < 0.6:
            return Invocation("add", (name, item))
        return Invocation("contains" if draw < 0.8 else "remove", (name, item))

    def final(self) -> Sequence[Invocation]:
        """List every set."""
        return [Invocation("members", (f"set{number}",)) for number in range(NAMES)]

    @property
    def model(self) -> SetModel:
        """One set."""
        return SetModel()

    def part_of(self, invocation: Invocation) -> Hashable:
        """Sets are independent."""
        return invocation.arguments[0]

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """What was added and never removed is there; what is there was added."""
        for (name,), members in self.final_results(calls, "members").items():
            asked: dict[str, set[object]] = {"add": set(), "remove": set()}
            sure = set()
            for call in calls:
                method, (where, *items) = call.operation
                if where == name and method in asked:
                    asked[method].update(items)
                    if method == "add" and call.ended is not None:
                        sure.update(items)
            sure -= asked["remove"]
            if not isinstance(members, list) or not all(isinstance(item, str) for item in members):
                return f"{name} holds {members!r} in the end, which is no list of items"
            there = members
            if len(set(there)) != len(there):
                return f"{name} holds an item twice: {there}"
            if not sure <= set(there) <= asked["add"]:
                return f"{name} holds {there} in the end, at least {sorted(sure)} was expected"
        return None

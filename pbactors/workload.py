"""Loads for a replicated class: what clients call, and what they must find.

One set of workloads serves the simulator, the explorer, storms on real processes and the bench.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from random import Random
from typing import ClassVar, NamedTuple

from pbactors.linearizability import Call, Model
from pbactors.machines.state_machine import StateMachine

__all__ = ["WORKLOADS", "Invocation", "Raised", "Workload", "outcome_of", "workload_for"]


class Invocation(NamedTuple):
    """A call that a client makes.

    Attributes:
        method: name of a command or query of the machine.
        arguments: positional ones.
    """

    method: str
    arguments: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.method}({', '.join(map(repr, self.arguments))})"


class Raised(NamedTuple):
    """The result of a method that raised."""

    type_name: str
    text: str


class Workload(ABC):
    """A load for one class, with the sequential model that judges it. Keeps no state of a run.

    Attributes:
        name: what a command line calls it.
        machine: the class.
    """

    name: ClassVar[str]
    machine: type[StateMachine]

    @abstractmethod
    def invoke(self, random: Random, client: int, turn: int) -> Invocation:
        """Return what a client calls next.

        Args:
            random: the source of choices; equal seeds give equal loads.
            client: the client's number, from 0.
            turn: how many calls it has made before.
        """

    @abstractmethod
    def final(self) -> Sequence[Invocation]:
        """Return what is called at the end, when all is calm, to see the whole state."""

    @property
    @abstractmethod
    def model(self) -> Model | None:
        """The sequential model of ``Invocation``s, or None where no history can be judged."""

    def part_of(self, invocation: Invocation) -> Hashable:
        """Return which independent part of the state a call is about: parts are judged apart."""
        return None

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """Return what is wrong with a whole history beyond its order, or None."""
        return None


WORKLOADS: Mapping[str, Workload] = {}
"""The reference workloads by name: register, append, counter, bank, set."""


def workload_for(machine: type[StateMachine]) -> Workload:
    """Return the class's own workload, the reference one, or one made from its type hints."""


def outcome_of(outcome: bytes) -> object:
    """Return what came of a call: the result, or ``Raised``; hashable where the result is."""

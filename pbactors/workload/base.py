"""What a workload is, and how a history is judged with one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from random import Random
from typing import ClassVar, NamedTuple

from pbactors.errors import MethodRaised
from pbactors.linearizability import Call, Model, Verdict, check
from pbactors.machines.calls import decode_outcome
from pbactors.machines.state_machine import StateMachine

__all__ = [
    "Invocation",
    "Raised",
    "Unpredictable",
    "Workload",
    "judge",
    "judge_order",
    "last_results",
    "outcome_of",
]


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


class Unpredictable(Exception):
    """A model cannot say what a call must result in, since that depends on ``self.context``."""


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
        """Return what is wrong with a whole history beyond its order, or None.

        Args:
            calls: all calls, with those of ``final`` as the last ones.
        """
        return None


def outcome_of(outcome: bytes) -> object:
    """Return what came of a call: the result, or ``Raised``."""
    try:
        return decode_outcome(outcome)
    except MethodRaised as error:
        return Raised(error.type_name, error.text)


def judge(workload: Workload, calls: Sequence[Call], time_limit_s: float | None = None) -> Verdict:
    """Judge a whole history: what must hold at its end, and whether it is linearizable.

    The verdict is None where nobody can tell: there is no model, or time ran out.
    """
    reason = workload.refuse_end(calls)
    if reason is not None:
        return Verdict(False, reason)
    return judge_order(workload, calls, time_limit_s)


def judge_order(
    workload: Workload, calls: Sequence[Call], time_limit_s: float | None = None
) -> Verdict:
    """Judge whether a history, or the beginning of one, is linearizable."""
    model = workload.model
    if model is None:
        return Verdict(None, "the results depend on self.context, so that no model foresees them")
    try:
        return check(calls, model, workload.part_of, time_limit_s)
    except Unpredictable as error:
        return Verdict(None, str(error))


def last_results(calls: Sequence[Call], method: str) -> dict[object, object]:
    """Return, by first argument, the result of the call of ``method`` that began last."""
    found: dict[object, tuple[float, object]] = {}
    for call in calls:
        if call.operation.method == method and call.ended is not None:
            key = call.operation.arguments[0]
            if key not in found or call.began >= found[key][0]:
                found[key] = (call.began, call.result)
    return {key: result for key, (_, result) in found.items()}

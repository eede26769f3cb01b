"""What a workload is, and how a history is judged with one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from functools import cached_property
from math import inf
from operator import attrgetter
from random import Random
from typing import ClassVar, NamedTuple

from pbactors.errors import MethodRaised
from pbactors.linearizability import Call, Model, Verdict, check
from pbactors.machines.calls import decode_outcome
from pbactors.machines.state_machine import StateMachine, interface

__all__ = [
    "Invocation",
    "Raised",
    "Unpredictable",
    "Workload",
    "amount_of",
    "is_a_sum",
    "judge",
    "judge_order",
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

    @cached_property
    def commands(self) -> frozenset[str]:
        """Names of the commands of the class; its other methods to call are queries."""
        return frozenset(
            name for name, kind in interface(self.machine).items() if kind == "command"
        )

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

    @property
    def why_no_model(self) -> str | None:
        """Why there is no ``model``, for a person; None where there is one."""
        return None if self.model is not None else f"{self.name}: this workload has no model"

    def part_of(self, invocation: Invocation) -> Hashable:
        """Return which independent part of the state a call is about: parts are judged apart."""
        return None

    def refuse_end(self, calls: Sequence[Call]) -> str | None:
        """Return what is wrong with a whole history beyond its order, or None.

        Args:
            calls: all calls, with those of ``final`` as the last ones. Without these, or where they
                have no answer, less can be wrong.
        """
        return None

    def final_results(self, calls: Sequence[Call], method: str) -> dict[tuple[object, ...], object]:
        """Return, by its arguments, what a query resulted in after all commands had ended.

        Args:
            calls: a whole history.
            method: the query; its arguments are hashable ones.
        """
        answered = [call for call in calls if call.ended is not None]
        ends = [call.ended or 0 for call in answered if call.operation.method in self.commands]
        calm = max(ends, default=-inf)
        return {
            call.operation.arguments: call.result
            for call in sorted(answered, key=attrgetter("began"))
            if call.operation.method == method and call.began >= calm
        }


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
    """Judge whether a history, or the beginning of one, is linearizable.

    The verdict is None where nobody can tell, with the reason.
    """
    model = workload.model
    if model is None:
        return Verdict(None, str(workload.why_no_model))
    commands = workload.commands
    # a query without an answer changed nothing and says nothing
    telling = [
        call for call in calls if call.ended is not None or call.operation.method in commands
    ]
    try:
        return check(telling, model, workload.part_of, time_limit_s)
    except Unpredictable as error:
        return Verdict(None, str(error))


def amount_of(client: int, turn: int) -> int:
    """Return an amount that no other call of the first ten clients has, so that it tells whose."""
    return 10 * turn + client + 1


def is_a_sum(number: int, amounts: Sequence[int]) -> bool:
    """Tell whether a number is the sum of some of the amounts, which are above 0."""
    reached = 1  # bit n: n is a sum
    for amount in amounts:
        reached |= reached << amount
    return number >= 0 and bool(reached >> number & 1)

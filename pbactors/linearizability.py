"""Is a history of concurrent calls linearizable?

A history is what clients saw: who called what, when, and what came of it. It is *linearizable*
(Herlihy and Wing, 1990) if every call can be given one moment between its beginning and its end so
that the results are those of a sequential run of the model in the order of these moments.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ["Call", "Model", "Verdict", "check"]


class Call(NamedTuple):
    """One call of a history.

    Attributes:
        client: who called, for people.
        operation: what was called; the model and ``part_of`` understand it.
        result: what came of it; None for a pending call.
        began: when, on any clock or counter that all calls share.
        ended: when the result was there; None for a pending call, which may or may not have taken
            effect, at any time after it began.
    """

    client: Hashable
    operation: Any
    result: object
    began: float
    ended: float | None


class Model(Protocol):
    """A sequential specification. States are hashable and are never changed in place."""

    def initial(self) -> Hashable:
        """Return the state before any operation."""

    def step(self, state: Any, operation: Any) -> tuple[Hashable, object]:
        """Return the state after ``operation``, and the one result that it must have."""


class Verdict(NamedTuple):
    """What a check found.

    Attributes:
        linearizable: True or False; None where time ran out before it was known.
        text: for a person: in one line if all is well, otherwise the longest linearizable prefix
            that was found, and the call that breaks it.
    """

    linearizable: bool | None
    text: str


def check(
    calls: Sequence[Call],
    model: Model,
    part_of: Callable[[Any], Hashable] | None = None,
    time_limit_s: float | None = None,
) -> Verdict:
    """Judge a history."""

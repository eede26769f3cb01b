"""Loads for a replicated class: what clients call, and what they must find.

One set of workloads serves the simulator, the explorer, storms on real processes and the bench. A
class of your own gets one from the type hints of its methods, or gives one itself::

    import pbactors
    from pbactors.workload import Workload, from_hints


    class Shop(pbactors.StateMachine):
        def __init__(self) -> None:
            self.stock: dict[str, int] = {}

        @pbactors.command
        def add(self, item: str, count: int) -> int:
            self.stock[item] = self.stock.get(item, 0) + count
            return self.stock[item]

        @pbactors.query
        def count(self, item: str) -> int:
            return self.stock.get(item, 0)

        @classmethod
        def workload(cls) -> Workload:
            # items do not touch each other, so what is seen of each can be judged apart
            return from_hints(cls, partition="item", pools={"count": [1, 2, 5]})
"""

from __future__ import annotations

from pbactors.machines.state_machine import StateMachine
from pbactors.workload.base import (
    Invocation,
    Raised,
    Unpredictable,
    Workload,
    judge,
    judge_order,
    outcome_of,
)
from pbactors.workload.from_hints import from_hints
from pbactors.workload.reference import WORKLOADS

__all__ = [
    "WORKLOADS",
    "Invocation",
    "Raised",
    "Unpredictable",
    "Workload",
    "from_hints",
    "judge",
    "judge_order",
    "outcome_of",
    "workload_for",
]


def workload_for(machine: type[StateMachine]) -> Workload:
    """Return the class's own workload, the reference one, or one made from its type hints.

    Raises:
        TypeError: its ``workload`` gives none, or a hint is missing or says too little.
    """
    own = getattr(machine, "workload", None)
    if own is not None:
        made = own()
        if not isinstance(made, Workload):
            raise TypeError(
                f"{machine.__name__}.workload() returned {made!r}. Expected a Workload, "
                f"for example pbactors.workload.from_hints({machine.__name__})"
            )
        return made
    for load in WORKLOADS.values():
        if load.machine is machine:
            return load
    return from_hints(machine)

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

from pbactors.workload.base import (
    Invocation,
    Raised,
    Unpredictable,
    Workload,
    judge,
    judge_order,
    outcome_of,
)
from pbactors.workload.choice import workload_for
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

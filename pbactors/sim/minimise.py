"""Makes a plan that breaks a promise as small as it gets, so that a person can follow its run.

Everything in a plan that may be the cause is left out, piece by piece, as long as some promise
still breaks: kinds of fault, actions of the nemesis, clients, replicas, operations. Any violation
counts: what is smaller and breaks another promise is the better way in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

from pbactors.machines.state_machine import StateMachine
from pbactors.sim.actions import Action
from pbactors.sim.mix import Mix
from pbactors.sim.plan import SWITCHES, Plan
from pbactors.sim.run import Report, simulate
from pbactors.workload import Workload

__all__ = ["minimise"]

RUNS_MAX = 250


def minimise(
    machine: type[StateMachine],
    broken: Report,
    workload: Workload | None = None,
    runs_max: int = RUNS_MAX,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Return the report of the smallest plan that was found to break a promise too.

    Args:
        machine: as it was simulated.
        broken: the report of the run that broke a promise.
        workload: as it was simulated.
        runs_max: how many smaller plans are tried.
        progress: is told how many were tried.
    """
    search = _Search(machine, broken, workload, runs_max, progress)
    before = None
    while search.smallest.plan != before and search.left:
        before = search.smallest.plan
        search.try_all(_without_mix)
        search.drop_actions()
        search.try_all(_smaller_numbers)
    return search.smallest


class _Search:
    """The smallest plan so far, and how many tries are left."""

    def __init__(
        self,
        machine: type[StateMachine],
        broken: Report,
        workload: Workload | None,
        runs_max: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._machine = machine
        self._workload = workload
        self._runs_max = runs_max
        self._progress = progress
        self.left = runs_max
        self.smallest = broken
        self.accepts(replace(broken.plan, operations=max(1, broken.operations)))

    def accepts(self, plan: Plan) -> bool:
        """Try a plan; keep it if it breaks a promise."""
        if plan == self.smallest.plan or not self.left:
            return False
        self.left -= 1
        if self._progress is not None:
            self._progress(self._runs_max - self.left)
        report = simulate(self._machine, plan.seed, plan=plan, workload=self._workload)
        if report.violation is None:
            return False
        self.smallest = report
        return True

    def try_all(self, smaller: Callable[[Plan], Iterator[Plan]]) -> None:
        """Try what is a little smaller, again and again, until nothing of it breaks a promise."""
        while any(self.accepts(plan) for plan in smaller(self.smallest.plan)):
            pass

    def drop_actions(self) -> None:
        """Leave out actions: many at first, single ones in the end."""
        size = len(self.smallest.plan.actions)
        while size:
            start = 0
            while start < len(self.smallest.plan.actions):
                actions: tuple[Action, ...] = self.smallest.plan.actions
                kept = actions[:start] + actions[start + size :]
                if not self.accepts(replace(self.smallest.plan, actions=kept)):
                    start += size
            size //= 2


def _without_mix(plan: Plan) -> Iterator[Plan]:
    if plan.mix != Mix():
        yield replace(plan, mix=Mix())
    for knob in fields(Mix):
        if getattr(plan.mix, knob.name):
            yield replace(plan, mix=replace(plan.mix, **{knob.name: 0.0}))
    for name in SWITCHES:
        if getattr(plan, name):
            yield replace(plan, **{name: False})  # type: ignore[arg-type]


def _smaller_numbers(plan: Plan) -> Iterator[Plan]:
    for part in (2, 4, 8, plan.operations):
        fewer = plan.operations - max(1, plan.operations // part)
        if fewer:
            yield replace(plan, operations=fewer)
    if plan.horizon_ms > 50:
        yield replace(plan, horizon_ms=plan.horizon_ms // 2)
    if plan.clients > 1:
        yield replace(plan, clients=plan.clients - 1)
    if plan.replicas > 1:
        yield replace(plan, replicas=plan.replicas - 1)

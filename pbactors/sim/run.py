"""One run: faults, then calm; and what is judged at the end.

``simulate`` is what tests, hunts for planted bugs and ``pbactors sim`` call.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pbactors.ensemble import VIEW_SERVER
from pbactors.linearizability import Call
from pbactors.machines.state_machine import StateMachine
from pbactors.protocol.invariants import recoverable
from pbactors.protocol.primary import Primary
from pbactors.sim.callers import Callers
from pbactors.sim.nemesis import Nemesis
from pbactors.sim.plan import OPERATIONS, Plan
from pbactors.sim.recorder import Recorder
from pbactors.sim.replay import refuse_history
from pbactors.sim.violation import Violation
from pbactors.sim.world import World
from pbactors.trace import Sort, Trace
from pbactors.workload import WORKLOADS, Workload, judge_order, outcome_of, workload_for

__all__ = ["Report", "draw_workload", "simulate"]

STARTING_MS = 30
CAP_HORIZONS = 4
CHECK_TIME_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one run.

    Attributes:
        plan: what was planned.
        violation: which promise was broken, and how; None if none was.
        outcome: "served", or "stuck" where the state was lost and the cluster said so; "broken"
            after a violation.
        operations: how many calls were made.
        answered: how many of them were answered.
        committed: how many operations were committed.
        steps: how many things happened.
        views: how many views there were.
        time_ms: how long it took, in virtual time.
        faults: how often each kind of fault happened.
        digest: of everything that was sent and answered; equal exactly where runs are equal.
        trace: what happened, if it was asked for.
    """

    plan: Plan
    violation: str | None
    outcome: str
    operations: int
    answered: int
    committed: int
    steps: int
    views: int
    time_ms: float
    faults: Counter[str] = field(default_factory=Counter)
    digest: int = 0
    trace: Trace | None = None


def draw_workload(machine: type[StateMachine], seed: int) -> Workload:
    """Return one of the reference workloads that fit the class, or its own."""
    fitting = [load for load in WORKLOADS.values() if load.machine is machine]
    if not fitting:
        return workload_for(machine)
    return Random(f"{seed}/workload").choice(fitting)


def simulate(
    machine: type[StateMachine],
    seed: int,
    *,
    operations: int = OPERATIONS,
    plan: Plan | None = None,
    workload: Workload | None = None,
    tracing: bool = False,
) -> Report:
    """Run one seed, and judge it. Equal arguments give equal reports, in every process.

    Args:
        machine: the class that is replicated.
        seed: draws the plan and everything that the plan leaves open.
        operations: how many calls clients make together.
        plan: instead of the one that ``seed`` and ``operations`` draw.
        workload: what clients call; drawn among those that fit the class if not given.
        tracing: whether the report has a trace; that takes several times as long.
    """
    plan = plan or Plan.draw(seed, operations)
    run = _Run(machine, plan, workload or draw_workload(machine, plan.seed), tracing)
    try:
        outcome = run.run()
    except Violation as violation:
        return run.report("broken", str(violation))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the class and its workload are anybody's
        return run.report("broken", _told(error))
    return run.report(outcome, None)


def _told(error: BaseException) -> str:
    """Return an error that no core raised, with the place where it was raised."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frame.filename).name}:{frame.lineno}, {frame.name}"
    return f"{type(error).__name__} at {place}: {error}"


class _Run:
    """One run of a plan."""

    def __init__(
        self, machine: type[StateMachine], plan: Plan, workload: Workload, tracing: bool
    ) -> None:
        self._machine = machine
        self._plan = plan
        self._workload = workload
        self._recorder = Recorder() if tracing else None
        self._world = World(machine, plan, self._recorder)
        self._callers = Callers(self._world, workload)
        self._nemesis = Nemesis(self._world, self._callers)
        dead_ms, patience_ms = plan.timing.dead_interval_ms, plan.timing.client_resend_max_ms
        self._settle_ms = 10 * dead_ms + 500  # what is very late has arrived by then
        self._bound_ms = 20 * (dead_ms + patience_ms) + 20_000

    def run(self) -> str:
        """Return how it ended."""
        world, agenda = self._world, self._world.agenda
        self._start()
        self._storm()
        self._nemesis.end()
        if self._plan.ending:
            self._lose_the_state()
        world.calm()
        if self._recorder is not None:
            self._recorder.note(world, "", Sort.FAULT, "all faults end")
        agenda.run(agenda.now_ms + self._settle_ms, lambda: self._callers.done)
        if self._plan.absence and recoverable(world):
            self._lose_one()
            # The other member may be taken for dead just then (R9), and the dead one be promoted.
            agenda.run(agenda.now_ms + 4 * self._plan.timing.dead_interval_ms)
        if recoverable(world):
            self._serve(agenda.now_ms)
            self._callers.read_all()
            self._serve(agenda.now_ms)
            world.judge.compare()
            outcome = "served"
        else:
            self._stay_stuck()
            outcome = "stuck"
        self._judge_history(outcome)
        return outcome

    def _storm(self) -> None:
        """Let the nemesis act until its time is over and all calls are made, or all is lost."""
        agenda, horizon_ms = self._world.agenda, self._plan.horizon_ms
        slice_ms = 3 * self._plan.timing.dead_interval_ms
        lost = False
        while agenda.now_ms < CAP_HORIZONS * horizon_ms:
            over = agenda.now_ms >= horizon_ms
            until_ms = (
                agenda.now_ms + slice_ms if over else min(horizon_ms, agenda.now_ms + slice_ms)
            )
            agenda.run(until_ms, (lambda: not self._callers.left) if over else None)
            if over and not self._callers.left:
                return
            lost_before, lost = lost, self._world.view_server_runs and not recoverable(self._world)
            if lost_before and lost and self._world.views:
                return

    def _start(self) -> None:
        world = self._world
        random = Random(f"{self._plan.seed}/start")
        acts = [world.start_view_server, self._callers.start]
        for act in acts:
            world.agenda.at(random.uniform(0, STARTING_MS), act)
        for name in world.names:
            world.agenda.at(random.uniform(0, STARTING_MS), world.start_replica, name)

    def _lose_the_state(self) -> None:
        """Everybody who holds the state dies, at one moment."""
        world = self._world
        self._world.faults["loss of the state"] += 1
        for member in world.view.members():
            for process in list(world.lives.get(member.name, ())):
                world.crash(process)

    def _lose_one(self) -> None:
        """Primary or backup dies, and never comes back: the other must go on without it (R5, R9).
        Everywhere else a node that dies starts again, which is noticed even if nobody ages (R10).
        """
        world, agenda = self._world, self._world.agenda
        agenda.run(agenda.now_ms + 4 * self._plan.timing.dead_interval_ms)
        view, view_server = world.view, world.newest(VIEW_SERVER)
        if not world.record.acked or view.backup is None or view.primary is None:
            return
        alive = () if view_server is None else view_server.core.status().alive
        if not {view.primary.name, view.backup.name}.issubset(alive):
            return  # to the view server both would be dead
        choice = Random(f"{self._plan.seed}/absence").choice((view.primary, view.backup))
        process = world.newest(choice.name)
        if process is not None and process.core.member == choice:
            world.faults["absence"] += 1
            world.crash(process)

    # -- the phase of calm --------------------------------------------------------------------

    def _serve(self, since_ms: float) -> None:
        """Run until every call was made and answered; each within the bound."""
        world, agenda, callers = self._world, self._world.agenda, self._callers
        while not callers.done:
            agenda.run(agenda.now_ms + self._bound_ms / 20, lambda: callers.done)
            world.renew_the_left()
            oldest = callers.oldest()
            if oldest is None:
                continue
            if agenda.now_ms - max(since_ms, oldest.began_ms) > self._bound_ms:
                raise Violation(
                    f"liveness: {oldest.invocation} of {oldest.client} is not answered "
                    f"{self._bound_ms} ms after all faults ended; {self._describe(world)}"
                )

    def _stay_stuck(self) -> None:
        """The state is gone: nothing may be committed any more, and the view server must say so."""
        world, agenda = self._world, self._world.agenda
        committed = len(world.judge.log)
        agenda.run(agenda.now_ms + self._settle_ms)
        view_server = world.newest(VIEW_SERVER)
        if len(world.judge.log) != committed:
            raise Violation(f"R25: operations are committed without state; {self._describe(world)}")
        if view_server is None or not view_server.core.status().stuck:
            raise Violation(f"R7: stuck, and does not say so; {self._describe(world)}")

    def _describe(self, world: World) -> str:
        nodes = [*world.names, VIEW_SERVER]
        told = [
            f"{name}: {process.core.status().state}"
            for name in nodes
            if (process := world.newest(name)) is not None
        ]
        return f"{world.view}, acked {world.record.acked}; {'; '.join(told)}"

    # -- the end ------------------------------------------------------------------------------

    def _judge_history(self, outcome: str) -> None:
        """Judge what clients saw: by the log, and by the workload's model if it has one."""
        callers, log = self._callers, self._world.judge.log
        limit = self._plan.limits.result_bytes_max
        reason = refuse_history(self._machine, limit, log, callers.made, self._end())
        if reason is not None:
            raise Violation(reason)
        calls = [
            Call(
                made.client,
                made.invocation,
                None if made.outcome is None else outcome_of(made.outcome),
                made.began,
                made.ended or None,
            )
            for made in callers.made
        ]
        verdict = judge_order(self._workload, calls, CHECK_TIME_LIMIT_S)
        if verdict.linearizable is False:
            raise Violation(f"the history is not linearizable: {verdict.text}")
        reason = self._workload.refuse_end(calls) if outcome == "served" else None
        if reason is not None:
            raise Violation(f"the end of the history: {reason}")

    def _end(self) -> Hashable | None:
        """Return the machine of a primary that has executed the whole log, frozen."""
        for replica in self._world.replicas.values():
            if isinstance(replica.role, Primary) and replica.state.op == len(self._world.judge.log):
                return replica.state.machine.freeze()
        return None

    def report(self, outcome: str, violation: str | None) -> Report:
        """Return what came of it."""
        world, recorder = self._world, self._recorder
        if violation is not None and recorder is not None:
            recorder.note(world, "", Sort.BROKEN, violation)
        return Report(
            self._plan,
            violation,
            outcome,
            len(self._callers.made) + self._callers.given_up,
            sum(1 for made in self._callers.made if made.ended),
            len(world.judge.log),
            world.agenda.steps,
            world.views,
            world.agenda.now_ms,
            world.faults,
            world.digest,
            None if recorder is None else recorder.trace,
        )

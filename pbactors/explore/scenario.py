"""Staged searches: a cluster with a load, led to an interesting state and searched from there.

A search from the very beginning spends its strength on the ways in which a cluster can form. So a
search goes in stages, as those of the dslabs suite do: first to a state in which a view has
started, over the links that this needs and no others; what follows is searched thoroughly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from pbactors.config import Limits, Timing
from pbactors.ensemble import VIEW_SERVER, Ensemble
from pbactors.errors import PbactorsError
from pbactors.explore.bounds import Bounds
from pbactors.explore.judge import Judge
from pbactors.explore.node import Stage
from pbactors.explore.search import Found, search
from pbactors.explore.space import Space, State
from pbactors.machines.adapter import ReplicatedMachine, contents_of
from pbactors.machines.calls import encode_call
from pbactors.machines.context import STAMP_BYTES
from pbactors.machines.state_machine import StateMachine, interface
from pbactors.protocol.backup import Backup
from pbactors.protocol.client import Client
from pbactors.protocol.core import Timer
from pbactors.protocol.primary import Primary
from pbactors.protocol.replica import Replica
from pbactors.protocol.view_service import ViewService
from pbactors.workload import Invocation, Workload

__all__ = ["LIMITS", "NotFormed", "Scenario", "loads_from"]

LIMITS = Limits(
    sessions_max=2,
    session_window=2,
    forward_operations_max=2,
    forwards_in_flight_max=2,
    pieces_in_flight_max=2,
)
"""Small bounds, so that they are reached."""

FORMING = Bounds(timers={Timer.PING: 4}, confirms=3)
"""What may happen on the way to a view; no timer but the ping is needed."""

DRAWS_MAX = 100
"""How often a first call is drawn again until it is a command."""

Goal = Callable[[State], bool]


class NotFormed(PbactorsError):
    """A scenario cannot be led to the state from which it shall be searched.

    Attributes:
        found: how the search for that state ended.
    """

    def __init__(self, text: str, found: Found) -> None:
        super().__init__(text)
        self.found = found


def loads_from(
    workload: Workload, clients: int, calls: int, seed: int = 0
) -> dict[str, list[Invocation]]:
    """Return what each client calls. Each begins with a command that changes something, if there
    is one: from calls that only raise, or look, little is learned.

    Args:
        workload: where calls come from.
        clients: how many clients.
        calls: how many calls each makes.
        seed: of the choices.
    """
    random = Random(seed)
    loads = {}
    for client in range(clients):
        load = [workload.invoke(random, client, turn) for turn in range(calls)]
        for _ in range(DRAWS_MAX):
            if _changes_something(workload.machine, load[0]):
                break
            load[0] = workload.invoke(random, client, 0)
        loads[f"client {client + 1}"] = load
    return loads


def _changes_something(machine: type[StateMachine], call: Invocation) -> bool:
    """Tell whether a call changes a new object."""
    if interface(machine)[call.method] != "command":
        return False
    alone = ReplicatedMachine(machine, LIMITS.result_bytes_max)
    piece_bytes_max = LIMITS.snapshot_piece_bytes_max
    before = contents_of(alone.snapshot(piece_bytes_max))
    alone.execute(1, bytes(STAMP_BYTES), [encode_call(call.method, call.arguments)])
    return contents_of(alone.snapshot(piece_bytes_max)) != before


class Undigested(ReplicatedMachine):
    """A machine whose results have no digest.

    A digest tells apart two orders of commands that lead to the same state, and so many states that
    behave alike. Copies that come to other results are the simulator's business.
    """

    def digest(self, before: int, outcomes: Sequence[bytes], copy: bytes) -> int:
        """Return the same for all results."""
        return 0


class Scenario:
    """A cluster with a load, and the space of what may become of it.

    Args:
        machine: the class that is replicated.
        workload: whose model judges what clients saw.
        loads: what each client calls, by the client's name.
        replicas: names of the replicas.
        limits: bounds of the cores.
        dead_pings: after how many silent ping checks a server is dead.
        window: how many calls a client has under way at once.

    Raises:
        UnsupportedValue: a call cannot be sent.

    Attributes:
        loads: what each client calls.
        replicas: names of the replicas.
        space: all states that were met.
        judge: says what does not hold in one.
    """

    def __init__(
        self,
        machine: type[StateMachine],
        workload: Workload,
        loads: Mapping[str, Sequence[Invocation]],
        replicas: Sequence[str] = ("a", "b"),
        limits: Limits = LIMITS,
        dead_pings: int = 2,
        window: int = 1,
    ) -> None:
        timing = Timing(dead_pings=dead_pings)
        ensemble = Ensemble(machine, replicas, timing, limits, adapter=Undigested)
        self.loads = loads
        self.replicas = tuple(replicas)
        self.space = Space(Stage(ensemble, loads, window))
        self.judge = Judge(self.space, workload)

    # -- stages -------------------------------------------------------------------------------

    def formed(self, *members: str, heard: Sequence[str] = ()) -> State:
        """Return a state in which ``members`` are primary and backup of a view that has started.

        They volunteer one after the other, so that a lone primary is primary of view 1, and a pair
        that of view 2.

        Args:
            members: primary, and backup or none.
            heard: idle replicas that have pinged too.

        Raises:
            NotFormed: no such state can be reached, or a promise breaks on the way.
        """
        states = [self.space.first()]
        for count in range(1, len(members) + 1):
            inside = {VIEW_SERVER, *members[:count]}
            states = [self.reached(states, inside, self.started(*members[:count]))]
        for name in heard:
            inside = {VIEW_SERVER, name}
            states = [self.reached(states, inside, self._idle_is_known(name))]
        return self.rested(states[0])

    def reached(
        self, starts: Sequence[State], inside: set[str], goal: Goal, bounds: Bounds = FORMING
    ) -> State:
        """Return the nearest state that satisfies ``goal`` over the links among ``inside``.

        Args:
            starts: where to begin.
            inside: names of the nodes among which messages pass.
            goal: what to reach.
            bounds: what may happen on the way.

        Raises:
            NotFormed: there is none, or a promise breaks on the way.
        """
        within = bounds.but(among=frozenset(inside))
        found = search(self.space, starts, within, self.judge, goal=goal)
        if found.goal is None:
            reason = found.violation or f"no such state among {found.states}"
            raise NotFormed(f"the scenario does not begin: {reason}", found)
        return found.goal

    def rested(self, state: State) -> State:
        """Return the same state with no timer fired so far, for the bounds of the next stage."""
        return self.space.rested(state)

    def search(self, starts: Sequence[State], bounds: Bounds, **options: object) -> Found:
        """Search from ``starts``; options are those of :func:`pbactors.explore.search`."""
        return search(self.space, starts, bounds, self.judge, **options)  # type: ignore[arg-type]

    # -- goals --------------------------------------------------------------------------------

    def started(self, primary: str, backup: str | None = None) -> Goal:
        """Return the goal that a view has started: acknowledged, and heard of by its members."""

        def goal(state: State) -> bool:
            service = self.space.node(state, VIEW_SERVER).core
            if not isinstance(service, ViewService) or not service.acked:
                return False
            view = service.view
            named = (
                view.primary and view.primary.name,
                view.backup and view.backup.name,
            )
            return named == (primary, backup) and self._serves(state, primary, backup)

        return goal

    def _serves(self, state: State, primary: str, backup: str | None) -> bool:
        first = self.space.node(state, primary).core
        if not isinstance(first, Replica) or not isinstance(first.role, Primary):
            return False
        if backup is None:
            return first.role.operating
        second = self.space.node(state, backup).core
        return (
            first.role.operating
            and isinstance(second, Replica)
            and isinstance(second.role, Backup)
            and second.role.installed
        )

    def _idle_is_known(self, name: str) -> Goal:
        def goal(state: State) -> bool:
            service = self.space.node(state, VIEW_SERVER).core
            core = self.space.node(state, name).core
            return (
                isinstance(service, ViewService)
                and name in service.status().alive
                and isinstance(core, Replica)
                and core.view == service.view
            )

        return goal

    def finished(self, state: State) -> bool:
        """The goal that every client has an answer to all its calls."""
        done = self.space.history(state).completions
        return len(done) == sum(len(load) for load in self.loads.values()) and all(
            completion.outcome is not None for completion in done
        )

    def answered_anything(self, state: State) -> bool:
        """The goal that any client has any answer."""
        return bool(self.space.history(state).completions)

    def session_open(self, client: str) -> Goal:
        """Return the goal that a client has its session."""

        def goal(state: State) -> bool:
            core = self.space.node(state, client).core
            return isinstance(core, Client) and core.session > 0

        return goal

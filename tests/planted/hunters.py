"""Who finds planted bugs: the simulator, seed by seed, and the explorer, search by search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pbactors.explore import Bounds, NotFormed, Scenario
from pbactors.machines.kv import KeyValueStore
from pbactors.protocol.client import Client
from pbactors.protocol.core import Timer
from pbactors.sim import simulate
from pbactors.workload import WORKLOADS, Invocation

__all__ = ["SEARCHES", "Catch", "explored", "simulated"]

OPERATIONS = 320
PING, CHECK, RESEND, RETRY = Timer.PING, Timer.PING_CHECK, Timer.RESEND, Timer.RETRY


class Catch(NamedTuple):
    """A bug that was found.

    Attributes:
        violation: what was broken.
        after: how many schedules, or states, were looked at.
    """

    violation: str
    after: int


def simulated(seeds: Iterable[int]) -> Catch | None:
    """Return what the simulator finds with these seeds."""
    for count, seed in enumerate(seeds, start=1):
        report = simulate(KeyValueStore, seed, operations=OPERATIONS)
        if report.violation is not None:
            return Catch(report.violation, count)
    return None


@dataclass(frozen=True)
class Search:
    """A cluster to explore.

    Attributes:
        replicas: names.
        members: primary and backup of the view from which it begins; nobody from the very start.
        loads: what each client calls.
        bounds: how far.
        window: how many calls a client has under way.
        connected: whether it begins where every client knows the view, and has the session that
            its commands want.
    """

    replicas: str
    members: str
    loads: tuple[tuple[Invocation, ...], ...]
    bounds: Bounds
    window: int = 1
    connected: bool = False


def _calls(*calls: str) -> tuple[Invocation, ...]:
    """Return calls on the key k, spelled as ``append 1`` or ``get``."""
    return tuple(
        Invocation(method, ("k", *values)) for method, *values in (call.split() for call in calls)
    )


SEARCHES: Mapping[str, Search] = {
    "forming": Search("ab", "", (_calls("append 1"),), Bounds({PING: 3, CHECK: 2}, restarts=1)),
    "a pair": Search(
        "ab",
        "ab",
        (_calls("append 1", "get"),),
        Bounds({PING: 1, CHECK: 2, RESEND: 1, RETRY: 1}, restarts=1),
    ),
    "two clients": Search(
        "ab",
        "ab",
        (_calls("append 1"), _calls("get", "get")),
        Bounds({PING: 1, CHECK: 2, RESEND: 1}, confirms=4),
    ),
    "a deposed primary": Search(
        "ab",
        "ab",
        (_calls("append 1"), _calls("get")),
        Bounds({PING: 2, CHECK: 2, RETRY: 1}, confirms=3, views=3),
        connected=True,
    ),
    "pipelined": Search(
        "ab",
        "ab",
        (_calls("append 1", "append 2", "get"),),
        Bounds({CHECK: 2, PING: 1, RESEND: 1, RETRY: 1}),
        window=3,
    ),
    "a third": Search(
        "abc",
        "ab",
        (_calls("append 1"),),
        Bounds({PING: 1, CHECK: 2, RETRY: 1}, restarts=1),
    ),
    "a view server that restarts": Search(
        "ab",
        "ab",
        (_calls("append 1"),),
        Bounds({PING: 2, CHECK: 2}, restarts=1, view_server_restarts=1),
    ),
}


def explored(name: str, states_max: int) -> Catch | None:
    """Return what the explorer finds in one of the searches."""
    search = SEARCHES[name]
    loads = {f"client {place}": load for place, load in enumerate(search.loads, start=1)}
    scenario = Scenario(
        KeyValueStore, WORKLOADS["kv"], loads, search.replicas, window=search.window
    )
    try:
        start = scenario.formed(*search.members, heard=search.replicas[2:])
        if search.connected:
            start = scenario.reached([start], set(scenario.space.names), _connected(scenario))
            start = scenario.rested(start)
    except NotFormed as error:
        found = error.found
    else:
        found = scenario.search([start], search.bounds, states_max=states_max)
    return None if found.violation is None else Catch(found.violation, found.states)


def _connected(scenario: Scenario) -> Callable[[tuple[int, ...]], bool]:
    def goal(state: tuple[int, ...]) -> bool:
        for name, load in scenario.loads.items():
            core = scenario.space.node(state, name).core
            assert isinstance(core, Client)
            reads = all(call.method == "get" for call in load)
            if not core.view.number or not (core.session or reads):
                return False
        return True

    return goal

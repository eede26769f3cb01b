"""Who finds planted bugs: the simulator, seed by seed, and the explorer, search by search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pbactors.explore import Bounds, NotFormed, Scenario
from pbactors.machines.kv import KeyValueStore
from pbactors.protocol.client import Client
from pbactors.protocol.core import Timer
from pbactors.protocol.messages import Confirm, Forward, Message, Reply
from pbactors.sim import simulate
from pbactors.workload import WORKLOADS, Invocation

__all__ = ["SEARCHES", "Catch", "explored", "simulated"]

OPERATIONS = 320
PING, CHECK, RESEND, RETRY = Timer.PING, Timer.PING_CHECK, Timer.RESEND, Timer.RETRY

Goal = Callable[[tuple[int, ...]], bool]


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


# -- searches ---------------------------------------------------------------------------------


class Stage(NamedTuple):
    """One stage on the way to where a search begins.

    Attributes:
        inside: names of the nodes that reach each other meanwhile; empty for all.
        goal: makes the goal of the stage.
        bounds: what may happen until then.
    """

    inside: frozenset[str]
    goal: Callable[[Scenario], Goal]
    bounds: Bounds


@dataclass(frozen=True)
class Search:
    """A cluster to explore.

    Attributes:
        replicas: names.
        members: primary and backup of the view from which it begins; nobody from the very start.
        loads: what each client calls.
        bounds: how far.
        window: how many calls a client has under way.
        dead_pings: after how many silent ping checks a server is dead.
        stages: what happens before the search begins.
    """

    replicas: str
    members: str
    loads: tuple[tuple[Invocation, ...], ...]
    bounds: Bounds
    window: int = 1
    dead_pings: int = 2
    stages: tuple[Stage, ...] = ()


def explored(name: str, states_max: int) -> Catch | None:
    """Return what the explorer finds in one of the searches."""
    search = SEARCHES[name]
    loads = {f"client {place}": load for place, load in enumerate(search.loads, start=1)}
    scenario = Scenario(
        KeyValueStore,
        WORKLOADS["kv"],
        loads,
        search.replicas,
        dead_pings=search.dead_pings,
        window=search.window,
    )
    try:
        start = scenario.formed(*search.members, heard=search.replicas[2:])
        for inside, goal, bounds in search.stages:
            names = set(inside or scenario.space.names)
            start = scenario.rested(scenario.reached([start], names, goal(scenario), bounds))
    except NotFormed as error:
        found = error.found
    else:
        found = scenario.search([start], search.bounds, states_max=states_max)
    return None if found.violation is None else Catch(found.violation, found.states)


def _calls(*calls: str) -> tuple[Invocation, ...]:
    """Return calls on the key k, spelled as ``append 1`` or ``get``."""
    return tuple(
        Invocation(method, ("k", *values)) for method, *values in (call.split() for call in calls)
    )


# -- goals of stages --------------------------------------------------------------------------


def connected(scenario: Scenario) -> Goal:
    """Every client knows the view, and has the session that its commands want."""

    def goal(state: tuple[int, ...]) -> bool:
        for name, load in scenario.loads.items():
            core = scenario.space.node(state, name).core
            assert isinstance(core, Client)
            reads = all(call.method == "get" for call in load)
            if not core.view.number or not (core.session or reads):
                return False
        return True

    return goal


def first_is_answered(scenario: Scenario) -> Goal:
    """Client 1 has all its answers, and nobody else has any."""

    def goal(state: tuple[int, ...]) -> bool:
        ended = scenario.space.history(state).completions
        return len(ended) == len(scenario.loads["client 1"])

    return goal


def second_was_asked(scenario: Scenario) -> Goal:
    """The primary has answered client 2, and its backup has echoed everything sent so far."""

    def goal(state: tuple[int, ...]) -> bool:
        messages = [packet.message for packet in scenario.space.sent(state)]
        return any(isinstance(message, Reply) and message.answers for message in messages) and (
            _highest(messages, Forward, "confirm") == _highest(messages, Confirm, "echo")
        )

    return goal


def _highest(messages: Iterable[Message], kind: type[Message], field: str) -> int:
    numbers = (getattr(message, field) for message in messages if isinstance(message, kind))
    return max(numbers, default=0)


def forwarded(scenario: Scenario) -> Goal:
    """A command of client 1 was forwarded, behind the opening of its session."""

    def goal(state: tuple[int, ...]) -> bool:
        messages = [packet.message for packet in scenario.space.sent(state)]
        forwards = [message for message in messages if isinstance(message, Forward)]
        return any(forward.operations and forward.first > 1 for forward in forwards)

    return goal


def started(primary: str, backup: str | None = None) -> Callable[[Scenario], Goal]:
    """A view of these two has started."""
    return lambda scenario: scenario.started(primary, backup)


def _among(*names: str) -> frozenset[str]:
    return frozenset(("view", *names))


EVERYBODY: frozenset[str] = frozenset()
CALM = Bounds({PING: 2})
CHANGING = Bounds({PING: 4, CHECK: 2})

CONNECTED = Stage(EVERYBODY, connected, CALM)
ASKED = Stage(EVERYBODY, second_was_asked, CALM)
DEPOSED = Stage(_among("b", "client 1"), first_is_answered, Bounds({PING: 2, CHECK: 2, RETRY: 2}))
WRITER_AND_READER = (_calls("append 1"), _calls("get", "get"))

SEARCHES: Mapping[str, Search] = {
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
    "pipelined": Search(
        "ab",
        "ab",
        (_calls("append 1", "append 2", "get"),),
        Bounds({CHECK: 2, PING: 1, RESEND: 1, RETRY: 1}),
        window=3,
    ),
    "a view server that restarts": Search(
        "ab",
        "ab",
        (_calls("append 1"),),
        Bounds({PING: 2, CHECK: 2}, restarts=1, view_server_restarts=1),
    ),
    "a suspicion": Search(
        "ab",
        "ab",
        (_calls("append 1"),),
        Bounds({PING: 2, CHECK: 3}, restarts=1, losses=1),
        dead_pings=4,
    ),
    "a deposed primary": Search(
        "ab", "ab", WRITER_AND_READER, Bounds({RESEND: 1}), stages=(CONNECTED, DEPOSED)
    ),
    "a deposed primary that was asked before": Search(
        "ab", "ab", WRITER_AND_READER, Bounds({RESEND: 1}), stages=(CONNECTED, ASKED, DEPOSED)
    ),
    "deposed in a later view than it was asked in": Search(
        "ab",
        "ab",
        WRITER_AND_READER,
        Bounds({RESEND: 1}),
        stages=(
            CONNECTED,
            ASKED,
            Stage(_among("a"), started("a"), CHANGING),
            Stage(_among("a", "b"), started("a", "b"), CHANGING),
            DEPOSED,
        ),
    ),
    "primary again after a forward was lost": Search(
        "ab",
        "ab",
        (_calls("append 1"),),
        Bounds({RETRY: 2}, confirms=3),
        stages=(
            CONNECTED,
            Stage(_among("a", "client 1"), forwarded, Bounds({RETRY: 2})),
            Stage(_among("b"), started("b"), CHANGING),
            Stage(_among("a", "b"), started("b", "a"), CHANGING),
            Stage(_among("a"), started("a"), CHANGING),
            Stage(_among("a", "b"), started("a", "b"), CHANGING),
        ),
    ),
}

"""The explorer itself: it finds what is there, by the shortest way, and keeps within its bounds."""

from __future__ import annotations

from random import Random

import pytest

from pbactors.ensemble import VIEW_SERVER
from pbactors.explore import Bounds, NotFormed, Scenario, loads_from, tell, walk
from pbactors.explore.node import Fault
from pbactors.machines.state_machine import StateMachine, command
from pbactors.protocol.replica import Replica
from pbactors.protocol.view_service import ViewService
from pbactors.trace import Sort, text
from pbactors.workload import from_hints

from .clusters import CHECK, PING, RETRY, call, clean, cluster, exhausted


class Forgetful(StateMachine):
    """Not deterministic: it counts in a place that is not its state."""

    calls: int = 0

    def __init__(self) -> None:
        self.last = 0

    @command
    def count(self) -> int:
        type(self).calls += 1
        self.last = type(self).calls
        return self.last


def forgetful() -> Scenario:
    Forgetful.calls = 0
    workload = from_hints(Forgetful)
    return Scenario(Forgetful, workload, loads_from(workload, clients=1, calls=1))


def test_copies_that_differ_are_found_by_the_shortest_way() -> None:
    scenario = forgetful()
    found = scenario.search([scenario.formed("a", "b")], Bounds())
    assert found.violation == "copies_are_equal: view 2: equal op 2, different states"
    kinds = [type(action.given.message).__name__ for action in found.path]
    assert kinds == [
        "ViewReply",  # as it was published
        *("Request", "Forward", "Confirm", "Reply"),
        *("Request", "Forward", "Confirm"),
    ]


def test_the_way_to_a_violation_is_told() -> None:
    scenario = forgetful()
    found = scenario.search([scenario.formed("a", "b")], Bounds())
    trace = tell(scenario.space, found)
    lines = text.render(trace).splitlines()
    assert any(
        "client 1  <- a         Reply view 2, 2 copies: session 1 is open" in line for line in lines
    )
    assert lines[-1].endswith("!! copies_are_equal: view 2: equal op 2, different states")
    arrived = {moment.message for moment in trace if moment.sort is Sort.RECEIVED}
    sent = {moment.message for moment in trace if moment.sort is Sort.SENT}
    assert len(arrived - sent) <= 1, "all but what was sent before the start"


def test_an_exception_in_a_handler_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("planted")

    scenario = cluster("a", [call("put", "k", "1")])
    start = scenario.formed("a")
    monkeypatch.setattr(Replica, "on_request", fail)
    found = scenario.search([start], Bounds())
    assert found.violation == "a: KeyError: 'planted'"


def test_nothing_happens_beyond_the_bounds() -> None:
    scenario = cluster("ab", [call("put", "k", "1")])
    bounds = Bounds({PING: 1, CHECK: 2, RETRY: 1}, restarts=1, confirms=2, views=3)
    clean(scenario.search([scenario.formed("a", "b")], bounds, states_max=50_000))
    formed_firings = 4  # the way to the start has bounds of its own
    for node in scenario.space.nodes:
        assert node.restarts <= bounds.restarts
        assert all(
            count <= max(bounds.timers.get(timer, 0), formed_firings)
            for timer, count in node.fired.items()
        )
    searched = [node for node in scenario.space.nodes if node.name == VIEW_SERVER and node.fired]
    assert max(node.fired.get(CHECK, 0) for node in searched) == 2


def test_a_bound_on_views_prunes_what_is_beyond() -> None:
    scenario = cluster("ab", [call("put", "k", "1")])
    start = scenario.formed("a", "b")
    bounds = Bounds({PING: 1, CHECK: 2}, views=2)
    found = exhausted(scenario.search([start], bounds))
    assert found.pruned > 0
    more = clean(scenario.search([start], bounds.but(views=3), states_max=20_000))
    assert more.states > found.states


def test_a_goal_ends_the_search_with_the_way_to_it() -> None:
    scenario = cluster("ab", [call("put", "k", "1")])
    start = scenario.formed("a", "b")

    def promoted(state: tuple[int, ...]) -> bool:
        core = scenario.space.node(state, VIEW_SERVER).core
        assert isinstance(core, ViewService)
        return core.view.primary is not None and core.view.primary.name == "b"

    found = clean(scenario.search([start], Bounds({PING: 1, CHECK: 2}, restarts=1), goal=promoted))
    assert found.goal is not None
    assert found.depth < len(found.path) <= 6
    assert [str(action) for action in found.path[:2]] == ["a crashes", "a starts again"]  # R10


@pytest.mark.parametrize("order", ["breadth", "depth"])
def test_both_orders_visit_the_same_states(order: str) -> None:
    scenario = cluster("a", [call("put", "k", "1"), call("get", "k")])
    found = exhausted(scenario.search([scenario.formed("a")], Bounds({RETRY: 2}), order=order))
    assert found.states == 118


def test_searches_end_at_their_limits() -> None:
    scenario = cluster("ab", [call("put", "k", "1")])
    start = scenario.formed("a", "b")
    bounds = Bounds({PING: 2, CHECK: 2}, restarts=1)
    few = clean(scenario.search([start], bounds, states_max=100))
    assert (few.exhausted, few.states >= 100, few.states < 200) == (False, True, True)
    short = clean(scenario.search([start], bounds, seconds_max=0.0))
    assert not short.exhausted


def test_a_view_server_may_stop_before_it_has_stored_a_view() -> None:
    """R14, R46: “Views are durable before anyone hears of them.”"""
    scenario = cluster("ab", [call("put", "k", "1")])
    start = scenario.formed("a", "b")
    bounds = Bounds({PING: 1, CHECK: 2}, restarts=1, view_server_restarts=1)

    def torn_down(state: tuple[int, ...]) -> bool:
        node = scenario.space.node(state, VIEW_SERVER)
        backup = scenario.space.node(state, "b")
        return node.core is None and backup.core is not None and node.fired.get(CHECK, 0) == 1

    found = clean(scenario.search([start], bounds, goal=torn_down))
    assert found.goal is not None
    assert any(action.torn for action in found.path) or Fault.CRASH in {
        action.given for action in found.path
    }


def test_a_walk_repeats_itself_from_its_seed() -> None:
    paths = []
    for _ in range(2):
        scenario = cluster("ab", [call("append", "k", "1"), call("get", "k")])
        start = scenario.formed("a", "b")
        bounds = Bounds({PING: 9, CHECK: 9, RETRY: 9}, restarts=2)
        found = clean(walk(scenario.space, start, bounds, scenario.judge, Random(7), 150))
        paths.append([str(action) for action in found.path])
    assert paths[0] == paths[1]


def test_a_scenario_that_cannot_begin_says_why() -> None:
    scenario = cluster("a", [call("put", "k", "1")])
    with pytest.raises(NotFormed, match="the scenario does not begin: no such state among"):
        scenario.formed("a", "a")


def test_the_bounds_are_told_to_people() -> None:
    bounds = Bounds({PING: 1}, restarts=2, views=3, among=frozenset({"view", "a"}))
    assert str(bounds) == (
        "timers per node: ping 1; restarts per replica: 2; of the view server: 0; naps: 0; "
        "lost connections: 0; confirm numbers to 6; views to 3; messages among a, view alone"
    )


def test_loads_begin_with_a_command() -> None:
    workload = cluster("a", []).space.stage.ensemble.machine
    loads = loads_from(from_hints(workload, pools={"key": ["k"]}), clients=3, calls=2, seed=5)
    assert list(loads) == ["client 1", "client 2", "client 3"]
    assert all(load[0].method not in ("get", "keys") for load in loads.values())


class Queue(StateMachine):
    """Has more ways to do nothing than to do something."""

    def __init__(self) -> None:
        self.items: list[str] = []

    @command
    def put(self, item: str) -> None:
        self.items.append(item)

    @command
    def take(self) -> str | None:
        return self.items.pop() if self.items else None

    @command
    def finish(self, item: str) -> None:
        raise LookupError(item)


def test_loads_begin_with_what_changes_something() -> None:
    """Found by a user: an exploration of calls that only raised held every promise."""
    for seed in range(10):
        loads = loads_from(from_hints(Queue), clients=2, calls=1, seed=seed)
        assert [load[0].method for load in loads.values()] == ["put", "put"]

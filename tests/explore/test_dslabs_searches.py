"""The search tests of dslabs: DP16 and DP17 of lab 2, DL13 to DL17 of lab 1.

Each explores all orders, losses and repeats of messages. The counts of states are pinned: a change
of the protocol or of the explorer shows here, and has to be looked at. They are stated with the
bounds within which a space was exhausted.
"""

from __future__ import annotations

from random import Random

import pytest

from pbactors.explore import Bounds, Scenario, walk
from pbactors.workload import Invocation

from .clusters import CHECK, PING, RESEND, RETRY, call, clean, cluster, exhausted

PUT_APPEND_GET = [call("put", "k", "1"), call("append", "k", "2"), call("get", "k")]
APPEND_APPEND_GET = [call("append", "k", "x"), call("append", "k", "x"), call("get", "k")]
NO_CLIENTS = frozenset({"view", "a", "b", "c"})


def appends(key: str, client: int) -> list[Invocation]:
    return [call("append", key, f"{client}.{turn} ") for turn in range(3)]


# -- lab 2 ------------------------------------------------------------------------------------


def test_DP16_single_client_single_server() -> None:
    """“Put, append, get. Claim: client can finish; results OK on everything explored.”"""
    scenario = cluster("a", PUT_APPEND_GET)
    start = scenario.space.first()
    found = clean(scenario.search([start], Bounds({PING: 1}), goal=scenario.finished))
    assert found.goal is not None, "the client can finish"
    whole = exhausted(scenario.search([start], Bounds({PING: 2, CHECK: 1, RETRY: 1})))
    assert whole.states == 46_062


@pytest.fixture(scope="module")
def three_servers() -> Scenario:
    return cluster("abc", [call("put", "k", "1"), call("get", "k")])


TWO = frozenset({"view", "a", "b", "client 1"})


def test_DP17_the_client_can_finish_with_server_3_cut_off(three_servers: Scenario) -> None:
    """“3 servers, start from (1, 2, 2) started. Put, get. With server 3 cut off and views beyond 2
    pruned, the client can finish.”
    """
    start = three_servers.formed("a", "b")
    bounds = Bounds(among=TWO, views=2)
    found = clean(three_servers.search([start], bounds, goal=three_servers.finished))
    assert found.goal is not None


@pytest.mark.parametrize(
    ("what", "bounds"),
    [
        ("views to 2", Bounds({PING: 1, CHECK: 1, RESEND: 1, RETRY: 1}, among=TWO, views=2)),
        ("views to 3", Bounds({PING: 2, CHECK: 2, RESEND: 1, RETRY: 1}, among=TWO, views=3)),
        ("any view", Bounds({PING: 2, CHECK: 2, RESEND: 1, RETRY: 1}, among=TWO)),
        ("server 3 is back", Bounds({PING: 2, CHECK: 2, RESEND: 1, RETRY: 1})),
    ],
)
def test_DP17_results_are_right(three_servers: Scenario, what: str, bounds: Bounds) -> None:
    """“Results OK with views up to 3, then with no view limit, then with server 3 reconnected.”"""
    heard = [] if bounds.among else ["c"]
    start = three_servers.formed("a", "b", heard=heard)
    clean(three_servers.search([start], bounds, states_max=150_000))


# -- lab 1 ------------------------------------------------------------------------------------


CASES = {
    "DL13 put-append-get": ([PUT_APPEND_GET], 3, 332),
    "DL14 append-append-get with equal values": ([APPEND_APPEND_GET], 3, 332),
    "DL15 two clients, different keys": ([appends("k", 1), appends("l", 2)], 1, 82_838),
    "DL16 two clients, the same key": ([appends("k", 1), appends("k", 2)], 1, 163_474),
}
"""What clients call, how often each may lose patience, and how many states there are then."""


@pytest.mark.parametrize("case", CASES)
def test_DL13_to_DL16_are_exhausted(case: str) -> None:
    """“all state spaces must be EXHAUSTED without a violation, and with the network off no result
    may ever appear”
    """
    loads, retries, states = CASES[case]
    scenario = cluster("a", *loads)
    start = scenario.formed("a")
    bounds = Bounds({RETRY: retries})
    assert clean(scenario.search([start], bounds, goal=scenario.finished)).goal is not None
    assert exhausted(scenario.search([start], bounds)).states == states
    off = bounds.but(among=NO_CLIENTS)
    assert exhausted(scenario.search([start], off, goal=scenario.answered_anything)).goal is None


@pytest.mark.parametrize("seed", range(4))
def test_DL17_random_deep_walks_with_many_calls(seed: int) -> None:
    """“then random deep walks with unbounded workloads.”"""
    random = Random(seed)
    loads = [
        [call(random.choice(("append", "put")), "k", f"{client}.{turn} ") for turn in range(100)]
        for client in range(2)
    ]
    scenario = cluster("a", *loads)
    start = scenario.formed("a")
    found = clean(walk(scenario.space, start, Bounds({RETRY: 500}), scenario.judge, random, 600))
    assert found.depth == 600

"""A pair of replicas, searched as far as the suite has time for: the smallest to the end."""

from __future__ import annotations

import pytest

from pbactors.explore import Bounds, Found, Scenario

from .clusters import CHECK, PING, RESEND, RETRY, call, clean, cluster, exhausted

STATES_PER_SEARCH = 260_000
"""Five searches of this size, and those that come to an end, make more than a million states."""

LONG_STATES_PER_SEARCH = 5_000_000


@pytest.mark.parametrize(
    ("bounds", "states"),
    [
        (Bounds({RETRY: 1}), 662),
        (Bounds({RESEND: 1, RETRY: 1}), 3_249),
        (Bounds({PING: 1, RETRY: 1}), 5_958),
        (Bounds({PING: 1, CHECK: 1, RETRY: 1}), 16_550),
    ],
    ids=str,
)
def test_a_pair_that_nothing_happens_to_is_exhausted(bounds: Bounds, states: int) -> None:
    """One client, a command and a query that has to see it."""
    pair = cluster("ab", [call("append", "k", "1"), call("get", "k")])
    assert exhausted(pair.search([pair.formed("a", "b")], bounds)).states == states


def test_two_clients_of_a_pair_are_exhausted() -> None:
    """S9, S10: one client writes, the other reads, and neither loses patience."""
    pair = cluster("ab", [call("append", "k", "1")], [call("get", "k"), call("get", "k")])
    found = exhausted(pair.search([pair.formed("a", "b")], Bounds({RESEND: 1}, confirms=5)))
    assert found.states == 104_500


PATIENT_PINGS = 4
"""More silent ping checks than a suspect may miss, so that suspicion makes a difference (R49)."""

FAILING: dict[str, tuple[str, list[list], Bounds]] = {
    "the primary or the backup dies": (
        "ab",
        [[call("append", "k", "1"), call("get", "k")]],
        Bounds({PING: 1, CHECK: 2, RETRY: 1}, restarts=1),
    ),
    "and a third takes over": (
        "abc",
        [[call("append", "k", "1")]],
        Bounds({PING: 1, CHECK: 2, RETRY: 1}, restarts=1),
    ),
    "the view server forgets nothing": (
        "ab",
        [[call("append", "k", "1")]],
        Bounds({PING: 2, CHECK: 2}, restarts=1, view_server_restarts=2, naps=1),
    ),
    "two clients on one key": (
        "ab",
        [[call("append", "k", "1")], [call("append", "k", "2"), call("get", "k")]],
        Bounds({PING: 1, CHECK: 2, RESEND: 1, RETRY: 1}, restarts=1),
    ),
    "connections are lost, or seem to be": (
        "ab",
        [[call("append", "k", "1")]],
        Bounds({PING: 2, CHECK: 3, RETRY: 1}, restarts=1, losses=2),
    ),
}


def search_failing(case: str, states_max: int) -> Found:
    replicas, loads, bounds = FAILING[case]
    dead_pings = PATIENT_PINGS if bounds.losses else 2
    scenario: Scenario = cluster(replicas, *loads, dead_pings=dead_pings)
    start = scenario.formed("a", "b", heard=replicas[2:])
    return clean(scenario.search([start], bounds, states_max=states_max))


@pytest.mark.parametrize("case", FAILING)
def test_failing_pairs_keep_every_promise(case: str) -> None:
    assert search_failing(case, STATES_PER_SEARCH).states >= STATES_PER_SEARCH


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", FAILING)
def test_failing_pairs_keep_every_promise_for_long(case: str) -> None:
    assert search_failing(case, LONG_STATES_PER_SEARCH).states >= LONG_STATES_PER_SEARCH

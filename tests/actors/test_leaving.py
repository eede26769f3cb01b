"""Nodes that leave in peace, as a program that embeds them sees it (R44)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pbactors.config import Timing
from tests.suites.cluster import DEADLINE_S, VIEW_SERVER, LocalCluster

PATIENT = Timing(ping_interval_ms=20, dead_pings=100_000)
"""Nobody is ever taken for dead: what happens, happens because somebody leaves."""


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A view of 1 and 2, while 3 is idle."""
    with LocalCluster("123", PATIENT) as cluster:
        cluster.start_pair("1", "2")
        cluster.start("3")
        cluster.wait_alive("3")
        yield cluster


@pytest.mark.parametrize(
    ("name", "primary", "backup"), [("1", "2", "3"), ("2", "1", "3"), ("3", "1", "2")]
)
def test_R44_whoever_leaves_may_end_once_it_has_no_role(
    cluster: LocalCluster, name: str, primary: str, backup: str
) -> None:
    """“A node that leaves in peace is not waited for.”"""
    store = cluster.store()
    store.put("key", "1")
    assert cluster.node(name).leave(DEADLINE_S)
    assert cluster.node(name).leave(0), "it has left already"
    cluster.kill(name)
    cluster.wait_view(primary, backup)
    assert store.append("key", "2") == "12"


def test_R44_without_a_view_server_nobody_takes_over(cluster: LocalCluster) -> None:
    """“No new view in time: it goes on as before.”"""
    cluster.kill(VIEW_SERVER)
    assert not cluster.node("1").leave(0.2)
    assert cluster.node("1").is_running()
    cluster.start_view_server()
    assert cluster.node("1").leave(DEADLINE_S), "it still wants to"
    cluster.wait_view("2", "3")


def test_who_has_nothing_to_give_up_may_end_at_once() -> None:
    """A view server, and a primary without a backup: nobody could take over."""
    with LocalCluster("1", PATIENT) as cluster:
        cluster.start("1")
        cluster.wait_view("1", None)
        assert cluster.node(VIEW_SERVER).leave(DEADLINE_S)
        assert cluster.node("1").leave(DEADLINE_S)


def test_a_node_that_has_ended_need_not_be_waited_for(cluster: LocalCluster) -> None:
    """Whether it had ended before, or ends while somebody waits for it to leave."""
    cluster.kill(VIEW_SERVER)
    backup = cluster.node("2")
    left: list[bool] = []
    leaving = threading.Thread(target=lambda: left.append(backup.leave(10 * DEADLINE_S)))
    leaving.start()
    cluster.kill("2")
    leaving.join(DEADLINE_S)
    assert left == [True]
    assert backup.leave(DEADLINE_S)

"""``pbactors history``, with real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pbactors as package
from pbactors.machines.kv import KeyValueStore
from tests.processes import DEADLINE_S, PBACTORS, free_topology, running, wait_until

from .shell import pbactors, pids_of, result_of, up, view_of


def views_of(topology: Path) -> list[dict[str, Any]]:
    """Return the history as programs read it."""
    views: list[dict[str, Any]] = result_of("history", topology, "--json")["views"]
    return views


def test_it_tells_who_was_killed_and_for_how_long_nobody_served(tmp_path: Path) -> None:
    """Views, times, causes, and what clients felt."""
    topology = free_topology(tmp_path)
    began_ms = time.time() * 1000
    with up(topology) as cluster, package.connect(topology) as client:
        client.call(KeyValueStore.put, "k", "1", timeout_s=DEADLINE_S)
        before = view_of(topology)
        os.kill(pids_of(cluster)[before["primary"]], signal.SIGKILL)
        assert client.call(KeyValueStore.get, "k", timeout_s=DEADLINE_S) == "1"
        after = view_of(topology)
        first, *_, last = views_of(topology)
        assert (first["number"], first["cause"]) == (1, "newcomer")
        assert (last["number"], last["cause"], last["node"]) == (
            after["number"],
            "killed",
            before["primary"],
        )
        assert (last["primary"], last["backup"]) == (after["primary"], after["backup"])
        assert began_ms <= first["at_ms"] <= last["at_ms"] <= time.time() * 1000
        assert 0 < last["without_service_ms"] < DEADLINE_S * 1000
        shown = pbactors("history", topology, "--last", "1").stdout
        assert f"{before['primary']}: killed" in shown
        assert "newcomer" not in shown


def test_a_switchover_is_told(tmp_path: Path) -> None:
    """The cause names who took over."""
    topology = free_topology(tmp_path)
    with up(topology):
        before = view_of(topology)
        assert pbactors("switchover", topology).exit_code == 0
        last = views_of(topology)[-1]
        assert (last["cause"], last["node"]) == ("switchover", before["backup"])


def test_it_outlives_the_view_server_and_ends_with_the_cluster(tmp_path: Path) -> None:
    """A new cluster begins a history of its own."""
    topology = free_topology(tmp_path, replicas=1)
    with running([*PBACTORS, "node", topology, "a"]):
        with running([*PBACTORS, "node", topology, "view", "--new"]) as view:
            view.wait_for("is acknowledged")
            assert [entry["number"] for entry in views_of(topology)] == [1]
            os.kill(view.pid, signal.SIGKILL)
            view.wait()
        assert pbactors("history", topology).exit_code == 1
        with running([*PBACTORS, "node", topology, "view"]) as view:
            view.wait_for("serves")
            assert [entry["number"] for entry in views_of(topology)] == [1]
            view.send_signal(signal.SIGINT)
            view.wait()
    with running([*PBACTORS, "node", topology, "view", "--new"]) as view:
        view.wait_for("serves")
        assert wait_until(lambda: not views_of(topology), what="an empty history")
        assert "no view yet" in pbactors("history", topology).stdout


def test_a_view_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """With exit code 1."""
    finished = pbactors("history", free_topology(tmp_path))
    assert finished.exit_code == 1
    assert "view server view does not answer" in finished.stderr

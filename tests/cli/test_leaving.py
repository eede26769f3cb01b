"""SIGTERM of a node where nobody can take over, with real processes (R44).

Where somebody can, see ``test_switchover.py``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import pbactors
from pbactors import StateMachine, command
from pbactors.cli.node import LEAVE_TIMEOUT_S
from tests.processes import DEADLINE_S, PBACTORS, Process, free_topology, running

from .shell import view_of

SUPERVISOR_S = 10.0
"""After so long most supervisors kill what they asked to end."""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[dict[str, Process]]:
    """A cluster of two; all patience lasts longer than a test."""
    topology = free_topology(tmp_path, replicas=2, timing={"dead_pings": 100_000})
    with cluster_of_two(topology) as nodes:
        yield nodes


@contextmanager
def cluster_of_two(topology: Path) -> Iterator[dict[str, Process]]:
    """Run a view server and two replicas, known by their roles."""
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(running([*PBACTORS, "node", topology, name, *options]))
            for name, *options in (("view", "--new"), ("a",), ("b",))
        }
        view = view_of(topology)
        yield {
            "view": processes["view"],
            "primary": processes[view["primary"]],
            "backup": processes[view["backup"]],
        }


def kill(process: Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_primary_without_a_backup_has_nobody_to_wait_for(nodes: dict[str, Process]) -> None:
    for role in ("backup", "primary", "view"):
        process = nodes[role]
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        assert "leaves" in process.stdout
        assert "without having left" not in process.stdout
        assert process.stderr == ""
        if role != "view":
            assert "has left" in process.stdout


@pytest.mark.parametrize("role", ["primary", "backup"])
def test_without_a_view_server_it_ends_all_the_same(nodes: dict[str, Process], role: str) -> None:
    """“No new view in time”: after a while nobody is waited for, and the exit code is 0."""
    kill(nodes["view"])
    process = nodes[role]
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() - began_s >= LEAVE_TIMEOUT_S
    assert LEAVE_TIMEOUT_S < SUPERVISOR_S
    assert f"ends without having left: no other view in {LEAVE_TIMEOUT_S:g} s" in process.stdout
    assert process.stderr == ""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_while_it_tries_to_leave(
    nodes: dict[str, Process], second: signal.Signals
) -> None:
    kill(nodes["view"])
    process = nodes["primary"]
    process.send_signal(signal.SIGTERM)
    process.wait_for("leaves")
    process.send_signal(second)
    assert process.wait() == -second
    assert "without having left" not in process.stdout
    assert process.stderr == ""


class Fatal(StateMachine):
    """A class with a command that wants to end the process."""

    @command
    def nothing(self) -> None:
        """Do nothing."""

    @command
    def exit(self) -> None:
        """End the process."""
        raise SystemExit("it is over")


def test_a_node_that_stops_by_itself_while_it_leaves_says_only_that(tmp_path: Path) -> None:
    """It has not left, and its exit code says so."""
    topology = free_topology(
        tmp_path,
        replicas=2,
        machine="tests.cli.test_leaving:Fatal",
        timing={"dead_pings": 100_000},
    )
    with cluster_of_two(topology) as nodes, pbactors.connect(topology) as cluster:
        cluster.call(Fatal.nothing, timeout_s=DEADLINE_S)
        kill(nodes["view"])
        backup = nodes["backup"]
        backup.send_signal(signal.SIGTERM)
        backup.wait_for("leaves")
        cluster.submit(Fatal.exit)
        assert backup.wait() == 1
        assert "has stopped by itself: SystemExit" in backup.stderr
        assert "has left" not in backup.stdout
        assert "without having left" not in backup.stdout

"""``pbactors node``: one node in the foreground, and its ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pbactors.topology import load
from tests.processes import (
    DEADLINE_S,
    PBACTORS,
    Process,
    free_topology,
    pid_is_alive,
    running,
    wait_until,
)

from .shell import pbactors, status_of

FAILING = """
from pbactors import StateMachine, command

class Failing(StateMachine):
    @command
    def leave(self):
        raise SystemExit("left")

    @command
    def hang(self):
        while True:
            pass
"""


def serves(topology: Path) -> bool:
    return bool(status_of(topology)["serves"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_node_tells_what_happens_until_a_signal_ends_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    topology = free_topology(tmp_path, replicas=1)
    plan = load(topology)
    with (
        running([*PBACTORS, "node", topology, "view", "--new"]) as view,
        running([*PBACTORS, "node", topology, "a"]) as a,
    ):
        assert "forms a new, empty cluster 'local'" in view.wait_for("forms")
        line = view.wait_for("serves")
        here = plan.view_server
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d\.\d{3}  view  serves at "
            rf"{here.address}, heartbeats at {here.heartbeat}",
            line,
        )
        a.wait_for("  a  primary: serving alone")
        view.wait_for("  view  view 1 is acknowledged")
        for process in (a, view):
            process.send_signal(number)
            assert process.wait() == 0
            assert process.stderr == ""


def test_it_ends_also_while_it_waits_for_a_view_server(tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    with running([*PBACTORS, "node", topology, "a"]) as process:
        process.wait_for("serves")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_view_server_continues_its_store_after_a_kill(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, replicas=1)
    with running([*PBACTORS, "node", topology, "a"]):
        with running([*PBACTORS, "node", topology, "view", "--new"]) as process:
            process.wait_for("is acknowledged")
            wait_until(lambda: serves(topology), what="the cluster serves")
            before = status_of(topology)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        with running([*PBACTORS, "node", topology, "view"]) as process:
            process.wait_for("serves")
            after = status_of(topology)
    assert after["cluster"] == before["cluster"]
    assert after["view"] == before["view"]


def test_without_a_store_a_view_server_does_not_start(tmp_path: Path) -> None:
    code, stdout, stderr = pbactors("node", free_topology(tmp_path), "view")
    assert (code, stdout) == (1, "")
    assert "no view store here" in stderr
    assert "--new" in stderr
    assert "Traceback" not in stderr


def test_only_the_view_server_forms_clusters(tmp_path: Path) -> None:
    code, stdout, stderr = pbactors("node", free_topology(tmp_path), "a", "--new")
    assert (code, stdout) == (2, "")
    assert "a is a replica" in stderr


def test_a_name_that_is_not_in_the_topology(tmp_path: Path) -> None:
    code, stdout, stderr = pbactors("node", free_topology(tmp_path), "vieww")
    assert (code, stdout) == (2, "")
    assert "view, a, b, c" in stderr


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    address = load(topology).node("a").address
    with listener(address):
        code, stdout, stderr = pbactors("node", topology, "a")
    assert (code, stdout) == (1, "")
    assert address in stderr
    assert "Traceback" not in stderr


def test_a_cluster_that_could_not_be_formed_is_not_announced(tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    with listener(load(topology).view_server.address):
        code, stdout, _ = pbactors("node", topology, "view", "--new")
    assert (code, stdout) == (1, "")


def listener(address: str) -> socket.socket:
    """Take the address, as another program would."""
    found = urlsplit(address)
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind((found.hostname, found.port))
    taken.listen()
    return taken


def test_a_class_that_cannot_be_loaded(tmp_path: Path) -> None:
    code, stdout, stderr = pbactors("node", free_topology(tmp_path, machine="bank:Bank"), "a")
    assert (code, stdout) == (1, "")
    assert "bank:Bank" in stderr
    assert "Traceback" not in stderr


def test_a_node_that_fails_by_itself_says_why(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    topology = free_topology(tmp_path, replicas=1, machine="failing:Failing")
    with (
        running([*PBACTORS, "node", topology, "view", "--new"]),
        running([*PBACTORS, "node", topology, "a"]) as process,
    ):
        process.wait_for("serving alone")
        code, _, stderr = pbactors("call", topology, "leave", "--timeout", "2")
        assert code == 1
        assert "may have happened" in stderr
        assert process.wait() == 1
        assert "a has stopped by itself: SystemExit: left" in process.stderr


@contextmanager
def hanging_node(folder: Path) -> Iterator[Process]:
    """A node in a method that never returns."""
    (folder / "failing.py").write_text(FAILING)
    topology = free_topology(folder, replicas=1, machine="failing:Failing")
    with (
        running([*PBACTORS, "node", topology, "view", "--new"]),
        running([*PBACTORS, "node", topology, "a"]) as process,
    ):
        process.wait_for("serving alone")
        assert pbactors("call", topology, "hang", "--timeout", "1").exit_code == 1
        yield process


def test_a_method_that_never_returns_holds_up_the_end_only_for_a_while(tmp_path: Path) -> None:
    with hanging_node(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 1
        assert "a did not stop in time" in process.stderr


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with hanging_node(tmp_path) as process:

        def ended() -> bool:
            process.send_signal(signal.SIGINT)
            return process.exit_code is not None

        wait_until(ended, what="the node has ended")
        assert process.exit_code == -signal.SIGINT
        assert process.stderr == ""


def test_it_serves_on_when_nobody_reads_its_lines(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, replicas=1)
    script = 'exec "$@" > >(head -n 1 >&2)'
    words = ["bash", "-c", script, "bash", *PBACTORS, "node", str(topology), "a"]
    with (
        running(words) as a,
        running([*PBACTORS, "node", topology, "view", "--new"]),
    ):
        a.wait_for("serves", stream="stderr")
        wait_until(lambda: serves(topology), what="the cluster serves")
        assert pid_is_alive(a.pid)
        a.send_signal(signal.SIGTERM)
        assert a.wait() == 0
        assert len(a.stderr.splitlines()) == 1


def test_a_child_of_up_ends_with_its_stdin(tmp_path: Path) -> None:
    words = [*PBACTORS, "node", str(free_topology(tmp_path)), "a", "--child"]
    with running(words, stdin=subprocess.PIPE) as process:
        assert process.wait_for("serves").startswith("serves at ")
        close_stdin(process)
        assert process.wait(DEADLINE_S) == 0


def close_stdin(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()

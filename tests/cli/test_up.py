"""``pbactors up``: a whole cluster, what it says, and that nothing of it is ever left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pbactors.topology import load
from tests.processes import (
    PBACTORS,
    Process,
    children_of,
    free_topology,
    pid_is_alive,
    running,
    wait_until,
)

from .shell import pbactors, pids_of, result_of, status_of, up, view_of

BANK = """
from pbactors import StateMachine, command, query

class Bank(StateMachine):
    def __init__(self):
        self.balances = {}

    @command
    def deposit(self, account, amount):
        self.balances[account] = self.balances.get(account, 0) + amount
        return self.balances[account]

    @query
    def balances_of(self, *accounts):
        return {name: (self.balances[name], b"x") for name in accounts}
"""


def commands_in(process: Process) -> list[str]:
    """The commands that it has printed to copy."""
    return re.findall(r"^  (\S.*)$", process.stdout, re.MULTILINE)


def test_what_it_tells_to_type_next_works_and_survives_the_kill(tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    with up(topology) as process:
        assert process.stdout.startswith("Forming a new, empty cluster 'local'")
        line = process.wait_for("The cluster serves")
        assert process.stdout.partition("The cluster serves")[0].count(" serves at ") == 4
        primary, backup = re.findall(r"primary (\w), backup (\w)\.", line)[0]
        assert pids_of(process).keys() == {"view", "a", "b", "c"}
        put, get, status, tail, kill = commands_in(process)
        assert shell_runs(put) == "null\n"
        assert shell_runs(get) == '"blue"\n'
        assert f"primary {primary}, backup {backup}" in shell_runs(status)
        assert shell_runs(f"{tail} --count 1").count("\n") == 1
        assert shell_runs(kill) == ""
        assert f"  {primary}     was killed by SIGKILL" in process.wait_for("was killed")
        assert shell_runs(get) == '"blue"\n'
        assert result_of("call", topology, "append", "color", " sky") == "blue sky"
        assert view_of(topology)["primary"] == backup
        assert process.exit_code is None
        assert primary not in pids_of(process)
        again = process.wait_for("To start it again").partition("empty: ")[2]
        with running(["sh", "-c", f"exec {again}"]) as node:
            node.wait_for("joined cluster")


def shell_runs(command: str) -> str:
    """Paste a command into a shell; return what it prints."""
    with running(["sh", "-c", command]) as process:
        assert process.wait() == 0, process.report()
        assert process.stderr == ""
        return process.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_nodes(number: signal.Signals, tmp_path: Path) -> None:
    with up(free_topology(tmp_path)) as process:
        pids = pids_of(process).values()
        assert len(pids) == 4
        os.killpg(process.pid, number)  # as a terminal does
        assert process.wait() == 0
        assert not any(map(pid_is_alive, pids))
        assert process.stdout.endswith(f"{number.name}: ending all nodes\n")
        assert process.stderr == ""
        assert "Traceback" not in process.stdout


def test_the_terminal_reaches_the_nodes_through_up_alone(tmp_path: Path) -> None:
    with up(free_topology(tmp_path, replicas=2)) as process:
        groups = {os.getpgid(pid) for pid in pids_of(process).values()}
        assert len(groups) == 3
        assert process.pid not in groups


def test_kill_9_leaves_no_orphan_not_even_a_stopped_one(tmp_path: Path) -> None:
    with up(free_topology(tmp_path)) as process:
        pids = pids_of(process)
        os.kill(pids["c"], signal.SIGSTOP)
        os.kill(process.pid, signal.SIGKILL)
        try:
            assert process.wait() == -signal.SIGKILL
            wait_until(lambda: not any(map(pid_is_alive, pids.values())), what="all have ended")
        finally:
            for pid in filter(pid_is_alive, pids.values()):
                os.kill(pid, signal.SIGKILL)


def test_a_stopped_node_cannot_hold_up_the_end(tmp_path: Path) -> None:
    with up(free_topology(tmp_path, replicas=2)) as process:
        pids = pids_of(process)
        os.kill(pids["b"], signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        assert not any(map(pid_is_alive, pids.values()))


def test_a_cluster_that_runs_is_left_alone(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, replicas=2)
    with up(topology):
        before = status_of(topology)
        code, stdout, stderr = pbactors("up", topology)
        assert (code, stdout) == (1, "")
        assert "is running already" in stderr
        for node in load(topology).nodes:
            assert f"{node.name} answers at {node.address}" in stderr
        after = status_of(topology)
        assert (after["cluster"], after["view"]) == (before["cluster"], before["view"])


@pytest.mark.parametrize("name", ["view", "b"])
def test_an_address_that_is_taken_ends_all(name: str, tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    address = urlsplit(load(topology).node(name).address)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address.hostname, address.port))
        taken.listen()
        with running([*PBACTORS, "up", topology]) as process:
            assert process.wait() == 1
            assert f"{name} could not start" in process.stderr
            assert address.netloc in process.stdout
            assert "Traceback" not in process.stdout + process.stderr
            assert not children_of(process.pid)


def test_a_class_that_cannot_be_loaded_is_found_before_anything_starts(tmp_path: Path) -> None:
    code, stdout, stderr = pbactors("up", free_topology(tmp_path, machine="bank:Bank"))
    assert (code, stdout) == (1, "")
    assert "bank:Bank" in stderr
    assert not (tmp_path / "var").exists()


def test_the_death_of_all_nodes_ends_it(tmp_path: Path) -> None:
    with up(free_topology(tmp_path, replicas=1)) as process:
        pids = pids_of(process)
        os.kill(pids["view"], signal.SIGKILL)
        process.wait_for("Without the view server nobody takes over")
        assert process.exit_code is None
        os.kill(pids["a"], signal.SIGKILL)
        assert process.wait() == 1
        assert "all nodes that this command started have ended" in process.stderr


def test_a_class_of_ones_own_with_one_replica(tmp_path: Path) -> None:
    (tmp_path / "bank.py").write_text(BANK)
    topology = free_topology(tmp_path, replicas=1, machine="bank:Bank")
    with up(topology) as process:
        assert "primary a, no backup, as there is one replica" in process.stdout
        calls = [line.partition(str(topology))[2] for line in commands_in(process)[:2]]
        assert calls == [" deposit ACCOUNT AMOUNT", " balances_of '[ACCOUNTS]...'"]
        assert result_of("call", topology, "deposit", "alice", "10") == 10
        found = result_of("call", topology, "balances_of", "alice")
        assert found == {"alice": {"$tuple": [10, {"$bytes": "eA=="}]}}
        code, _, stderr = pbactors("call", topology, "balances_of", "bob")
        assert (code, stderr) == (1, "Error: KeyError: 'bob'\n")


def test_it_forms_a_new_cluster_every_time(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, replicas=1)
    found = []
    for _ in range(2):
        with up(topology) as process:
            assert result_of("call", topology, "append", "key", "x") == "x"
            found.append(status_of(topology)["cluster"])
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
    assert found[0] != found[1]

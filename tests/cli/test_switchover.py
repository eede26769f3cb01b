"""Planned work, with real processes: ``pbactors switchover``, and SIGTERM (R44).

A client appends all the time. No call may fail, and none may take effect twice or not at all.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pbactors
from pbactors.machines.kv import KeyValueStore
from tests.processes import DEADLINE_S, free_topology, pid_is_alive, wait_until

from .shell import pbactors as run
from .shell import pids_of, up, view_of


class Appending:
    """Appends numbers to one text, one call after another.

    Attributes:
        done: how many calls have been answered.
        failed: what a call raised.
    """

    def __init__(self, topology: Path) -> None:
        self.done = 0
        self.failed: Exception | None = None
        self._topology = topology
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with pbactors.connect(self._topology) as cluster:
                while not self._ends.is_set():
                    text = cluster.call(
                        KeyValueStore.append, "text", f"{self.done} ", timeout_s=DEADLINE_S
                    )
                    expected = "".join(f"{number} " for number in range(self.done + 1))
                    assert text == expected
                    self.done += 1
        except Exception as error:  # noqa: BLE001 - told by whoever waits
            self.failed = error

    def goes_on(self) -> None:
        """Wait until calls that begin now are answered."""
        seen = self.done
        wait_until(lambda: self.failed or self.done > seen + 10, what="answers")
        assert self.failed is None

    @contextmanager
    def going_on(self) -> Iterator[Appending]:
        """Append until the block ends; no call may have failed."""
        self._thread.start()
        try:
            self.goes_on()
            yield self
            self.goes_on()
        finally:
            self._ends.set()
            self._thread.join()
        assert self.failed is None


def test_R44_the_backup_takes_over_without_a_failed_call(tmp_path: Path) -> None:
    """“moves the primary role with no failed call”, there and back again."""
    topology = free_topology(tmp_path)
    with up(topology), Appending(topology).going_on() as appending:
        first = view_of(topology)
        told = run("switchover", topology)
        assert told.exit_code == 0, told
        assert told.stdout.startswith(f"{first['backup']} is primary of view ")
        appending.goes_on()
        second = view_of(topology)
        assert (second["primary"], second["backup"]) == (first["backup"], first["primary"])
        back = run("switchover", topology, "--to", first["primary"], "--json")
        assert json.loads(back.stdout)["primary"] == first["primary"]


def test_R44_an_idle_replica_can_be_wanted(tmp_path: Path) -> None:
    """It is made backup first (R3)."""
    topology = free_topology(tmp_path)
    with up(topology) as cluster, Appending(topology).going_on():
        view = view_of(topology)
        (idle,) = pids_of(cluster).keys() - {"view", view["primary"], view["backup"]}
        told = run("switchover", topology, "--to", idle)
        assert told.exit_code == 0, told
        assert view_of(topology)["primary"] == idle


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    """Each refusal names what is wrong; nothing happens."""
    topology = free_topology(tmp_path)
    nobody = run("switchover", topology)
    assert nobody.exit_code == 1
    assert "does not answer" in nobody.stderr
    with up(topology) as cluster:
        view = view_of(topology)
        same = run("switchover", topology, "--to", view["primary"])
        assert (same.exit_code, "already" in same.stdout) == (0, True)
        for name in ("z", "view"):
            wrong = run("switchover", topology, "--to", name)
            assert wrong.exit_code == 2
            assert f"got '{name}'; for example: --to a" in " ".join(wrong.stderr.split())
        (idle,) = pids_of(cluster).keys() - {"view", view["primary"], view["backup"]}
        os.kill(pids_of(cluster)[idle], signal.SIGKILL)
        wait_until(
            lambda: "not alive" in run("switchover", topology, "--to", idle).stderr,
            what="the death to be noticed",
        )
        assert view_of(topology) == view


@pytest.mark.parametrize("role", ["primary", "backup", "idle"])
def test_R44_SIGTERM_lets_a_node_leave_in_peace(tmp_path: Path, role: str) -> None:
    """“SIGTERM on a primary does the same before it leaves. A node that leaves in peace is not
    waited for.” All patience here lasts for longer than the test.
    """
    topology = free_topology(tmp_path, timing={"dead_pings": 100_000})
    with up(topology) as cluster, Appending(topology).going_on() as appending:
        view = view_of(topology)
        pids = pids_of(cluster)
        (idle,) = pids.keys() - {"view", view["primary"], view["backup"]}
        name = view.get(role) or idle
        os.kill(pids[name], signal.SIGTERM)
        wait_until(lambda: not pid_is_alive(pids[name]), what=f"{name} ends")
        assert name in cluster.wait_for("has ended with exit code 0").split()
        assert "without having left" not in cluster.stdout
        appending.goes_on()
        after = view_of(topology)
        assert name not in (after["primary"], after["backup"])
        if role == "primary":
            assert after["primary"] == view["backup"]

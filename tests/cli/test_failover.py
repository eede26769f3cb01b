"""What makes a failover quick, with real processes. Each test takes away the slower ways: patience
with missed pings, and asking, last for longer than anybody waits. What is left must have done it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

import pbactors
from pbactors.machines.kv import KeyValueStore
from tests.processes import DEADLINE_S, free_topology, wait_until

from .shell import pids_of, up, view_of

FOREVER_MS = int(20 * DEADLINE_S * 1000)
PATIENT = {"ping_interval_ms": 25, "dead_pings": FOREVER_MS // 25}


@pytest.mark.parametrize(
    ("number", "role"),
    [
        (signal.SIGKILL, "primary"),
        (signal.SIGKILL, "backup"),
        (signal.SIGSTOP, "primary"),
    ],
    ids=["primary killed", "backup killed", "primary frozen"],
)
def test_a_lost_connection_is_enough(tmp_path: Path, number: signal.Signals, role: str) -> None:
    """R49: no ping check counts here; the connection of a killed process is closed, and that of a
    frozen one is silent.
    """
    topology = free_topology(tmp_path, timing=PATIENT)
    with up(topology) as cluster, pbactors.connect(topology) as client:
        client.call(KeyValueStore.put, "color", "blue", timeout_s=DEADLINE_S)
        before = view_of(topology)
        pid = pids_of(cluster)[before[role]]
        os.kill(pid, number)
        try:
            assert client.call(KeyValueStore.get, "color", timeout_s=DEADLINE_S) == "blue"
            after = view_of(topology)
        finally:
            if number == signal.SIGSTOP:
                os.kill(pid, signal.SIGCONT)
    assert after["number"] > before["number"]
    assert before[role] not in (after["primary"], after["backup"])


def test_a_view_server_that_was_paused_says_so_and_accuses_nobody(tmp_path: Path) -> None:
    """R46, R49: “everyone gets a fresh grace period (also when V notices it slept)”, and the
    connections that it lost meanwhile say nothing of who is at their other end.
    """
    topology = free_topology(tmp_path)
    patience_s = pbactors.load(topology).timing.dead_interval_ms / 1000
    with up(topology) as cluster:
        before = view_of(topology)
        pid = pids_of(cluster)["view"]
        os.kill(pid, signal.SIGSTOP)
        pass_by(1.5 * patience_s)
        os.kill(pid, signal.SIGCONT)
        cluster.wait_for("did nothing for")
        pass_by(1.5 * patience_s)
        assert view_of(topology) == before
        assert "suspects" not in cluster.stdout


def pass_by(seconds: float) -> None:
    """Let time pass: it is what the test is about."""
    until_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until_s, what="the time to pass")


def test_a_client_hears_of_the_new_view_without_asking(tmp_path: Path) -> None:
    """R30: it would ask after silence, but that lasts for longer than anybody waits."""
    topology = free_topology(
        tmp_path, timing={"client_resend_ms": FOREVER_MS, "client_resend_max_ms": FOREVER_MS}
    )
    with up(topology) as cluster, pbactors.connect(topology) as client:
        client.call(KeyValueStore.put, "color", "blue", timeout_s=DEADLINE_S)
        os.kill(pids_of(cluster)[view_of(topology)["primary"]], signal.SIGKILL)

        def asked() -> object:
            """A question may be lost where no connection stands yet; then another one is asked."""
            with contextlib.suppress(pbactors.CallError):
                return client.call(KeyValueStore.get, "color", timeout_s=DEADLINE_S / 5)
            return None

        assert wait_until(asked, what="an answer of the new primary") == "blue"

"""``pbactors status``: every field, and an answer whoever is down."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbactors.cli import status as command
from pbactors.cli.application import run
from pbactors.cli.cluster_status import ClusterStatus, status_of
from pbactors.heartbeat import Liveness, Record, ViewSummary
from pbactors.topology import Topology, load
from tests.processes import free_topology, wait_until

from . import shell

CLUSTER = "c" * 32
VIEW = ViewSummary(2, "a", "b", True)


def record(node: str, role: str, **changes: Any) -> Record:
    made = Record(
        cluster=CLUSTER,
        cluster_name="local",
        node=node,
        incarnation="11" * 16,
        role=role,
        state="well",
        view=VIEW,
        op=7,
        sequence=3,
        operations_per_second=12.4,
        copies=2,
        stuck=False,
        time=0.25,
        uptime_s=1.5,
    )
    return replace(made, **changes)


def all_well() -> dict[str, Record]:
    alive = {"a": Liveness(True, 5.0), "b": Liveness(True, 6.0), "c": Liveness(False, 7.0)}
    return {
        "view": record("view", "view_server", op=0, alive=alive),
        "a": record("a", "primary"),
        "b": record("b", "backup", copies=0),
        "c": record("c", "idle", op=0, copies=0),
    }


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    return load(free_topology(tmp_path))


def told(topology: Topology, records: Mapping[str, Record]) -> ClusterStatus:
    return status_of(topology, records)


# -- field by field ---------------------------------------------------------------------------


def test_the_whole_structure(topology: Topology) -> None:
    records = all_well()
    del records["c"]
    found = told(topology, records).to_dict()
    nodes = found.pop("nodes")
    assert found == {
        "cluster": CLUSTER,
        "cluster_name": "local",
        "view": {
            "number": 2,
            "primary": "a",
            "backup": "b",
            "acked": True,
            "source": "view_server",
        },
        "serves": True,
        "copies": 2,
        "problems": ["no answer from c"],
    }
    assert [node["name"] for node in nodes] == ["view", "a", "b", "c"]
    assert nodes[1] == {
        "name": "a",
        "role": "primary",
        "alive": True,
        "state": "well",
        "view": 2,
        "op": 7,
        "operations_per_second": 12.4,
        "copies": 2,
        "stuck": False,
        "uptime_s": 1.5,
        "counted_alive": True,
        "counted_since": 5.0,
    }
    assert nodes[3] == {
        **dict.fromkeys(nodes[3]),
        "name": "c",
        "alive": False,
        "counted_alive": False,
        "counted_since": 7.0,
    }
    assert nodes[0]["role"] == "view_server"
    assert nodes[0]["counted_alive"] is None


def test_all_well_has_no_problems(topology: Topology) -> None:
    assert told(topology, all_well()).problems == ()


def test_nobody_answers(topology: Topology) -> None:
    found = told(topology, {})
    assert found.cluster is None
    assert (found.view, found.source) == (ViewSummary(0, None, None, False), None)
    assert (found.serves, found.copies) == (False, 0)
    assert [node.role for node in found.nodes] == ["view_server", None, None, None]
    assert not any(node.alive for node in found.nodes)
    assert found.problems == (
        "no node answers: the cluster is not running, or cannot be reached from here",
    )


def test_without_the_view_server_the_highest_view_of_a_replica_counts(topology: Topology) -> None:
    records = all_well()
    del records["view"]
    records["c"] = record("c", "idle", view=ViewSummary(1, "a", None, True))
    found = told(topology, records)
    assert (found.view, found.source, found.serves) == (VIEW, "replicas", True)
    assert found.nodes[1].counted_alive is None
    assert found.problems[0].startswith("view server view does not answer: nobody takes over")
    assert "new clients wait" in found.problems[0]


def test_a_cluster_whose_state_may_be_gone_says_what_to_type(topology: Topology) -> None:
    records = {"view": record("view", "view_server", state="stuck: waiting for a", stuck=True)}
    (problem,) = (text for text in told(topology, records).problems if "empty cluster" in text)
    assert problem.endswith(f" abandon {topology.path}")
    assert not any("empty cluster" in text for text in told(topology, all_well()).problems)


def test_a_fresh_replica_knows_nothing_of_the_view(topology: Topology) -> None:
    fresh = record("a", "idle", cluster="", view=ViewSummary(0, None, None, False))
    found = told(topology, {"a": fresh})
    assert (found.cluster, found.source) == (None, None)
    assert found.nodes[1].alive


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"role": "idle"}, "it does not say that it is primary"),
        ({"view": ViewSummary(1, "a", None, True)}, "it is primary of an earlier view"),
        ({"stuck": True}, "it is stuck"),
        ({"copies": 0}, "it says that it answers nobody: it fills its backup, or waits for one"),
    ],
)
def test_who_does_not_serve(changes: dict[str, Any], why: str, topology: Topology) -> None:
    records = all_well()
    records["a"] = record("a", **{"role": "primary", **changes})
    found = told(topology, records)
    assert not found.serves, why
    assert found.copies == 0
    assert "nobody serves calls now" in found.problems


def test_a_node_of_another_cluster_is_named(topology: Topology) -> None:
    records = all_well()
    records["c"] = record("c", "idle", cluster="d" * 32)
    assert told(topology, records).problems == (f"c belongs to another cluster, {'d' * 32}",)


def test_somebody_else_at_the_address_is_no_answer(topology: Topology) -> None:
    records = all_well()
    records["c"] = record("z", "idle")
    assert not told(topology, records).nodes[3].alive


def test_it_waits_less_than_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = []

    def ask_nodes(topology: Topology, timeout_s: float) -> dict[str, Record]:
        waits.append(timeout_s)
        return {}

    monkeypatch.setattr(command, "ask_nodes", ask_nodes)
    assert run(["status", str(free_topology(tmp_path)), "--json"]) == 1
    assert waits == [0.5]
    assert json.loads(capsys.readouterr().out)["serves"] is False


def test_ctrl_c_is_exit_code_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask_nodes(topology: Topology, timeout_s: float) -> dict[str, Record]:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "ask_nodes", ask_nodes)
    assert run(["status", str(free_topology(tmp_path)), "--json"]) == 130
    assert capsys.readouterr().out == ""


# -- real clusters ----------------------------------------------------------------------------


def test_a_cluster_that_serves_is_exit_code_0(served: Path) -> None:
    view = shell.view_of(served)
    code, stdout, stderr = shell.pbactors("status", served)
    assert (code, stderr) == (0, "")
    assert f"view {view['number']}: primary {view['primary']}, backup {view['backup']}" in stdout
    rows = {row.split()[0]: row.split() for row in stdout.splitlines() if row.strip()}
    assert rows["view"][1] == "view_server"
    assert rows[view["primary"]][1:3] == ["primary", "serving"]
    assert rows[view["backup"]][1:3] == ["backup", "following"]
    assert all(rows[name][-1] == "yes" for name in ("view", "a", "b", "c"))


def test_json_is_alone_on_stdout(served: Path) -> None:
    code, stdout, stderr = shell.pbactors("status", served, "--json")
    assert (code, stderr) == (0, "")
    found = json.loads(stdout)
    assert found["copies"] == 2
    assert {node["role"] for node in found["nodes"]} == {
        "view_server",
        "primary",
        "backup",
        "idle",
    }


def test_a_cluster_that_never_ran_is_exit_code_1(tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    code, stdout, _ = shell.pbactors("status", topology)
    assert code == 1
    assert "no node answers" in stdout
    code, stdout, stderr = shell.pbactors("status", topology, "--json")
    assert (code, stderr) == (1, "")
    assert json.loads(stdout)["view"]["source"] is None


def test_with_the_view_server_down_the_pair_goes_on_and_status_says_so(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, replicas=2)
    with shell.up(topology) as process:
        view = shell.view_of(topology)
        pids = shell.pids_of(process)
        os.kill(pids["view"], signal.SIGKILL)
        process.wait_for("was killed by SIGKILL")
        code, stdout, stderr = shell.pbactors("status", topology, "--json")
        assert (code, stderr) == (0, "")
        found = json.loads(stdout)
        assert found["view"] == {**view, "source": "replicas"}
        assert found["nodes"][0]["alive"] is False
        assert "view server view does not answer" in found["problems"][0]
        assert "view server view does not answer" in shell.pbactors("status", topology).stdout
        os.kill(pids[view["primary"]], signal.SIGKILL)
        wait_until(lambda: not shell.status_of(topology)["serves"], what="nobody serves")
        found = shell.status_of(topology)
        assert found["view"]["primary"] == view["primary"]
        assert found["copies"] == 0

"""``pbactors check``: everything that is wrong with a topology file, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import free_topology

from .shell import pbactors


def test_a_right_file_is_summed_up(tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    code, stdout, stderr = pbactors("check", topology)
    assert (code, stderr) == (0, "")
    assert stdout.splitlines() == [
        f"{topology} is right.",
        "  cluster      local",
        f"  view server  view; its memory is {tmp_path / 'var' / 'local'}",
        "  replicas     a, b, c",
        "  replicates   pbactors.machines.kv:KeyValueStore: "
        "append, compare_and_set, delete, get, increment, keys, put",
    ]
    assert not (tmp_path / "var").exists()


def test_every_mistake_is_reported_in_one_go(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, timing={"ping_interval_ms": 0, "dead_ping": 5})
    topology.write_text(topology.read_text().replace('role = "replica"', 'role = "slave"', 1))
    code, stdout, stderr = pbactors("check", topology)
    assert (code, stdout) == (2, "")
    assert len(stderr.splitlines()) == 3
    assert "ping_interval_ms" in stderr
    assert "did you mean 'dead_pings'" in stderr
    assert "slave" in stderr


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "ModuleNotFoundError"),
        ("class Other: pass", "has no attribute 'Bank'"),
        ("Bank = 5", "no subclass of pbactors.StateMachine"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("class Bank(", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_a_class_that_cannot_be_loaded_is_a_mistake(
    source: str | None, reason: str, tmp_path: Path
) -> None:
    topology = free_topology(tmp_path, machine="bank:Bank")
    if source is not None:
        (tmp_path / "bank.py").write_text(source)
    code, stdout, stderr = pbactors("check", topology)
    assert (code, stdout) == (2, "")
    assert "bank:Bank" in stderr
    assert reason in stderr
    assert "Traceback" not in stderr


def test_what_the_class_prints_when_imported_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "from pbactors import StateMachine\nprint('LOUD')\nclass Loud(StateMachine): pass\n"
    )
    code, stdout, stderr = pbactors("check", free_topology(tmp_path, machine="loud:Loud"))
    assert code == 0
    assert stdout.endswith("loud:Loud: no methods\n")
    assert "LOUD" not in stdout
    assert stderr == "LOUD\n"

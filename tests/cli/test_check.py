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


SNAPSHOT = "def snapshot_pieces(self): yield 1"


def bank(*members: str) -> str:
    """A class with one query, and these members."""
    head = "from pbactors import StateMachine, query\nclass Bank(StateMachine):"
    return "\n    ".join([head, "@query", "def total(self): return 0", *members])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "ModuleNotFoundError"),
        ("class Other: pass", "has no attribute 'Bank'"),
        ("Bank = 5", "no subclass of pbactors.StateMachine"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("class Bank(", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        (bank("def __init__(self, owner): pass"), "missing 1 required positional argument"),
        (bank("def __init__(self): 1 / 0"), "Bank() raised ZeroDivisionError: division by zero"),
        (bank("def __init__(self): exit(3)"), "Bank() raised SystemExit: 3"),
        (bank("def __init__(self): self.total = {'x': 1j}"), "'total'"),
        (bank("def restore_piece(self, piece): 1 / 0", SNAPSHOT), "restore_piece raised"),
        ("from pbactors import StateMachine\nclass Bank(StateMachine): pass", "nothing to call"),
    ],
)
def test_a_class_that_cannot_be_used_is_a_mistake(
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


def test_what_the_class_prints_is_no_result(tmp_path: Path) -> None:
    source = bank("def __init__(self): print('made')") + "\nprint('imported')"
    (tmp_path / "bank.py").write_text(source)
    code, stdout, stderr = pbactors("check", free_topology(tmp_path, machine="bank:Bank"))
    assert code == 0
    assert stdout.endswith("bank:Bank: total\n")
    assert not {"imported", "made"} & set(stdout.splitlines())
    assert stderr.splitlines() == ["imported", "made", "made"]  # the object, and its copy

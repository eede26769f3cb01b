"""``tools/bench`` itself, with real processes: what it measures is there, whatever it comes to."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes import running, wait_until

ROOT = Path(__file__).parent.parent.parent
BENCH = [sys.executable, "-m", "benchmarks"]
PATHS = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tools")])}
FAULTS = [
    "kill-primary",
    "stop-primary",
    "kill-backup",
    "switchover",
    "terminate-primary",
    "restart-view-server",
]


def test_every_fault_is_measured(tmp_path: Path) -> None:
    rows = tmp_path / "bench.jsonl"
    words = ["failover", "--rounds", "1", "--keys", "2000", "--json", str(rows)]
    with running([*BENCH, *words], environment=PATHS | {"TMPDIR": str(tmp_path)}) as bench:
        assert bench.wait(150) == 0
        told = bench.stdout
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["fault"] for row in found] == FAULTS
    for row in found:
        assert row["failed"] == 0
        assert len(row["gaps_ms"]) == 1
        assert row["gaps_ms"][0] > 0
        assert told.count(f"\n{row['fault']} ") == 2, "in the table, and in the plot"
    assert os.listdir(tmp_path) == ["bench.jsonl"], "files were left behind"


SHORT = ["--rounds", "1", "--seconds", "0.2"]


def test_systems_compete(tmp_path: Path) -> None:
    """Every way of calling, several clients, several sessions, queries, and one core."""
    rows = tmp_path / "bench.jsonl"
    words = ["speed", "one-at-a-time", "queries", "sessions", *SHORT, "--json", str(rows)]
    with running([*BENCH, *words], environment=PATHS) as bench:
        assert bench.wait(110) == 0, bench.stderr
        told = bench.stdout
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    by_case: dict[str, list[str]] = {}
    for row in found:
        by_case.setdefault(row["case"], []).append(row["contestant"])
        assert row["rate_per_s"] > 0
        assert 0 < row["p50_us"] <= row["p99_us"]
        assert f"\n{row['contestant']} " in told
    assert by_case["one-at-a-time"][:3] == ["floor", "wire client", "call"]
    assert by_case["sessions"] == ["4 sessions", "256 sessions"]
    assert len(by_case["queries"]) == 4
    assert all(row["ratio"] == 1 for row in found if row["contestant"] == "floor")


def test_a_cluster_is_watched_as_it_grows_old(tmp_path: Path) -> None:
    rows = tmp_path / "bench.jsonl"
    words = ["soak", "--operations", "4000", "--marks", "2", "--json", str(rows)]
    with running([*BENCH, *words], environment=PATHS) as bench:
        assert bench.wait(60) == 0, bench.stderr
    marks = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(marks) == 2
    assert marks[0]["operations"] >= 2000
    assert marks[1]["operations"] >= 4000
    for mark in marks:
        assert mark["ratio"] > 0
        assert all(size > 1_000_000 for size in mark["memory_bytes"].values())


def test_filling_is_measured_with_and_without_clients(tmp_path: Path) -> None:
    rows = tmp_path / "bench.jsonl"
    words = ["filling", "--rounds", "1", "--keys", "3000", "--json", str(rows)]
    with running([*BENCH, *words], environment=PATHS) as bench:
        assert bench.wait(110) == 0, bench.stderr
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["clients"] for row in found] == ["nobody calls", "1 call open", "64 calls open"]
    for row in found:
        assert row["bytes"] > 3000 * 16
        assert row["seconds"] > 0
        assert row["failed"] == 0
        assert (row["gap_ms"] > 0) == (row["clients"] != "nobody calls")


@pytest.mark.parametrize(
    ("number", "whole_group", "code"), [(signal.SIGTERM, False, 143), (signal.SIGINT, True, 130)]
)
@pytest.mark.parametrize("words", [["soak"], ["speed", "one-client"]])
def test_a_bench_that_is_ended_leaves_nothing(
    tmp_path: Path, words: list[str], number: signal.Signals, whole_group: bool, code: int
) -> None:
    def measures() -> bool:
        """Its client has begun, for clusters or the floor that came before."""
        return any("spawn_main" in command for command in commands_of_group(bench.pid))

    with running([*BENCH, *words], environment=PATHS | {"TMPDIR": str(tmp_path)}) as bench:
        wait_until(measures if words == ["speed", "one-client"] else lambda: os.listdir(tmp_path))
        if whole_group:
            os.killpg(bench.pid, number)
        else:
            bench.send_signal(number)
        assert bench.wait() == code
        wait_until(lambda: not commands_of_group(bench.pid), what="all of it to end")
        assert bench.stderr == ""
    assert os.listdir(tmp_path) == []


def commands_of_group(group: int) -> list[str]:
    """Return the command lines of the processes of a group, without the first."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(group):
            with suppress(OSError):
                of_group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
                command = (folder / "cmdline").read_text().replace("\0", " ")
                if of_group == group and command:
                    found.append(command)
    return found


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["failover", "kill-everybody"], 1, "Expected some of: kill-primary"),
        (["speed", "nobody"], 1, "Expected some of: one-client"),
        (["plot", "/nowhere.jsonl", "picture.svg"], 1, "/nowhere.jsonl cannot be read"),
        (["plot", __file__, "picture.svg"], 1, "test_bench.py, line 1: no line of figures"),
        (["plot", __file__, "picture.txt"], 1, "for example: picture.svg"),
        (["speed", "--json", "/nowhere/x.jsonl"], 1, "--json /nowhere/x.jsonl cannot be written"),
        (["soak", "--json", "/"], 1, "--json / cannot be written: Is a directory"),
        (["speed", "--rounds", "0"], 2, "--rounds: expected a whole number from 1, got '0'"),
        (["sweep", "--seconds", "nan"], 2, "--seconds: expected seconds, for example 1.5"),
        (["sweep", "--seconds", "-1"], 2, "--seconds: expected seconds, for example 1.5"),
        (["soak", "--operations", "none"], 2, "--operations: expected a whole number from 1"),
        (["soak", "--marks", "0"], 2, "--marks: expected a whole number from 1"),
        (["filling", "--keys", "0"], 2, "--keys: expected a whole number from 1, got '0'"),
        (["failover", "--keys", "-1"], 2, "--keys: expected a whole number from 0, got '-1'"),
        ([], 2, "SCENARIO"),
    ],
)
def test_wrong_usage_is_explained(words: list[str], code: int, expected: str) -> None:
    with running([*BENCH, *words], environment=PATHS) as bench:
        assert bench.wait() == code
        assert expected in bench.stderr

"""``tools/bench`` itself, with real processes: what it measures is there, whatever it comes to."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.processes import running

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


def test_throughput_is_measured(tmp_path: Path) -> None:
    rows = tmp_path / "bench.jsonl"
    words = ["throughput", "--seconds", "0.2", "--runs", "1", "--json", str(rows)]
    with running([*BENCH, *words], environment=PATHS) as bench:
        assert bench.wait(60) == 0
        assert "put, 64 outstanding" in bench.stdout
    (found,) = map(json.loads, rows.read_text().splitlines())
    assert all(figure["value"] > 0 for figure in found["figures"].values())


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["failover", "kill-everybody"], 1, "Expected some of: kill-primary"),
        ([], 2, "SCENARIO"),
    ],
)
def test_wrong_usage_is_explained(words: list[str], code: int, expected: str) -> None:
    with running([*BENCH, *words], environment=PATHS) as bench:
        assert bench.wait() == code
        assert expected in bench.stderr

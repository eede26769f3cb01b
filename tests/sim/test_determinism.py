"""A seed replays bit for bit: in one process, in another, and while it is traced."""

from __future__ import annotations

import os
import subprocess
import sys

from pbactors.machines.kv import KeyValueStore
from pbactors.sim import Report, simulate

SEEDS = (3, 8)
PROGRAM = """
import sys
from pbactors.machines.kv import KeyValueStore
from pbactors.sim import simulate
for seed in map(int, sys.argv[1:]):
    report = simulate(KeyValueStore, seed)
    print(report.digest, report.steps, report.time_ms, sorted(report.faults.items()))
"""


def seen(report: Report) -> tuple[object, ...]:
    return (
        report.digest,
        report.steps,
        report.time_ms,
        report.answered,
        report.committed,
        report.views,
        report.faults,
        report.outcome,
    )


def test_a_seed_gives_the_same_run_again() -> None:
    for seed in SEEDS:
        assert seen(simulate(KeyValueStore, seed)) == seen(simulate(KeyValueStore, seed))


def test_a_trace_changes_nothing() -> None:
    traced = simulate(KeyValueStore, SEEDS[0], tracing=True)
    assert traced.trace is not None
    assert len(traced.trace) > 1000
    assert seen(traced) == seen(simulate(KeyValueStore, SEEDS[0]))


def test_seeds_differ() -> None:
    assert simulate(KeyValueStore, 3).digest != simulate(KeyValueStore, 8).digest


def test_another_process_with_another_order_of_sets_runs_the_same() -> None:
    """Python draws how it hashes texts anew for each process, unless it is told."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, SEEDS)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    here = simulate(KeyValueStore, SEEDS[0])
    assert runs[0].startswith(f"{here.digest} {here.steps} {here.time_ms} ")

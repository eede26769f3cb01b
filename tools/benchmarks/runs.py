"""The scenarios of ``tools/bench``: each measures, prints a table and reports JSON lines."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from statistics import median

from demonstration.cluster import Cluster

from benchmarks import failover
from benchmarks.caller import Caller
from benchmarks.filling import Filled, fill, state_bytes
from benchmarks.gaps import bars, percentile
from benchmarks.plot import draw
from benchmarks.report import Report, table
from benchmarks.soak import soak
from benchmarks.speed import CASES, SWEEP, Case, Contestant, Figures, compete, missing

__all__ = ["run_failover", "run_filling", "run_plot", "run_soak", "run_speed", "run_sweep"]

CHARACTERS_MAX = 60
"""The width of a plot."""

MEGABYTE = 1_000_000


def _chosen(names: Sequence[str], known: Mapping[str, object], kind: str) -> list[str]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RuntimeError(
            f"no {kind} named {unknown[0]!r}. Expected some of: {', '.join(known)}; "
            f"for example: {next(iter(known))}"
        )
    return list(names) or list(known)


# -- speed --------------------------------------------------------------------------------------


def run_speed(options: argparse.Namespace, report: Report) -> None:
    """Let systems compete, case by case."""
    for name in _chosen(options.cases, CASES, "case"):
        _compete(name, CASES[name], options, report)


def run_sweep(options: argparse.Namespace, report: Report) -> None:
    """Let systems compete with more and more operations open."""
    for outstanding, case in SWEEP.items():
        _compete(f"sweep-{outstanding}", case, options, report)


def _compete(name: str, case: Case, options: argparse.Namespace, report: Report) -> None:
    rounds = options.rounds
    found = compete(
        case,
        rounds,
        options.seconds,
        lambda number, who: report.progress(f"{name}, round {number} of {rounds}: {who} "),
    )
    report.progress("")
    print(f"{name}: {case.about}; medians of {rounds} rounds of {options.seconds:g} s")
    heads = ("", "ops/s", "lowest", "highest", "ratio", "p50 us", "p99 us")
    print(table(heads, [_row(one) for one in found]))
    for absent in missing(case):
        print(f"not measured, since it is not installed: {absent}")
    print(flush=True)
    for one, contestant in zip(found, _present(case), strict=True):
        figures = {key: round(value, 4) for key, value in one.medians().items()}
        rates = [round(rate) for rate in one.rates_per_s]
        report.append(
            {
                "scenario": "speed",
                "case": name,
                "contestant": one.name,
                "load": asdict(contestant.load),
                **figures,
                "rates_per_s": rates,
            }
        )


def _present(case: Case) -> list[Contestant]:
    absent = missing(case)
    return [one for one in case.contestants if one.system not in absent]


def _row(one: Figures) -> list[str]:
    medians = one.medians()
    return [
        one.name,
        f"{medians['rate_per_s']:,.0f}",
        f"{min(one.rates_per_s):,.0f}",
        f"{max(one.rates_per_s):,.0f}",
        f"{medians['ratio']:.2f}",
        f"{medians['p50_us']:,.0f}",
        f"{medians['p99_us']:,.0f}",
    ]


def run_plot(options: argparse.Namespace, _report: Report) -> None:
    """Draw what a sweep has found."""
    draw(options.lines, options.picture)
    print(f"{options.picture} is written")


# -- soak ---------------------------------------------------------------------------------------


def run_soak(options: argparse.Namespace, report: Report) -> None:
    """Watch one cluster grow old."""
    rows = []
    for mark in soak(options.operations, options.marks):
        report.progress(f"{mark.operations:,} of {options.operations:,} operations ")
        rows.append(
            [
                f"{mark.operations:,}",
                f"{mark.rate_per_s:,.0f}",
                f"{mark.ratio:.2f}",
                *(f"{size / MEGABYTE:.1f}" for size in mark.memory_bytes.values()),
            ]
        )
        report.append({"scenario": "soak", **mark._asdict()})
    report.progress("")
    print(table(("operations", "ops/s", "ratio to the floor", "MB of a", "MB of b"), rows))


# -- filling ------------------------------------------------------------------------------------

OPEN = {"nobody calls": 0, "1 call open": 1, "64 calls open": 64}
"""The clients during whose calls a backup is filled."""


def run_filling(options: argparse.Namespace, report: Report) -> None:
    """Fill new backups with a large state."""
    size = state_bytes(options.keys)
    print(f"{options.keys:,} keys, {size / MEGABYTE:.1f} MB; medians of {options.rounds} rounds")
    rows = []
    for name, outstanding in OPEN.items():
        found: list[Filled] = []
        report.progress(f"{name}: a state of {options.keys:,} keys ")
        with tempfile.TemporaryDirectory() as folder:
            for one in fill(Path(folder), options.keys, options.rounds, outstanding):
                found.append(one)
                report.progress(f"{name} {len(found)}/{options.rounds} ")
                report.append(
                    {"scenario": "filling", "clients": name, "bytes": size, **one._asdict()}
                )
        rows.append(_filled(name, found, size))
    report.progress("")
    heads = (
        "",
        "noticed ms",
        "s",
        "MB/s",
        "before/s",
        "meanwhile/s",
        "longest gap ms",
        "failed",
        "views",
    )
    print(table(heads, rows))


def _filled(name: str, found: Sequence[Filled], size: int) -> list[str]:
    seconds = median(one.seconds for one in found)
    return [
        name,
        f"{max(one.noticed_ms for one in found):.0f}",
        f"{seconds:.2f}",
        f"{size / MEGABYTE / seconds:.1f}",
        f"{median(one.normal_per_s for one in found):,.0f}",
        f"{median(one.meanwhile_per_s for one in found):,.0f}",
        f"{max(one.gap_ms for one in found):.0f}",
        f"{sum(one.failed for one in found)}",
        f"{max(one.views for one in found)}",
    ]


# -- failover -----------------------------------------------------------------------------------


def run_failover(options: argparse.Namespace, report: Report) -> None:
    """Let things die, and look how long a client waits."""
    names = _chosen(options.faults, failover.FAULTS, "fault")
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        cluster.start()
        found = _faults(cluster, names, options, report)
        timing = asdict(cluster.topology.timing)
    _print_gaps(found)
    _print_answers(found)
    for one in found:
        report.append(
            {
                "scenario": "failover",
                "fault": one.fault,
                "keys": options.keys,
                "gaps_ms": [round(gap, 1) for gap in one.gaps_ms],
                "failed": one.failed,
                "timing": timing,
            }
        )


def _faults(
    cluster: Cluster, names: Sequence[str], options: argparse.Namespace, report: Report
) -> list[failover.Found]:
    random = Random(options.seed)
    if options.keys:
        report.progress(f"a state of {options.keys:,} keys ")
        failover.load(cluster, options.keys)
    found = []
    with Caller(cluster.path) as caller:
        for name in names:
            one = failover.Found(name)
            report.progress(f"{name} 0/{options.rounds} ")
            for one in failover.measure(cluster, caller, name, options.rounds, random):
                report.progress(f"{name} {len(one.gaps_ms)}/{options.rounds} ")
            found.append(one)
    report.progress("")
    return found


def _print_gaps(found: Sequence[failover.Found]) -> None:
    print("longest time without an answer, in ms, as one client sees it that calls all the time")
    rows = []
    for one in found:
        cuts = [percentile(one.gaps_ms, share) for share in (0.5, 0.9, 0.99, 1.0)]
        cells = [f"{len(one.gaps_ms)}", *(f"{cut:.0f}" for cut in cuts), f"{one.failed}"]
        rows.append([one.fault, *cells])
    print(table(("", "rounds", "p50", "p90", "p99", "max", "failed"), rows))


def _print_answers(found: Sequence[failover.Found]) -> None:
    """Print the answers over time: the mean of all rounds, one character a bin."""
    before = " " * (failover.BEFORE_MS // failover.BIN_MS)
    print(f"\nanswers over time, {failover.BIN_MS} ms a character, from the fault at |")
    print(f"{'':20}{before}|")
    for one in found:
        shortest = zip(*one.over_time, strict=False)
        means = [sum(bins) / len(one.over_time) for bins in shortest]
        print(f"{one.fault:20}{bars(means[:CHARACTERS_MAX])}")

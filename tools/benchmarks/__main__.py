"""The command line of ``tools/bench``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random

from demonstration.cluster import Cluster

import pbactors
from benchmarks import failover, throughput
from benchmarks.caller import Caller
from benchmarks.gaps import bars, percentile

CHARACTERS_MAX = 60
"""The width of a plot."""


def main() -> None:
    """Measure, print a table, and append JSON lines where asked to."""
    options = _parser().parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
            cluster.start()
            for row in options.measure(cluster, options):
                _append(options.json, row, cluster)
    except RuntimeError as error:
        sys.exit(f"tools/bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Measures a cluster of real processes on this machine."
    )
    scenarios = parser.add_subparsers(metavar="SCENARIO", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", type=Path, metavar="FILE", help="append JSON lines to this file")

    fast = scenarios.add_parser(
        "throughput", parents=[common], help="how fast one client is served"
    )
    fast.add_argument("--seconds", type=float, default=3.0, help="per measurement [3]")
    fast.add_argument("--runs", type=int, default=3, help="of which the median is shown [3]")
    fast.set_defaults(measure=_throughput)

    whole = scenarios.add_parser(
        "failover", parents=[common], help="how long a client waits when something dies"
    )
    whole.add_argument("--rounds", type=int, default=20, help="of each fault [20]")
    whole.add_argument("--seed", type=int, default=0, help="of the moments [0]")
    whole.add_argument(
        "--keys", type=int, default=0, help="how many the state has, before the first round [0]"
    )
    whole.add_argument(
        "faults",
        nargs="*",
        metavar="FAULT",
        help=f"{', '.join(failover.FAULTS)}; all of them if none is named",
    )
    whole.set_defaults(measure=_failover)
    return parser


def _append(path: Path | None, row: dict[str, object], cluster: Cluster) -> None:
    if path is None:
        return
    where = {
        "time": round(time.time()),
        "version": pbactors.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "timing": asdict(cluster.topology.timing),
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**row, **where}) + "\n")


# -- throughput -------------------------------------------------------------------------------


def _throughput(cluster: Cluster, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    throughput.wait_until_formed(cluster)
    with pbactors.connect(cluster.topology) as client:
        figures = throughput.measure(client, options.seconds, options.runs)
    print(f"one client, values of {len(throughput.VALUE)} B, Python {platform.python_version()}")
    for name, (value, unit) in figures.items():
        print(f"{name:24} {value:10,.0f} {unit}")
    rows = {name: {"value": round(value, 1), "unit": u} for name, (value, u) in figures.items()}
    yield {"scenario": "throughput", "figures": rows}


# -- failover ---------------------------------------------------------------------------------


def _failover(cluster: Cluster, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    names = options.faults or list(failover.FAULTS)
    unknown = [name for name in names if name not in failover.FAULTS]
    if unknown:
        raise RuntimeError(
            f"no fault named {unknown[0]!r}. Expected some of: {', '.join(failover.FAULTS)}"
        )
    random = Random(options.seed)
    found = []
    if options.keys:
        failover.load(cluster, options.keys)
    with Caller(cluster.path) as caller:
        for name in names:
            found.append(_rounds(cluster, caller, name, options.rounds, random))
    _print_table(found)
    _print_plot(found)
    for one in found:
        yield {
            "scenario": "failover",
            "fault": one.fault,
            "keys": options.keys,
            "gaps_ms": [round(gap, 1) for gap in one.gaps_ms],
            "failed": one.failed,
        }


def _rounds(
    cluster: Cluster, caller: Caller, name: str, rounds: int, random: Random
) -> failover.Found:
    found = failover.Found(name)
    with _counting(name, rounds) as tell:
        for found in failover.measure(cluster, caller, name, rounds, random):
            tell(len(found.gaps_ms))
    return found


@contextmanager
def _counting(name: str, rounds: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal which round it is."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    yield lambda done: print(f"\r{name} {done}/{rounds} ", end="", file=sys.stderr, flush=True)
    print("\r\033[K", end="", file=sys.stderr)


def _print_table(found: Sequence[failover.Found]) -> None:
    print("longest time without an answer, in ms, as one client sees it that calls all the time")
    heads = ("rounds", "p50", "p90", "p99", "max", "failed")
    print(f"{'':20}" + "".join(f"{head:>8}" for head in heads))
    for one in found:
        cuts = [percentile(one.gaps_ms, share) for share in (0.5, 0.9, 0.99, 1.0)]
        row = (f"{len(one.gaps_ms)}", *(f"{cut:.0f}" for cut in cuts), f"{one.failed}")
        print(f"{one.fault:20}" + "".join(f"{cell:>8}" for cell in row))


def _print_plot(found: Sequence[failover.Found]) -> None:
    """Print the answers over time: the mean of all rounds, one character a bin."""
    before = " " * (failover.BEFORE_MS // failover.BIN_MS)
    print(f"\nanswers over time, {failover.BIN_MS} ms a character, from the fault at |")
    print(f"{'':20}{before}|")
    for one in found:
        shortest = zip(*one.over_time, strict=False)
        means = [sum(bins) / len(one.over_time) for bins in shortest]
        print(f"{one.fault:20}{bars(means[:CHARACTERS_MAX])}")


if __name__ == "__main__":
    main()

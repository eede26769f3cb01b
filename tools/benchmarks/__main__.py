"""The command line of ``tools/bench``."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from pathlib import Path

from benchmarks import failover
from benchmarks.report import Report
from benchmarks.runs import run_failover, run_filling, run_plot, run_soak, run_speed, run_sweep
from benchmarks.speed import CASES


def main() -> None:
    """Measure, print a table, and append JSON lines where asked to."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # end what was started
    try:
        options.run(options, Report(getattr(options, "json", None)))
    except RuntimeError as error:
        sys.exit(f"tools/bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Measures clusters of real processes on this machine."
    )
    scenarios = parser.add_subparsers(metavar="SCENARIO", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", type=Path, metavar="FILE", help="append JSON lines to this file")
    rounds = argparse.ArgumentParser(add_help=False)
    rounds.add_argument("--rounds", type=_positive, default=5, help="whose median is shown [5]")
    rounds.add_argument(
        "--seconds", type=_seconds, default=3.0, help="for each contestant in each round [3]"
    )

    speed = scenarios.add_parser(
        "speed", parents=[common, rounds], help="how fast clients are served, beside other systems"
    )
    _names(speed, "cases", "CASE", list(CASES))
    speed.set_defaults(run=run_speed)

    sweep = scenarios.add_parser(
        "sweep", parents=[common, rounds], help="rate and latency by how many operations are open"
    )
    sweep.set_defaults(run=run_sweep)

    soak = scenarios.add_parser("soak", parents=[common], help="rate and memory as it grows old")
    soak.add_argument("--operations", type=_positive, default=10_000_000, help="in all [10000000]")
    soak.add_argument("--marks", type=_positive, default=10, help="how often to look [10]")
    soak.set_defaults(run=run_soak)

    plot = scenarios.add_parser("plot", help="draw what sweep has found; needs matplotlib")
    plot.add_argument("lines", type=Path, metavar="JSONL", help="what sweep --json wrote")
    plot.add_argument("picture", type=Path, metavar="PICTURE", help="an .svg or .png to write")
    plot.set_defaults(run=run_plot)

    filling = scenarios.add_parser(
        "filling", parents=[common], help="what clients feel of it when a new backup is filled"
    )
    filling.add_argument("--rounds", type=_positive, default=5, help="whose median is shown [5]")
    filling.add_argument(
        "--keys", type=_positive, default=1_000_000, help="how many the state has [1000000]"
    )
    filling.set_defaults(run=run_filling)

    dying = scenarios.add_parser(
        "failover", parents=[common], help="how long a client waits when something dies"
    )
    dying.add_argument("--rounds", type=_positive, default=20, help="of each fault [20]")
    dying.add_argument("--seed", type=int, default=0, help="of the moments [0]")
    dying.add_argument(
        "--keys", type=_whole, default=0, help="how many the state has, before the first round [0]"
    )
    _names(dying, "faults", "FAULT", list(failover.FAULTS))
    dying.set_defaults(run=run_failover)
    return parser


def _whole(text: str, least: int = 0) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text!r}")
    return number


def _positive(text: str) -> int:
    return _whole(text, 1)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds, for example 1.5, got {text!r}")
    return number


def _names(parser: argparse.ArgumentParser, to: str, metavar: str, known: list[str]) -> None:
    text = f"{', '.join(known)}; all of them if none is named"
    parser.add_argument(to, nargs="*", metavar=metavar, help=text)


if __name__ == "__main__":
    main()

"""The picture of a sweep: rate and latency by how many operations are open."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

__all__ = ["draw"]

SUFFIXES = (".svg", ".png")


def draw(lines: Path, picture: Path) -> None:
    """Draw what ``tools/bench sweep --json`` has written.

    Raises:
        RuntimeError: there is no matplotlib, or no sweep in the file, or no picture can be written.
    """
    if picture.suffix not in SUFFIXES:
        raise RuntimeError(
            f"{picture}: expected a name that ends in {' or '.join(SUFFIXES)}; "
            f"for example: {picture.with_suffix('.svg')}"
        )
    series = _series(lines)
    try:
        from matplotlib import pyplot
    except ImportError:
        raise RuntimeError(
            "drawing needs matplotlib; for example: .venv/bin/python -m pip install -e '.[bench]'"
        ) from None
    figure, (rate, latency) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, points in series.items():
        places, rates, waits = zip(*sorted(points), strict=True)
        rate.plot(places, rates, marker="o", label=name)
        latency.plot(places, waits, marker="o", label=name)
    for axes, what in ((rate, "operations per second"), (latency, "p50 of an operation, us")):
        axes.set(xscale="log", yscale="log", xlabel="operations open", ylabel=what)
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
    try:
        figure.savefig(picture)
    except OSError as error:
        raise RuntimeError(f"{picture} cannot be written: {error.strerror}") from None


def _series(lines: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Return ``(open, rate, p50)`` of each contestant; of equal points the last counts."""
    points: dict[tuple[str, int], tuple[int, float, float]] = {}
    try:
        text = lines.read_text(encoding="utf-8")
    except OSError as error:
        raise RuntimeError(f"{lines} cannot be read: {error.strerror}") from None
    for number, line in enumerate(text.splitlines(), 1):
        row = _row(lines, number, line)
        if str(row.get("case", "")).startswith("sweep-"):
            place = row["load"]["outstanding"]
            points[row["contestant"], place] = (place, row["rate_per_s"], row["p50_us"])
    if not points:
        raise RuntimeError(f"{lines} holds no sweep; make one: tools/bench sweep --json {lines}")
    series: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for (name, _), point in points.items():
        series[name].append(point)
    return dict(series)


def _row(lines: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise RuntimeError(
            f"{lines}, line {number}: no line of figures. Expected a file that was made by, for "
            "example: tools/bench sweep --json found.jsonl"
        )
    return row

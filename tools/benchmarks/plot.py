"""The picture of a sweep: rate and latency by how many operations are open."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

__all__ = ["draw"]


def draw(lines: Path, picture: Path) -> None:
    """Draw what ``tools/bench sweep --json`` has written.

    Raises:
        RuntimeError: there is no matplotlib, or no sweep in the file.
    """
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
    figure.savefig(picture)


def _series(lines: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Return ``(open, rate, p50)`` of each contestant; of equal points the last counts."""
    points: dict[tuple[str, int], tuple[int, float, float]] = {}
    try:
        text = lines.read_text(encoding="utf-8")
    except OSError as error:
        raise RuntimeError(f"{lines} cannot be read: {error.strerror}") from None
    for line in text.splitlines():
        row: dict[str, Any] = json.loads(line)
        if str(row.get("case", "")).startswith("sweep-"):
            place = row["load"]["outstanding"]
            points[row["contestant"], place] = (place, row["rate_per_s"], row["p50_us"])
    if not points:
        raise RuntimeError(f"{lines} holds no sweep; make one: tools/bench sweep --json {lines}")
    series: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for (name, _), point in points.items():
        series[name].append(point)
    return dict(series)

"""Measures one client against a cluster of real processes, and prints a table.

Figures of one machine on one day: compare only what was measured side by side.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pykka
from demonstration.cluster import Cluster

import pbactors
from pbactors.machines.kv import KeyValueStore

READY_S = 20.0
VALUE = "v" * 16


def wait_until_formed(cluster: Cluster) -> None:
    """Wait for an acknowledged view with a backup."""
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s:
        view = cluster.view()
        if view is not None and view.acked and view.backup is not None:
            return
    raise SystemExit(f"the cluster did not form within {READY_S} s: {cluster.ended()}")


def puts_per_s(client: pbactors.Cluster, outstanding: int, seconds: float) -> float:
    """Return acknowledged puts per second with so many calls open."""
    open_calls: deque[pykka.Future[None]] = deque()
    count = 0
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        open_calls.append(client.submit(KeyValueStore.put, f"key{count % 1000}", VALUE))
        count += 1
        if len(open_calls) == outstanding:
            open_calls.popleft().get()
    while open_calls:
        open_calls.popleft().get()
    return count / (time.perf_counter() - began_s)


def latencies_us(
    client: pbactors.Cluster, method: Callable[..., object], *args: str
) -> list[float]:
    """Return how long calls took, one at a time, in microseconds."""
    times = []
    for _ in range(1000):
        began_s = time.perf_counter()
        client.call(method, *args)
        times.append((time.perf_counter() - began_s) * 1e6)
    return times


def measure(client: pbactors.Cluster, seconds: float, runs: int) -> dict[str, tuple[float, str]]:
    """Return figures with their units: medians over the runs."""
    figures = {}
    for outstanding in (1, 64, 1024):
        rates = [puts_per_s(client, outstanding, seconds) for _ in range(runs)]
        figures[f"put, {outstanding} outstanding"] = (statistics.median(rates), "ops/s")
    put = latencies_us(client, KeyValueStore.put, "key", VALUE)
    get = latencies_us(client, KeyValueStore.get, "key")
    for name, times in (("put", put), ("get", get)):
        cuts = statistics.quantiles(times, n=100)
        figures[f"{name}, p50"] = (cuts[49], "us")
        figures[f"{name}, p99"] = (cuts[98], "us")
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    parser.add_argument("--runs", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        cluster.start()
        wait_until_formed(cluster)
        with pbactors.connect(cluster.topology) as client:
            figures = measure(client, options.seconds, options.runs)
    if options.json:
        rows = {name: {"value": round(value, 1), "unit": u} for name, (value, u) in figures.items()}
        print(json.dumps(rows))
        return
    print(f"one client, values of {len(VALUE)} B, Python {platform.python_version()}")
    for name, (value, unit) in figures.items():
        print(f"{name:24} {value:10,.0f} {unit}")


if __name__ == "__main__":
    main()

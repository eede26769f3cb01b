"""How many calls of one client a cluster answers in a second, and how long one takes."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable

import pykka
from demonstration.cluster import Cluster

import pbactors
from pbactors.machines.kv import KeyValueStore

__all__ = ["VALUE", "measure", "wait_until_formed"]

READY_S = 20.0
VALUE = "v" * 16


def wait_until_formed(cluster: Cluster) -> None:
    """Wait for an acknowledged view with a backup."""
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s:
        view = cluster.view()
        if view is not None and view.acked and view.backup is not None:
            return
    raise RuntimeError(f"the cluster did not form within {READY_S} s: {cluster.ended()}")


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

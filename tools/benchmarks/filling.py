"""What clients feel of it, and how long it takes, when a new backup is filled with a large state.

The backup is killed, so that the idle replica gets the whole state. A client calls all the time
with several calls open, or nobody does.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from demonstration.cluster import REPLICAS, Cluster

from benchmarks import failover
from benchmarks.caller import Caller
from benchmarks.gaps import longest_gap_ms
from pbactors.config import Limits
from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.calls import encode_call
from pbactors.machines.context import next_stamp
from pbactors.machines.kv import KeyValueStore

__all__ = ["Filled", "fill", "state_bytes"]

NORMAL_S = 2.0
"""How long the client's usual rate is measured before the backup is killed."""

FILLED_S = 120.0
LOOK_S = 0.005
NS_PER_S = 1_000_000_000


class Filled(NamedTuple):
    """What one filling was like.

    Attributes:
        noticed_ms: from the kill to the new view.
        seconds: from the new view to its acknowledgement.
        normal_per_s: answers per second before; 0 where nobody calls.
        meanwhile_per_s: answers per second in that time.
        gap_ms: the longest time without an answer, from the kill to the end, with the time in which
            it was noticed.
        failed: calls that ended with an error.
        views: how many views there were; 1 where nothing else happened.
    """

    noticed_ms: float
    seconds: float
    normal_per_s: float
    meanwhile_per_s: float
    gap_ms: float
    failed: int
    views: int


def state_bytes(keys: int) -> int:
    """Return how many bytes of pieces a state of so many keys makes."""
    machine = ReplicatedMachine(KeyValueStore, Limits().result_bytes_max)
    puts = [encode_call("put", item) for item in failover.loaded(keys)]
    machine.execute(1, next_stamp(b""), puts)
    return sum(map(len, machine.snapshot(Limits().snapshot_piece_bytes_max)))


def fill(folder: Path, keys: int, rounds: int, outstanding: int) -> Iterator[Filled]:
    """Yield what each filling was like.

    Args:
        folder: for the cluster.
        keys: how many the state has.
        rounds: how often.
        outstanding: calls that the client has open; 0 for no client.
    """
    with Cluster(folder) as cluster:
        cluster.start()
        failover.load(cluster, keys)
        if outstanding:
            with Caller(cluster.path, outstanding) as caller:
                for _ in range(rounds):
                    yield _round(cluster, caller)
        else:
            for _ in range(rounds):
                yield _round(cluster, None)


def _round(cluster: Cluster, caller: Caller | None) -> Filled:
    view = failover.wait_for(cluster, lambda record: all(record.alive[r].alive for r in REPLICAS))
    if caller is not None:
        caller.take()
        time.sleep(NORMAL_S)
    killed_ns = time.monotonic_ns()
    cluster.kill(view.backup or "")
    began_ns, ended_ns, number = _watch(cluster, view.number)
    answered_ns: list[int] = []
    failed = 0
    if caller is not None:
        answered_ns, failed = caller.take()
    cluster.start_node(view.backup or "")
    return Filled(
        noticed_ms=(began_ns - killed_ns) / (NS_PER_S / 1000),
        seconds=(ended_ns - began_ns) / NS_PER_S,
        normal_per_s=_rate(answered_ns, killed_ns - int(NORMAL_S * NS_PER_S), killed_ns),
        meanwhile_per_s=_rate(answered_ns, began_ns, ended_ns),
        gap_ms=longest_gap_ms(answered_ns, killed_ns) if answered_ns else 0.0,
        failed=failed,
        views=number - view.number,
    )


def _watch(cluster: Cluster, before: int) -> tuple[int, int, int]:
    """Return when the next view was there, when it was acknowledged, and its number.

    Raises:
        RuntimeError: it takes too long.
    """
    began_ns = 0
    until_s = time.monotonic() + FILLED_S
    while time.monotonic() < until_s:
        seen = cluster.view()
        now_ns = time.monotonic_ns()
        if seen is not None and seen.number > before:
            began_ns = began_ns or now_ns
            if seen.acked and seen.backup is not None:
                return began_ns, now_ns, seen.number
        time.sleep(LOOK_S)
    raise RuntimeError(f"no new backup was filled within {FILLED_S:.0f} s")


def _rate(answered_ns: list[int], from_ns: int, to_ns: int) -> float:
    count = bisect_left(answered_ns, to_ns) - bisect_left(answered_ns, from_ns)
    return count / ((to_ns - from_ns) / NS_PER_S)

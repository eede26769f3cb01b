"""Whether a cluster that has answered ten million operations is as fast and small as a young one.

One cluster serves a client all the time. At every mark its nodes' memory is read, and the rate
since the last mark is held against the floor's, which is measured right after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from demonstration.cluster import Cluster

from benchmarks.closed_loop import drive
from benchmarks.cluster_clients import REPLICAS, formed
from benchmarks.floor import Floor
from benchmarks.loads import Load
from benchmarks.wire_client import WireClient

__all__ = ["Mark", "soak"]

LOAD = Load(64)
FLOOR_S = 3.0


class Mark(NamedTuple):
    """What was found after so many operations.

    Attributes:
        operations: answered since the cluster was formed.
        rate_per_s: since the mark before.
        ratio: of that rate to the floor's.
        memory_bytes: of each replica.
    """

    operations: int
    rate_per_s: float
    ratio: float
    memory_bytes: dict[str, int]


def soak(operations: int, marks: int) -> Iterator[Mark]:
    """Yield a mark after each of so many equal parts of the operations."""
    with formed() as cluster:
        client = WireClient(cluster.topology, LOAD)
        done = 0
        for _ in range(marks):
            measured = drive(client, LOAD.outstanding, 0.0, at_least=operations // marks)
            done += measured.operations
            rate_per_s = measured.operations / measured.seconds
            yield Mark(done, rate_per_s, rate_per_s / _floor_per_s(), _memory(cluster))
        client.close()


def _floor_per_s() -> float:
    with Floor() as floor:
        client = floor.client(LOAD)
        drive(client, LOAD.outstanding, 0.5)
        measured = drive(client, LOAD.outstanding, FLOOR_S)
        client.close()
    return measured.operations / measured.seconds


def _memory(cluster: Cluster) -> dict[str, int]:
    return {name: cluster.memory_bytes(name) for name in REPLICAS}

"""pbactors as it is measured: a cluster of processes, and the ways to call it."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pykka
from demonstration.cluster import Cluster

import pbactors
from benchmarks.closed_loop import Client
from benchmarks.loads import Load
from benchmarks.wire_client import WireClient
from pbactors.machines.kv import KeyValueStore

__all__ = ["ClusterClients", "formed", "wait_until_formed"]

READY_S = 20.0
REPLICAS = ("a", "b")
"""As many as are measured: nobody idles beside them."""


def wait_until_formed(cluster: Cluster) -> None:
    """Wait for an acknowledged view with a backup.

    Raises:
        RuntimeError: there is none after a while.
    """
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s:
        view = cluster.view()
        if view is not None and view.acked and view.backup is not None:
            return
        time.sleep(0.02)
    raise RuntimeError(f"the cluster did not form within {READY_S} s: {cluster.ended()}")


@contextmanager
def formed() -> Iterator[Cluster]:
    """Run a cluster with a primary and a backup."""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder), REPLICAS) as cluster:
        cluster.start()
        wait_until_formed(cluster)
        yield cluster


class SubmitClient:
    """Calls through ``Cluster.submit``, and waits for the oldest future first."""

    def __init__(self, topology: pbactors.Topology, load: Load) -> None:
        self._cluster = pbactors.connect(topology)
        self._names = cycle([f"key{number}" for number in range(load.keys)])
        self._value = load.value
        self._queries = load.queries
        self._due_queries = 0
        self._open: deque[pykka.Future[Any]] = deque()

    def send(self, count: int) -> None:
        """See ``closed_loop.Client``."""
        submit, value = self._cluster.submit, self._value
        for key in (next(self._names) for _ in range(count)):
            self._due_queries += self._queries
            if self._due_queries >= 100:
                self._due_queries -= 100
                self._open.append(submit(KeyValueStore.get, key))
            else:
                self._open.append(submit(KeyValueStore.put, key, value))

    def receive(self) -> int:
        """See ``closed_loop.Client``."""
        self._open.popleft().get()
        return 1

    def close(self) -> None:
        """See ``closed_loop.Client``."""
        self._cluster.close()


class CallClient:
    """Calls through ``Cluster.call``: one at a time, whatever the load says."""

    def __init__(self, topology: pbactors.Topology, load: Load) -> None:
        self._cluster = pbactors.connect(topology)
        self._names = cycle([f"key{number}" for number in range(load.keys)])
        self._value = load.value

    def send(self, count: int) -> None:
        """See ``closed_loop.Client``: the call is made here, as one that blocks is."""
        self._cluster.call(KeyValueStore.put, next(self._names), self._value)

    def receive(self) -> int:
        """See ``closed_loop.Client``."""
        return 1

    def close(self) -> None:
        """See ``closed_loop.Client``."""
        self._cluster.close()


WAYS: dict[str, type[WireClient] | type[SubmitClient] | type[CallClient]] = {
    "wire": WireClient,
    "submit": SubmitClient,
    "call": CallClient,
}
"""How pbactors is called."""


@dataclass(frozen=True)
class ClusterClients:
    """A running cluster, called in one way. See ``loads.System``."""

    topology: Path
    way: str

    def client(self, load: Load) -> Client:
        """See ``loads.System``."""
        return WAYS[self.way](pbactors.load(self.topology), load)

"""What a node says of itself to strangers: its heartbeat records, numbered without a gap."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from pbactors import heartbeat
from pbactors.protocol.core import Core, Status

__all__ = ["Pulse"]


class Pulse:
    """Makes the heartbeat records of one life of a node.

    Args:
        cluster_name: the cluster's name in the topology.
        replicas: names of the replicas whose liveness is reported; empty but on the view server.
    """

    def __init__(self, cluster_name: str, replicas: Iterable[str]) -> None:
        self._cluster_name = cluster_name
        self._started_s = time.monotonic()
        self._sequence = 0
        self._rate = heartbeat.RateMeter()
        self._liveness = heartbeat.LivenessLog(replicas, time.time())
        self._shown: Status | None = None
        self.refused: Counter[str] = Counter()

    def changed(self, core: Core) -> bool:
        """Tell whether there is news besides the op number since the last record."""
        shown, now = self._shown, core.status()
        if shown is None:
            return True
        return (shown.role, shown.state, shown.view, shown.acked, shown.alive, shown.copies) != (
            now.role,
            now.state,
            now.view,
            now.acked,
            now.alive,
            now.copies,
        )

    def jumped(self, op: int) -> None:
        """The op number came by transfer, not by execution: it is no rate."""
        self._rate.jumped(op, time.monotonic())

    def beat(self, core: Core, dropped: Mapping[str, int]) -> bytes:
        """Return the next record to publish."""
        self._sequence += 1
        self._shown = core.status()
        return self.record(core, dropped)

    def record(self, core: Core, dropped: Mapping[str, int]) -> bytes:
        """Return a record of this moment, under the number of the last one published.

        Args:
            core: whose status it is.
            dropped: counters of the transport.
        """
        status = core.status()
        now = time.time()
        monotonic_s = time.monotonic()
        return heartbeat.encode(
            heartbeat.record_from(
                status,
                core.member,
                cluster=core.cluster,
                cluster_name=self._cluster_name,
                sequence=self._sequence,
                operations_per_second=round(self._rate.rate(status.op, monotonic_s), 1),
                refused={**self.refused, **dropped},
                time=now,
                uptime_s=round(monotonic_s - self._started_s, 3),
                alive=self._liveness.update(status.alive, now),
            )
        )

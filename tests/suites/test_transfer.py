"""State transfer on real sockets: X2, and a network that loses pieces."""

from __future__ import annotations

import time
from dataclasses import replace

import pbactors
from pbactors.config import Limits, Timing
from pbactors.machines.kv import KeyValueStore

from .cluster import DEADLINE_S, LocalCluster

TIMING = Timing(
    ping_interval_ms=50,
    dead_pings=10,
    resend_interval_ms=100,
    client_resend_ms=50,
    client_resend_max_ms=200,
    heartbeat_interval_ms=100,
)
SMALL_PIECES = Limits(snapshot_piece_bytes_max=1024, pieces_in_flight_max=2)
DATA = {f"key {number}": f"{number:4}" * 250 for number in range(200)}


def start_filled(cluster: LocalCluster, name: str) -> pbactors.Cluster:
    """Start a replica, put the data, and return the client that did."""
    cluster.start(name)
    cluster.wait_view(name, None)
    client = cluster.client()
    for future in [client.submit(KeyValueStore.put, *pair) for pair in DATA.items()]:
        future.get(timeout=DEADLINE_S)
    return client


def test_X2_transfer_that_outlasts_the_dead_interval() -> None:
    """A state of some 200 pieces, two under way at once, each 20 ms late: some 4 D.

    The primary pings on meanwhile, so nobody is declared dead and no view follows; the transfer
    completes, and what was asked for meanwhile waits for it.
    """
    with LocalCluster("12", TIMING, SMALL_PIECES) as cluster:
        client = start_filled(cluster, "1")
        cluster.relay.delay("1", "2", 0.02)

        started_s = time.monotonic()
        cluster.start("2")
        meanwhile = client.submit(KeyValueStore.put, "meanwhile", "yes")
        view = cluster.wait_view("1", "2")
        elapsed_s = time.monotonic() - started_s
        assert elapsed_s > 3 * TIMING.dead_interval_ms / 1000, "too fast to show anything"
        assert view.number == 2, "no view between"
        meanwhile.get(timeout=DEADLINE_S)
        assert cluster.view() == view, "no view since"

        cluster.kill("1")
        cluster.wait_view("2", None)
        store = cluster.store("reader")
        assert {key: store.get(key) for key in DATA} == DATA
        assert store.get("meanwhile") == "yes"


def test_transfer_completes_although_pieces_are_lost() -> None:
    hasty = replace(TIMING, resend_interval_ms=20)
    with LocalCluster("12", hasty, SMALL_PIECES) as cluster:
        start_filled(cluster, "1")
        cluster.relay.lose_everywhere(0.2)
        cluster.start("2")
        cluster.wait_view("1", "2")
        cluster.relay.lose_everywhere(0.0)
        assert cluster.relay.lost("1", "2") > 5
        cluster.kill("1")
        cluster.wait_view("2", None)
        store = cluster.store("reader")
        assert {key: store.get(key) for key in DATA} == DATA

"""dslabs' client/server cases (DL2-DL10), on real sockets: a view server, one replica, clients.

The lab has one server and no views; here it is the primary of a view without backup. DL1 needs no
sockets: it stands with the tests of the store. DL2, that a call which nobody answers can be
interrupted, stands with the tests of the client, since a signal needs a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from pbactors.config import Timing
from pbactors.machines.kv import KeyValueStore

from .cluster import LocalCluster
from .histories import appends_linearizable, side_by_side

TIMING = Timing(
    ping_interval_ms=60,
    dead_pings=8,
    resend_interval_ms=20,
    client_resend_ms=20,
    client_resend_max_ms=200,
    heartbeat_interval_ms=500,
)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(["server"], TIMING) as started:
        started.start("server")
        started.wait_view("server", None)
        yield started


def simple_workload(store: KeyValueStore) -> None:
    """Puts, appends and gets whose results are known."""
    store.put("foo", "bar")
    assert store.get("foo") == "bar"
    assert store.append("foo", "baz") == "barbaz"
    assert store.get("foo") == "barbaz"
    store.put("foo", "bar")
    assert store.get("foo") == "bar"
    assert store.get("fizz") is None
    assert store.append("fizz", "buzz") == "buzz"
    assert store.append("fizz", "buzz") == "buzzbuzz"


def append_to_own_key(store: KeyValueStore, key: str, count: int) -> None:
    """Append numbers to a key that nobody else changes; every result is known."""
    expected = ""
    for number in range(count):
        expected += str(number)
        assert store.append(key, str(number)) == expected
    assert store.get(key) == expected


def ten_clients_own_keys(cluster: LocalCluster, count: int) -> None:
    """Let ten clients append to keys of their own, side by side."""
    stores = {f"client {number}": cluster.store(f"client {number}") for number in range(10)}
    side_by_side(
        *(partial(append_to_own_key, store, name, count) for name, store in stores.items())
    )


def ten_clients_one_key(cluster: LocalCluster, count: int) -> None:
    """Let ten clients append to one key, side by side; the results are linearizable."""
    appends: list[tuple[str, str]] = []

    def append_all(number: int) -> None:
        store = cluster.store(f"client {number}")
        for turn in range(count):
            element = f"[{number}:{turn}]"
            appends.append((element, store.append("the-key", element)))

    side_by_side(*(partial(append_all, number) for number in range(10)))
    assert len(appends) == 10 * count
    assert appends_linearizable(appends)


def test_DL3_simple_workload(cluster: LocalCluster) -> None:
    simple_workload(cluster.store())


def test_DL4_ten_clients_append_to_their_own_keys(cluster: LocalCluster) -> None:
    ten_clients_own_keys(cluster, 100)


def test_DL5_ten_clients_append_to_one_key(cluster: LocalCluster) -> None:
    ten_clients_one_key(cluster, 5)


def test_DL6_appends_finish_under_half_delivery(cluster: LocalCluster) -> None:
    """25 appends end although half of all messages are lost. (Their results are DL7 to DL10.)"""
    cluster.relay.lose_everywhere(0.5)
    store = cluster.store()
    for number in range(25):
        store.append("key", str(number))
    assert cluster.relay.lost("client", "server") + cluster.relay.lost("server", "client") > 5


def test_DL7_simple_workload_under_half_delivery(cluster: LocalCluster) -> None:
    cluster.relay.lose_everywhere(0.5)
    simple_workload(cluster.store())


def test_DL8_own_key_appends_under_loss(cluster: LocalCluster) -> None:
    cluster.relay.lose_everywhere(0.2)
    append_to_own_key(cluster.store(), "key", 50)


def test_DL9_ten_clients_own_key_appends_under_loss(cluster: LocalCluster) -> None:
    cluster.relay.lose_everywhere(0.2)
    ten_clients_own_keys(cluster, 100)


def test_DL10_ten_clients_one_key_appends_under_loss(cluster: LocalCluster) -> None:
    cluster.relay.lose_everywhere(0.2)
    ten_clients_one_key(cluster, 5)

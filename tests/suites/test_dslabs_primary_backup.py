"""dslabs' primary/backup cases (DP2-DP6, DP8-DP11, DP13, DP14), on real sockets.

The lab pings every 25 ms and counts a server as dead after 200 ms. Here both are 2.4 times as long,
since all nodes share one process. Get of a missing key gives None. "Heal", the 400 ms that the lab
waits after a view, is the primary's acknowledgement here: then the backup holds everything.
DP1, that a call which nobody answers can be interrupted, stands with the tests of the client.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from pbactors.config import Timing
from pbactors.machines.kv import KeyValueStore

from .cluster import VIEW_SERVER, LocalCluster
from .histories import appends_linearizable, side_by_side

TIMING = Timing(
    ping_interval_ms=60,
    dead_pings=8,
    resend_interval_ms=20,
    client_resend_ms=20,
    client_resend_max_ms=200,
    heartbeat_interval_ms=500,
)
SCALE = 2.4
P_S = TIMING.ping_interval_ms / 1000
NAMES = "123"


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(NAMES, TIMING) as started:
        yield started


def test_DP2_single_client_single_server_simple_operations(cluster: LocalCluster) -> None:
    """14 operations with known results."""
    cluster.start("1")
    store = cluster.store()
    store.put("key1", "v0v0")
    store.put("key2", "v1v1")
    assert store.get("key1") == "v0v0"
    store.put("key1", "v2v2")
    assert store.get("key1") == "v2v2"
    assert store.append("key3", "v3") == "v3"
    store.put("key3", "v4")
    assert store.append("key3", "v5") == "v4v5"
    assert store.append("key3", "v6") == "v4v5v6"
    assert store.append("key4", "same") == "same"
    assert store.append("key4", "same") == "samesame"
    assert store.get("key3") == "v4v5v6"
    assert store.get("key4") == "samesame"
    assert store.get("key5") is None


def test_DP3_primary_chosen(cluster: LocalCluster) -> None:
    """One server is primary within four ping checks of its first ping.

    The time is not measured, as the machine may be busy: the very first view says so.
    """
    cluster.start("1")
    assert cluster.wait_view("1", None).number == 1


def test_DP4_backup_is_chosen(cluster: LocalCluster) -> None:
    """Then a second is backup, in the very next view."""
    cluster.start("1")
    cluster.wait_view("1", None)
    cluster.start("2")
    assert cluster.wait_view("1", "2").number == 2


def test_DP5_count_number_of_view_server_requests(cluster: LocalCluster) -> None:
    """500 rounds of put and get: the view server gets at most 2 x 4 nodes x elapsed / P."""
    cluster.start_pair("1", "2")
    before, started_s = cluster.relay.requests_to(VIEW_SERVER), time.monotonic()
    store = cluster.store()
    for number in range(500):
        store.put("key", str(number))
        assert store.get("key") == str(number)
        time.sleep(0.002)
    elapsed_s = time.monotonic() - started_s
    calls = cluster.relay.requests_to(VIEW_SERVER) - before
    assert 0 < calls <= 2 * 4 * elapsed_s / P_S


def test_DP6_backup_takes_over(cluster: LocalCluster) -> None:
    """Values from before and after the backup came are readable from it alone."""
    cluster.start("1")
    store = cluster.store()
    store.put("foo1", "bar1")
    cluster.start("2")
    cluster.wait_view("1", "2")
    store.put("foo2", "bar2")
    cluster.kill("1")
    assert store.get("foo1") == "bar1"
    assert store.get("foo2") == "bar2"
    cluster.wait_view("2", None)


def test_DP8_at_most_once_append(cluster: LocalCluster) -> None:
    """100 appends of one client, every link lossy: each result is the exact cumulative text."""
    cluster.start_pair("1", "2")
    cluster.relay.lose_everywhere(0.2)
    store = cluster.store()
    expected = ""
    for number in range(100):
        expected += str(number)
        assert store.append("key", str(number)) == expected
    assert cluster.relay.lost("1", "2") > 5
    assert cluster.relay.lost("2", "1") > 5


def test_DP9_fail_to_new_backup(cluster: LocalCluster) -> None:
    """(1, 2), then (1, 3), then (3, none): all keys have their latest value."""
    cluster.start_pair("1", "2")
    cluster.start("3")
    cluster.wait_alive("3")
    store = cluster.store()
    for key in ("foo1", "foo2", "foo3"):
        store.put(key, "old")
        assert store.get(key) == "old"
    cluster.kill("2")
    store.put("foo1", "new1")
    assert store.get("foo1") == "new1"
    cluster.wait_view("1", "3")
    assert store.get("foo1") == "new1"
    cluster.kill("1")
    store.put("foo2", "new2")
    assert store.get("foo2") == "new2"
    cluster.wait_view("3", None)
    assert [store.get(key) for key in ("foo1", "foo2", "foo3")] == ["new1", "new2", "old"]


def put_at_random(store: KeyValueStore, seed: int, count: int) -> None:
    """Put random values on two keys, which others do too."""
    values = random.Random(seed)
    for _ in range(count):
        store.put(f"key {values.randrange(2)}", str(values.randrange(2**31)))


def append_to_one_key(
    store: KeyValueStore, number: int, count: int, appends: list[tuple[str, str]]
) -> None:
    """Append to a key that others append to too, and note the results."""
    for turn in range(count):
        element = f"[{number}:{turn}]"
        appends.append((element, store.append("key", element)))


def read_kill_read(cluster: LocalCluster, keys: list[str]) -> None:
    """Two readers, one at the primary and one at its backup after it, see the same."""
    cluster.relay.spare("reader")
    cluster.relay.spare("second reader")
    cluster.wait_view("1", "2")
    store = cluster.store("reader")
    values = [store.get(key) for key in keys]
    assert None not in values
    cluster.kill("1")
    cluster.wait_view("2", None)
    second = cluster.store("second reader")
    assert [second.get(key) for key in keys] == values


def test_DP10_concurrent_puts_same_keys_fail_to_backup(cluster: LocalCluster) -> None:
    """3 clients x 100 random puts on two keys: the backup has seen the same order."""
    cluster.start_pair("1", "2")
    stores = [cluster.store(f"client {number}") for number in range(3)]
    side_by_side(*(partial(put_at_random, store, seed, 100) for seed, store in enumerate(stores)))
    read_kill_read(cluster, ["key 0", "key 1"])


def concurrent_appends(cluster: LocalCluster) -> None:
    stores = [cluster.store(f"client {number}") for number in range(3)]
    appends: list[tuple[str, str]] = []
    side_by_side(
        *(
            partial(append_to_one_key, store, number, 100, appends)
            for number, store in enumerate(stores)
        )
    )
    assert len(appends) == 300
    assert appends_linearizable(appends)


def test_DP11_concurrent_appends_same_key_fail_to_backup(cluster: LocalCluster) -> None:
    """3 clients x 100 appends to one key: linearizable, and the backup has the same."""
    cluster.start_pair("1", "2")
    concurrent_appends(cluster)
    read_kill_read(cluster, ["key"])


def test_DP13_concurrent_appends_unreliable(cluster: LocalCluster) -> None:
    """DP11 with 80 % delivery on every link; only the two readers are exempt."""
    cluster.start_pair("1", "2")
    cluster.relay.lose_everywhere(0.2)
    concurrent_appends(cluster)
    read_kill_read(cluster, ["key"])
    assert cluster.relay.lost("1", "2") > 20


def test_DP14_repeated_crashes() -> None:
    """Every 2.4 s at least, a server joins under a new name and a random one goes; 10 times.

    The lab's 1 s is scaled like its other intervals, and its 30 s are shortened to 10 kills. A kill
    also waits until the last one was dealt with, so that a slow machine cannot turn it into the
    loss of both copies. Three clients put and get own keys all the while; every result is right,
    and nobody waits longer than the lab's 5 s, scaled.
    """
    names = [f"server {number}" for number in range(13)]
    over = threading.Event()
    with LocalCluster(names, TIMING) as cluster:
        cluster.start(*names[:3])
        cluster.wait_full()
        waits_s = [0.0] * 3

        def storm() -> None:
            choices = random.Random(14)
            try:
                for name in names[3:]:
                    cluster.start(name)
                    victim = choices.choice(sorted(cluster.running))
                    cluster.kill(victim)
                    started_s = time.monotonic()
                    cluster.wait_full()
                    time.sleep(max(0.0, started_s + SCALE - time.monotonic()))
            finally:
                over.set()

        def load(number: int) -> None:
            store = cluster.store(f"client {number}")
            values = random.Random(number)
            while not over.is_set():
                key, value = f"{number} {values.randrange(5)}", str(values.randrange(2**31))
                started_s = time.monotonic()
                store.put(key, value)
                put_s = time.monotonic()
                assert store.get(key) == value
                got_s = time.monotonic()
                waits_s[number] = max(waits_s[number], put_s - started_s, got_s - put_s)

        side_by_side(storm, *(partial(load, number) for number in range(3)))
        assert 0 < max(waits_s) <= 5.0 * SCALE

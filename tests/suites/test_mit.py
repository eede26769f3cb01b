"""MIT 6.824's key/value cases (MP), on real sockets, with its own intervals: P 100 ms, D 5 P.

What differs from a server of that course: a missing key is None and not the empty string, ``put``
returns nothing, ``append`` returns the whole new value, and a view that its primary has
acknowledged means that the backup holds everything.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pykka
import pytest

from pbactors.config import Timing
from pbactors.machines import StateMachine, command, query
from pbactors.machines.kv import KeyValueStore
from tests.processes import wait_until

from .cluster import DEADLINE_S, VIEW_SERVER, LocalCluster
from .histories import elements_in_order, side_by_side

TIMING = Timing(
    ping_interval_ms=100,
    dead_pings=5,
    resend_interval_ms=50,
    client_resend_ms=50,
    client_resend_max_ms=500,
    heartbeat_interval_ms=500,
)
P_S = TIMING.ping_interval_ms / 1000
D_S = TIMING.dead_interval_ms / 1000


class HashStore(StateMachine):
    """The store of the course's year 2014: a put keeps a hash of the old value and the new."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    @command
    def put_hash(self, key: str, value: str) -> str:
        before = self.values.get(key, "")
        self.values[key] = hashed(before, value)
        return before

    @query
    def get(self, key: str) -> str:
        return self.values.get(key, "")


def hashed(before: str, value: str) -> str:
    return hashlib.sha256((before + value).encode()).hexdigest()


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster("123", TIMING) as started:
        yield started


# -- TestBasicFail ----------------------------------------------------------------------------


def test_MP1_single_primary_no_backup(cluster: LocalCluster) -> None:
    """One server is primary; Put and Get on three keys; Append creates, Put overwrites."""
    cluster.start("1")
    cluster.wait_view("1", None)
    store = cluster.store()
    written = {"111": "v1", "2": "v2", "1": "v1a"}
    for key, value in written.items():
        store.put(key, value)
    assert {key: store.get(key) for key in written} == written

    assert store.get("ak") is None
    assert store.append("ak", "hello") == "hello"
    assert store.get("ak") == "hello"
    store.put("ak", "first")
    assert store.append("ak", "-second") == "first-second"
    assert store.get("ak") == "first-second"


def test_MP2_add_a_backup(cluster: LocalCluster) -> None:
    """A second server becomes backup; a pair works at once, maybe during the transfer."""
    cluster.start("1")
    cluster.wait_view("1", None)
    store = cluster.store()
    store.put("before", "1")
    cluster.start("2")
    wait_until(lambda: cluster.view().backup == "2", what="2 to be backup")
    store.put("at once", "33")
    assert store.get("at once") == "33"
    time.sleep(3 * P_S)
    store.put("later", "44")
    assert store.get("later") == "44"
    cluster.wait_view("1", "2")


def test_MP3_count_rpcs_to_view_server(cluster: LocalCluster) -> None:
    """100 Puts: the view server is called at most 2 times per P elapsed, plus 20.

    Longer than 100 Puts take here, so that pings are counted too: the client goes on for 10 P.
    """
    cluster.start_pair("1", "2")
    store = cluster.store()
    before, started_s = cluster.relay.requests_to(VIEW_SERVER), time.monotonic()
    puts = 0
    while puts < 100 or time.monotonic() < started_s + 10 * P_S:
        store.put("k", str(puts))
        puts += 1
    calls = cluster.relay.requests_to(VIEW_SERVER) - before
    elapsed_s = time.monotonic() - started_s
    assert 0 < calls <= 2 * elapsed_s / P_S + 20


def test_MP4_primary_failure(cluster: LocalCluster) -> None:
    """Kill the primary: keys from before, while and after the backup joined all read back."""
    cluster.start("1")
    cluster.wait_view("1", None)
    store = cluster.store()
    store.put("before", "1")
    cluster.start("2")
    store.put("while", "2")
    cluster.wait_view("1", "2")
    store.put("after", "3")
    cluster.kill("1")
    cluster.wait_view("2", None)
    assert [store.get(key) for key in ("before", "while", "after")] == ["1", "2", "3"]


def test_MP5_kill_last_server_new_one_should_not_be_active(cluster: LocalCluster) -> None:
    """A fresh server never takes over from a lone primary that died, and the status says why.

    The view service may name it backup (R5), in a view that nobody can acknowledge any more.
    """
    cluster.start_pair("1", "2")
    cluster.store("writer").put("1", "kept")
    cluster.kill("1")
    cluster.wait_view("2", None)
    cluster.kill("2")
    cluster.start("3")
    cluster.wait_alive("3")  # so that it could become active, if anything let it
    time.sleep(1)  # the course's
    answer = cluster.client().submit(KeyValueStore.get, "1")
    with pytest.raises(pykka.Timeout):
        answer.get(timeout=2)
    status = wait_until(lambda: (now := cluster.status()) and now.stuck and now, what="stuck")
    assert status
    assert status.view.primary == "2"
    assert status.state.startswith("stuck: waiting for 2, which holds the state")


# -- TestAtMostOnce ---------------------------------------------------------------------------


def test_MP6_at_most_once_unreliable_append(cluster: LocalCluster) -> None:
    """One lossy server: 100 appends of one client make exactly the concatenation (year 2015)."""
    cluster.start("1")
    cluster.lose_as_mit("1", callers=["client"])
    cluster.wait_view("1", None)
    store = cluster.store()
    expected = ""
    for number in range(100):
        expected += str(number)
        assert store.append("counter", str(number)) == expected
    assert store.get("counter") == expected
    assert cluster.relay.lost("client", "1") > 10


def test_MP6_at_most_once_unreliable_put_hash() -> None:
    """The same with PutHash: every returned previous value is exact (year 2014)."""
    with LocalCluster("1", TIMING, machine=HashStore) as cluster:
        cluster.start("1")
        cluster.lose_as_mit("1", callers=["client"])
        cluster.wait_view("1", None)
        store = cluster.client().proxy(HashStore, timeout_s=DEADLINE_S)
        expected = ""
        for number in range(100):
            assert store.put_hash("counter", str(number)) == expected
            expected = hashed(expected, str(number))
        assert store.get("counter") == expected
        assert cluster.relay.lost("client", "1") > 10


# -- TestFailPut ------------------------------------------------------------------------------


def test_MP7_put_immediately_after_backup_failure(cluster: LocalCluster) -> None:
    """(1, 2) with 3 idle: kill 2 and put at once; it reads back, also once (1, 3) stands."""
    cluster.start_pair("1", "2")
    cluster.start("3")
    cluster.wait_alive("3")
    before = cluster.wait_view("1", "2")
    store = cluster.store()
    for key in "abc":
        store.put(key, key + key)
        assert store.get(key) == key + key
    cluster.kill("2")
    store.put("a", "aaa")
    assert store.get("a") == "aaa"
    assert cluster.wait_view("1", "3").number > before.number
    assert store.get("a") == "aaa"


# -- TestConcurrentSame -----------------------------------------------------------------------


def put_at_random(store: KeyValueStore, seed: int, duration_s: float) -> None:
    """Put random values on two keys, which others do too."""
    values = random.Random(seed)
    until_s = time.monotonic() + duration_s
    while time.monotonic() < until_s:
        store.put(str(values.randrange(2)), str(values.randrange(2**31)))


def kill_primary_and_compare(cluster: LocalCluster, keys: tuple[str, ...]) -> list[str]:
    """Read keys from the primary, kill it, and read the same from its backup."""
    probe = cluster.store("probe")
    values = [probe.get(key) for key in keys]
    view = cluster.wait_view("1", "2")
    cluster.kill("1")
    assert cluster.wait_view("2", None).number > view.number
    assert [probe.get(key) for key in keys] == values
    assert None not in values
    return [value for value in values if value is not None]


def test_MP9_concurrent_puts_to_the_same_key(cluster: LocalCluster) -> None:
    """Three clients put random values on two keys; the backup has seen the same order."""
    cluster.start_pair("1", "2")
    stores = [cluster.store(f"client {number}") for number in range(3)]
    side_by_side(*(partial(put_at_random, store, seed, 3.0) for seed, store in enumerate(stores)))
    kill_primary_and_compare(cluster, ("0", "1"))


def test_MP10_concurrent_appends_to_the_same_key(cluster: LocalCluster) -> None:
    """3 x 50 tagged appends: each once, each client's in order, the same on both servers."""
    cluster.start_pair("1", "2")
    tagged = [[f"x {number} {turn} y" for turn in range(50)] for number in range(3)]

    def append_all(number: int) -> None:
        store = cluster.store(f"client {number}")
        for element in tagged[number]:
            store.append("k", element)

    side_by_side(*(partial(append_all, number) for number in range(3)))
    [value] = kill_primary_and_compare(cluster, ("k",))
    assert elements_in_order(value, tagged)


def test_MP11_concurrent_puts_unreliable(cluster: LocalCluster) -> None:
    """As MP9 with both servers lossy, what the primary sends to the backup included."""
    cluster.start_pair("1", "2")
    names = [f"client {number}" for number in range(3)]
    cluster.lose_as_mit("12", callers=["1", "2", "probe", *names])
    stores = [cluster.store(name) for name in names]
    for key in ("0", "1"):
        stores[0].put(key, "0")
    side_by_side(*(partial(put_at_random, store, seed, 3.0) for seed, store in enumerate(stores)))
    kill_primary_and_compare(cluster, ("0", "1"))
    assert cluster.relay.lost("1", "2") > 10


# -- TestRepeatedCrash ------------------------------------------------------------------------


def test_MP12_repeated_failures_and_restarts(cluster: LocalCluster) -> None:
    """Kill a random server, restart it empty, eight times: every Get equals the last Put.

    The course's 2D between the steps is kept as the least; a step also waits until the last one
    was dealt with, so that a slow machine cannot turn a failover into the loss of both copies,
    which no protocol with two copies survives.
    """
    cluster.start("1", "2", "3")
    cluster.wait_full()
    over = threading.Event()

    def storm() -> None:
        choices = random.Random(12)
        try:
            for _ in range(8):
                victim = choices.choice(sorted(cluster.running))
                cluster.kill(victim)
                time.sleep(2 * D_S)
                cluster.wait_full()
                cluster.start(victim)
                time.sleep(2 * D_S)
                cluster.wait_alive("1", "2", "3")
                cluster.wait_full()
        finally:
            over.set()

    def load(number: int) -> None:
        store = cluster.store(f"client {number}")
        values = random.Random(number)
        last: dict[str, str] = {}
        while not over.is_set():
            key = f"{number} {values.randrange(10)}"
            if key in last:
                assert store.get(key) == last[key]
            last[key] = str(values.randrange(2**31))
            store.put(key, last[key])
            time.sleep(0.01)
        assert {key: store.get(key) for key in last} == last
        assert len(last) == 10

    side_by_side(storm, partial(load, 0), partial(load, 1))
    last = cluster.store("last")
    last.put("aaa", "bbb")
    assert last.get("aaa") == "bbb"


# -- TestPartition1 ---------------------------------------------------------------------------


def test_MP14_old_primary_does_not_serve_gets(cluster: LocalCluster) -> None:
    """A Get that reaches a deposed primary late must not return the old value."""
    cluster.start_pair("1", "2")
    patient = replace(TIMING, client_resend_ms=60_000, client_resend_max_ms=60_000)
    believer = cluster.client("believer", patient)
    believer.call(KeyValueStore.put, "a", "1")
    assert believer.call(KeyValueStore.get, "a") == "1"

    cluster.relay.cut("1", VIEW_SERVER)
    cluster.relay.cut(VIEW_SERVER, "1")
    for caller in ("believer", "2", "other"):
        cluster.relay.delay(caller, "1", 4.0)
    delayed = believer.submit(KeyValueStore.get, "a")
    asked_s = time.monotonic()
    cluster.wait_view("2", None)
    time.sleep(2 * P_S)
    other = cluster.store("other")
    other.put("a", "111")
    overtaken = time.monotonic() < asked_s + 4.0

    try:
        answer = delayed.get(timeout=asked_s + 5.0 - time.monotonic())
    except pykka.Timeout:
        answer = "no answer"
    assert overtaken, "the machine was too slow for the delay: nothing was tested"
    assert answer in ("no answer", "111")
    assert other.get("a") == "111"
    deposed = cluster.status("1")
    assert deposed is not None
    assert deposed.view.primary == "1", "1 does not know better"

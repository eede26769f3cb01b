"""A client as its user sees it: calls, futures, deadlines, ends, against real nodes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pykka
import pytest

import pbactors
from pbactors import (
    CallError,
    MethodRaised,
    NotSent,
    OutcomeUnknown,
    SessionExpired,
    StateMachine,
    UnsupportedValue,
    WrongMachine,
    query,
)
from pbactors.actors.client import DEADLINES_KEPT
from pbactors.config import Limits, Timing
from pbactors.machines.kv import KeyValueStore
from tests.processes import free_topology, running, wait_until
from tests.suites.cluster import DEADLINE_S, LocalCluster
from tests.suites.histories import side_by_side

TIMING = Timing(
    ping_interval_ms=50,
    dead_pings=10,
    resend_interval_ms=50,
    client_resend_ms=50,
    client_resend_max_ms=200,
    heartbeat_interval_ms=200,
)

put, append, get = KeyValueStore.put, KeyValueStore.append, KeyValueStore.get


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Two replicas that may be started, and a view server that runs."""
    with LocalCluster("12", TIMING) as made:
        yield made


@pytest.fixture
def pair(cluster: LocalCluster) -> LocalCluster:
    cluster.start_pair("1", "2")
    return cluster


class Other(StateMachine):
    """Not the class of the cluster."""

    @query
    def get(self, key: str) -> str | None:
        return key


# -- order ------------------------------------------------------------------------------------


def test_pipelined_calls_take_effect_in_order(pair: LocalCluster) -> None:
    client = pair.client()
    futures = [client.submit(append, "key", f"{number},") for number in range(500)]
    expected = ""
    for number, future in enumerate(futures):
        expected += f"{number},"
        assert future.get(timeout=DEADLINE_S) == expected


def test_a_query_sees_every_command_submitted_before_it(pair: LocalCluster) -> None:
    client = pair.client()
    answers = []
    for number in range(200):
        client.submit(append, "key", f"{number},")
        answers.append(client.submit(get, "key"))
    expected = ""
    for number, answer in enumerate(answers):
        expected += f"{number},"
        assert answer.get(timeout=DEADLINE_S) == expected


def test_more_calls_than_the_session_window() -> None:
    with LocalCluster("1", TIMING, Limits(session_window=4)) as cluster:
        cluster.start("1")
        client = cluster.client()
        futures = [client.submit(append, "key", "x") for _ in range(100)]
        assert [len(future.get(timeout=DEADLINE_S)) for future in futures] == [*range(1, 101)]


def test_many_threads_share_a_client(pair: LocalCluster) -> None:
    store = pair.store()

    def append_to_own_key(name: str) -> None:
        expected = ""
        for number in range(50):
            expected += f"{number},"
            assert store.append(name, f"{number},") == expected

    side_by_side(*(partial(append_to_own_key, name) for name in "abcdefgh"))
    assert store.keys() == list("abcdefgh")


def test_calls_wait_for_a_cluster_that_is_not_up_yet(cluster: LocalCluster) -> None:
    future = cluster.client().submit(append, "key", "x")
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.2)
    cluster.start("1")
    assert future.get(timeout=DEADLINE_S) == "x"


def test_failover_under_load_fails_no_call_and_repeats_none(pair: LocalCluster) -> None:
    store = pair.store()
    started = threading.Barrier(5)

    def append_until_over(name: str) -> None:
        expected = ""
        for number in range(100):
            expected += f"{number},"
            assert store.append(name, f"{number},") == expected
            if number == 20:
                started.wait(DEADLINE_S)

    def kill_the_primary() -> None:
        started.wait(DEADLINE_S)
        pair.kill("1")

    side_by_side(kill_the_primary, *(partial(append_until_over, name) for name in "abcd"))
    assert pair.view().primary == "2"


# -- deadlines --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [put, append])
def test_a_command_that_was_never_sent_certainly_did_not_happen(
    cluster: LocalCluster, method: Any
) -> None:
    with pytest.raises(NotSent, match=r"no answer within 0\.2 s .*it did not happen"):
        cluster.client().call(method, "key", "x", timeout_s=0.2)
    cluster.start("1")
    assert cluster.store("reader").get("key") is None


def test_a_query_that_was_never_sent(cluster: LocalCluster) -> None:
    with pytest.raises(NotSent, match="names no primary"):
        cluster.client().call(get, "key", timeout_s=0.2)


def test_a_sent_command_without_answer_may_have_happened_and_is_retried(
    pair: LocalCluster,
) -> None:
    client = pair.client()
    assert client.call(append, "key", "1,", timeout_s=DEADLINE_S) == "1,"
    pair.relay.cut("1", "client")  # requests arrive, answers do not
    with pytest.raises(OutcomeUnknown, match="may have happened, or may still happen"):
        client.call(append, "key", "2,", timeout_s=0.3)
    pair.relay.mend("1", "client")
    assert client.call(append, "key", "3,", timeout_s=DEADLINE_S) == "1,2,3,"

    pair.relay.cut("client", "1")  # nothing arrives; the session must have no gap
    with pytest.raises(OutcomeUnknown):
        client.call(append, "key", "4,", timeout_s=0.3)
    with pytest.raises(OutcomeUnknown, match="nothing was changed"):
        client.call(get, "key", timeout_s=0.3)
    pair.relay.mend("client", "1")
    assert client.call(append, "key", "5,", timeout_s=DEADLINE_S) == "1,2,3,4,5,"


def test_deadlines_end_calls_in_the_order_of_their_time(cluster: LocalCluster) -> None:
    client = cluster.client()
    late = client.submit(get, "key", timeout_s=60.0)
    soon = client.submit(get, "key", timeout_s=0.1)
    with pytest.raises(NotSent, match=r"within 0\.1 s"):
        soon.get(timeout=DEADLINE_S)
    with pytest.raises(pykka.Timeout):
        late.get(timeout=0)


def test_deadlines_of_answered_calls_do_not_pile_up(pair: LocalCluster) -> None:
    """They would be kept for as long as a call may take, and be dropped all at once."""
    client = pair.client()
    actor: Any = client._actor._actor_weakref()
    most = 0
    for _ in range(30):
        for future in [client.submit(put, "key", "x", timeout_s=1000.0) for _ in range(100)]:
            future.get(timeout=DEADLINE_S)
        most = max(most, len(actor._deadlines))
    # what is kept after a batch, and what came in since
    assert most <= 2 * 100 + DEADLINES_KEPT + 100


def test_a_timeout_that_is_no_number_is_refused(cluster: LocalCluster) -> None:
    """It would stand before all later deadlines, and end none of them."""
    client = cluster.client()
    with pytest.raises(ValueError, match=r"expected seconds, for example 2\.5"):
        client.submit(put, "key", "x", timeout_s=float("nan"))
    with pytest.raises(TypeError, match=r"timeout_s is a str; expected seconds, for example 2\.5"):
        client.submit(put, "key", "x", timeout_s="2.5")
    with pytest.raises(NotSent):
        client.call(put, "key", "x", timeout_s=0.05)


def test_only_so_many_calls_are_open() -> None:
    with LocalCluster("1", TIMING, Limits(pending_operations_max=2)) as cluster:
        client = cluster.client()
        open_calls = [client.submit(append, "key", "x") for _ in range(2)]
        with pytest.raises(NotSent, match="too many calls were open"):
            client.submit(append, "key", "x", timeout_s=0.1)
        cluster.start("1")
        assert [call.get(timeout=DEADLINE_S) for call in open_calls] == ["x", "xx"]
        assert client.call(append, "key", "x", timeout_s=DEADLINE_S) == "xxx"


# -- the end ----------------------------------------------------------------------------------


def test_close_ends_every_open_call_with_what_is_known(pair: LocalCluster) -> None:
    client = pair.client()
    client.call(put, "key", "x", timeout_s=DEADLINE_S)
    pair.relay.isolate("1")
    pair.relay.isolate("2")
    before = pair.relay.lost("client", "1")
    commands = [client.submit(put, "key", str(number)) for number in range(50)]
    questions = [client.submit(get, "key") for _ in range(50)]
    wait_until(lambda: pair.relay.lost("client", "1") > before, what="a request on the wire")
    began_s = time.monotonic()
    client.close()
    assert time.monotonic() - began_s < 5.0
    for future in commands + questions:
        with pytest.raises(CallError, match="the client was closed"):
            future.get(timeout=0)
    with pytest.raises(OutcomeUnknown, match="may have happened"):
        commands[0].get(timeout=0)


def test_close_of_a_client_that_never_reached_anybody(cluster: LocalCluster) -> None:
    cluster.relay.isolate("view")
    client = cluster.client()
    command, question = client.submit(put, "key", "x"), client.submit(get, "key")
    client.close()
    for future in (command, question):
        with pytest.raises(NotSent, match="it did not happen"):
            future.get(timeout=0)


def test_calls_after_close_are_not_sent_and_closing_again_is_harmless(pair: LocalCluster) -> None:
    with pair.client() as client:
        client.call(put, "key", "x", timeout_s=DEADLINE_S)
    client.close()
    side_by_side(client.close, client.close)
    with pytest.raises(NotSent, match="closed"):
        client.call(put, "key", "y")
    with pytest.raises(NotSent, match="closed"):
        client.submit(get, "key")


def test_close_ends_the_session_at_the_cluster() -> None:
    with LocalCluster("1", TIMING, Limits(sessions_max=1)) as cluster:
        cluster.start("1")
        for number in range(5):
            with cluster.client() as client:
                client.call(put, "key", str(number), timeout_s=DEADLINE_S)
        with cluster.client("keeps") as keeper, cluster.client("reads only") as reader:
            keeper.call(append, "key", "!", timeout_s=DEADLINE_S)
            assert reader.call(get, "key", timeout_s=DEADLINE_S) == "4!"
            keeper.call(append, "key", "!", timeout_s=DEADLINE_S)


def test_threads_that_call_while_the_client_closes_all_hear_something(pair: LocalCluster) -> None:
    client = pair.client()
    ended = []

    def call_until_refused() -> None:
        while True:
            try:
                client.call(append, "key", "x")
            except CallError as error:
                ended.append(error)
                return

    def close_soon() -> None:
        wait_until(lambda: client.call(get, "key"), what="some calls")
        client.close()

    side_by_side(close_soon, *[call_until_refused] * 4)
    assert len(ended) == 4


# -- sessions ---------------------------------------------------------------------------------


def test_an_evicted_session_is_expired_and_a_new_one_opened() -> None:
    with LocalCluster("12", TIMING, Limits(sessions_max=1)) as cluster:
        cluster.start_pair("1", "2")
        first, second = cluster.client("first"), cluster.client("second")
        assert first.call(append, "key", "a", timeout_s=DEADLINE_S) == "a"
        assert second.call(append, "key", "b", timeout_s=DEADLINE_S) == "ab"
        with pytest.raises(SessionExpired, match="may have happened"):
            first.call(append, "key", "c", timeout_s=DEADLINE_S)
        assert first.call(append, "key", "d", timeout_s=DEADLINE_S) == "abd"


# -- what is called ---------------------------------------------------------------------------


def test_proxy_of_another_class_is_refused_at_once(cluster: LocalCluster) -> None:
    with pytest.raises(WrongMachine, match=r"replicates pbactors\.machines\.kv:KeyValueStore, not"):
        cluster.client().proxy(Other)


def test_a_cluster_that_agreed_on_something_else_gets_nothing(pair: LocalCluster) -> None:
    client = pair.client()
    topology = replace(client.topology, limits=Limits(sessions_max=77))
    with (
        pbactors.connect(topology) as stranger,
        pytest.raises(WrongMachine, match=r"sessions_max=10000.*sessions_max=77.*nothing was sent"),
    ):
        stranger.call(put, "key", "x", timeout_s=DEADLINE_S)
    assert client.call(get, "key", timeout_s=DEADLINE_S) is None


def test_a_client_of_another_cluster_at_the_same_addresses_gets_nothing(pair: LocalCluster) -> None:
    client = pair.client()
    with (
        pbactors.connect(replace(client.topology, name="other")) as stranger,
        pytest.raises(WrongMachine, match=r"agreed on .*, but .* says 'other .*nothing was sent"),
    ):
        stranger.call(put, "key", "x", timeout_s=DEADLINE_S)
    assert client.call(get, "key", timeout_s=DEADLINE_S) is None


def test_what_cannot_be_carried_is_named(cluster: LocalCluster) -> None:
    client = cluster.client()
    wrong: Any = {"x": [1, Decimal(1)]}
    with pytest.raises(UnsupportedValue, match=r"argument 'value', \['x'\]\[1\]: Decimal"):
        client.call(put, "key", wrong)
    with pytest.raises(UnsupportedValue, match=r"argument 'value', \['x'\]\[1\]: Decimal"):
        client.submit(put, "key", value=wrong)


def test_arguments_that_are_too_large_are_refused_at_the_call() -> None:
    with LocalCluster("1", TIMING, Limits(operation_bytes_max=1000)) as cluster:
        with pytest.raises(UnsupportedValue, match=r"arguments of put take \d+ bytes, more than"):
            cluster.client().call(put, "key", "x" * 1000)
        cluster.start("1")
        cluster.store("other").put("key", "x" * 900)


@pytest.mark.parametrize("method", [str.upper, KeyValueStore.__init__, len])
def test_what_is_no_command_or_query_is_refused(cluster: LocalCluster, method: Any) -> None:
    with pytest.raises(TypeError, match="no command or query"):
        cluster.client().submit(method, "x")


def test_what_a_method_raises_arrives_with_its_type_and_text(pair: LocalCluster) -> None:
    store = pair.store()
    store.put("key", "no number")
    with pytest.raises(MethodRaised, match="holds no whole number") as raised:
        store.increment("key")
    assert raised.value.type_name == "ValueError"
    assert raised.value.text == "'key' holds no whole number: 'no number'"
    with pytest.raises(MethodRaised) as raised:
        pair.client("other").call(put, "key", timeout_s=DEADLINE_S)
    assert raised.value.type_name == "TypeError"
    assert store.get("key") == "no number"


def test_a_proxy_offers_the_methods_of_its_class_and_no_more(cluster: LocalCluster) -> None:
    store = cluster.store()
    assert dir(store) == ["append", "compare_and_set", "delete", "get", "increment", "keys", "put"]
    assert store.append.__doc__ == KeyValueStore.append.__doc__
    with pytest.raises(AttributeError, match=r"no command or query 'values'; there are: append,"):
        _ = store.values


# -- in processes of their own ----------------------------------------------------------------

INTERRUPTED = """
import sys, pbactors
from pbactors.machines.kv import KeyValueStore
with pbactors.connect(sys.argv[1]) as cluster:
    future = cluster.submit(KeyValueStore.put, "key", "value")
    try:
        print("waiting", flush=True)
        WAIT
    except KeyboardInterrupt:
        print("interrupted", flush=True)
print("closed", flush=True)
"""


def interrupt_after_half_a_second(tmp_path: Path, wait: str) -> None:
    """Run a call that nobody answers, send Ctrl-C, and expect a clean and prompt end."""
    script = INTERRUPTED.replace("WAIT", wait)
    with running([sys.executable, "-c", script, free_topology(tmp_path)]) as process:
        process.wait_for("waiting")
        time.sleep(0.5)
        assert process.exit_code is None, "the call returned"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 0
        assert process.stdout.split() == ["waiting", "interrupted", "closed"]
        assert process.stderr == ""


def test_DP1_result_call_never_returns_and_can_be_interrupted(tmp_path: Path) -> None:
    """No server runs: waiting for a result lasts, and Ctrl-C ends it after 500 ms."""
    interrupt_after_half_a_second(tmp_path, "future.get()")


def test_DL2_blocking_call_can_be_interrupted(tmp_path: Path) -> None:
    """The same for a call that blocks by itself."""
    interrupt_after_half_a_second(tmp_path, "cluster.proxy(KeyValueStore).get('key')")


FORKING = """
import os, sys, pbactors
from pbactors.machines.kv import KeyValueStore
with (
    pbactors.start_node(sys.argv[1], "view", form_new=True),
    pbactors.start_node(sys.argv[1], "a"),
    pbactors.connect(sys.argv[1]) as cluster,
):
    store = cluster.proxy(KeyValueStore, timeout_s=20.0)
    store.put("key", "parent")
    child = os.fork()
    if child == 0:
        try:
            store.put("key", "child")
        except pbactors.NotSent as error:
            print(error, flush=True)
        cluster.close()
        sys.exit(7)  # leaves the with block, whose nodes are not in this process
    _, status = os.waitpid(child, 0)
    print("child ended with", os.waitstatus_to_exitcode(status))
    print(store.get("key"))
"""


def test_a_client_is_dead_after_a_fork_and_lives_on_in_the_parent(tmp_path: Path) -> None:
    with running([sys.executable, "-c", FORKING, free_topology(tmp_path)]) as process:
        assert process.wait(deadline_s=15.0) == 0, process.report()
        assert process.stdout.splitlines() == [
            "this client was made before a fork; connect again in the child",
            "child ended with 7",
            "parent",
        ]
        assert process.stderr == ""

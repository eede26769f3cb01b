"""Nodes as their user sees them: starting, stopping and failing, on real sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pykka
import pytest

import pbactors
from pbactors import (
    AddressUnavailable,
    MachineUnavailable,
    RunningNode,
    StateMachine,
    StoreUnavailable,
    TopologyError,
    command,
    start_node,
)
from pbactors.config import Limits, Timing
from pbactors.machines.kv import KeyValueStore
from tests.processes import free_topology, running, wait_until
from tests.suites.cluster import DEADLINE_S, VIEW_SERVER, LocalCluster
from tests.suites.histories import side_by_side

TIMING = Timing(
    ping_interval_ms=50,
    dead_pings=10,
    resend_interval_ms=50,
    client_resend_ms=50,
    client_resend_max_ms=200,
    heartbeat_interval_ms=200,
)
PROMPT_S = 2.0
"""More than a stop ever takes, and less than any time limit that it could run into."""


@pytest.fixture
def topology(tmp_path: Path) -> pbactors.Topology:
    return pbactors.load(free_topology(tmp_path))


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """After each test, no thread and no actor is there that was not there before."""
    threads, actors = set(threading.enumerate()), set(pykka.ActorRegistry.get_all())
    yield
    wait_until(lambda: set(threading.enumerate()) <= threads, what="the end of all threads")
    assert set(pykka.ActorRegistry.get_all()) <= actors


def stops_promptly(node: RunningNode) -> None:
    """Stop a node, and hold that this was quick and complete."""
    began_s = time.monotonic()
    node.stop()
    assert time.monotonic() - began_s < PROMPT_S
    assert not node.is_running()
    assert node.failure is None


# -- starting ---------------------------------------------------------------------------------


def test_a_started_node_serves(tmp_path: Path) -> None:
    topology = pbactors.load(free_topology(tmp_path, replicas=1))
    with start_node(topology, "view", form_new=True), start_node(topology, "a") as node:
        assert node.is_running()
        assert pbactors.ask_nodes(topology, timeout_s=5.0).keys() == {"view", "a"}


def test_start_takes_the_path_of_a_file_and_a_name_that_is_in_it(
    topology: pbactors.Topology,
) -> None:
    with start_node(str(topology.path), "view", form_new=True) as node:
        assert node.name == "view"
    with pytest.raises(TopologyError, match='found "x"'):
        start_node(topology.path, "x")


@pytest.mark.parametrize("taken", ["address", "heartbeat"])
def test_an_address_in_use_is_refused_and_the_other_one_released(
    topology: pbactors.Topology, tmp_path: Path, taken: str
) -> None:
    """Whichever of a node's two sockets cannot be bound, the other one is free afterwards."""
    other = pbactors.load(free_topology(tmp_path, name="other"))
    mine, theirs = topology.node("a"), other.node("a")
    addresses = (mine.address, theirs.heartbeat)
    if taken == "heartbeat":
        addresses = (theirs.address, mine.heartbeat)
    with start_node(topology, "a"):
        with pytest.raises(AddressUnavailable, match=taken):
            start_node(other.with_addresses({"a": addresses}), "a")
        start_node(other, "a").stop()


def test_a_stopped_node_can_be_started_again_at_once(topology: pbactors.Topology) -> None:
    for _ in range(5):
        start_node(topology, "a").stop()


MACHINES = """
from pbactors import StateMachine
class Plain: pass
class Broken(StateMachine):
    def __init__(self):
        raise RuntimeError("no state today")
class Exits(StateMachine):
    def __init__(self):
        raise SystemExit(3)
"""


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        ("nowhere.at.all:Class", "cannot be imported: ModuleNotFoundError"),
        ("machines_of_this_test:Missing", "cannot be imported: AttributeError"),
        ("machines_of_this_test:Plain", "is no subclass of pbactors.StateMachine"),
        ("machines_of_this_test:Broken", "cannot be built: RuntimeError: no state today"),
        ("machines_of_this_test:Exits", "cannot be built: SystemExit: 3"),
    ],
)
def test_a_machine_that_cannot_be_had_is_refused(tmp_path: Path, machine: str, reason: str) -> None:
    (tmp_path / "machines_of_this_test.py").write_text(MACHINES)
    topology = free_topology(tmp_path, machine=machine)
    try:
        with pytest.raises(MachineUnavailable, match=reason):
            start_node(topology, "a")
        with pytest.raises(MachineUnavailable, match=reason):  # not AddressUnavailable
            start_node(topology, "a")
    finally:
        sys.modules.pop("machines_of_this_test", None)
        sys.path.remove(str(tmp_path))


def test_a_store_that_is_missing_or_in_use_is_refused(
    topology: pbactors.Topology, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnavailable, match="no view store here"):
        start_node(topology, "view")
    second = pbactors.load(free_topology(tmp_path))  # the same file name, name and store
    with start_node(topology, "view", form_new=True):
        for form_new in (False, True):
            with pytest.raises(StoreUnavailable, match="in use"):
                start_node(second, "view", form_new=form_new)
    with start_node(second, "view"):
        pass


# -- stopping ---------------------------------------------------------------------------------


def test_X7_a_view_server_that_was_away_finds_everybody_again(tmp_path: Path) -> None:
    """“View server stopped: the current pair keeps serving; resumes when it is back.”

    It was away for longer than any pause between attempts to reconnect; all must be heard within
    its grace.
    """
    topology = pbactors.load(free_topology(tmp_path, timing={"dead_pings": 40}))
    view_server = start_node(topology, "view", form_new=True)
    replicas = [start_node(topology, name) for name in "abc"]

    def view() -> tuple[int, list[str]] | None:
        record = pbactors.ask_nodes(topology).get("view")
        if record is None or not record.view.acked or record.view.backup is None:
            return None
        alive = sorted(name for name, entry in record.alive.items() if entry.alive)
        return (record.view.number, alive) if alive == ["a", "b", "c"] else None

    before = wait_until(view, what="a full view with everybody alive")
    view_server.stop()
    with pbactors.connect(topology) as late:
        waiting = late.submit(KeyValueStore.put, "k", "v")
        threading.Event().wait(2.0)  # the absence itself: it lasts
        view_server = start_node(topology, "view")
        assert waiting.get(timeout=DEADLINE_S) is None
        assert wait_until(view, what="everybody heard again") == before
    for node in (view_server, *replicas):
        node.stop()


def test_stop_before_any_view(topology: pbactors.Topology) -> None:
    """The view server is not there; pings wait for a connection that never comes."""
    node = start_node(topology, "a")

    def gave_up_on_a_ping() -> bool:
        record = pbactors.ask_nodes(topology).get("a")
        return record is not None and record.refused.get("dropped_unreachable", 0) > 0

    wait_until(gave_up_on_a_ping, what="a ping that waited in vain")
    stops_promptly(node)


def test_stop_twice_and_from_several_threads(topology: pbactors.Topology) -> None:
    node = start_node(topology, "a")
    side_by_side(*[partial(stops_promptly, node)] * 4)
    stops_promptly(node)
    assert node.wait(0)


def test_stop_the_actor_as_pykka_users_do(topology: pbactors.Topology) -> None:
    node = start_node(topology, "a")
    assert node.actor.stop(timeout=DEADLINE_S)
    assert node.wait(DEADLINE_S)
    stops_promptly(node)


@pytest.mark.parametrize("first", ["1", "2", VIEW_SERVER])
def test_stop_during_a_transfer(first: str) -> None:
    """Whoever is stopped while a state is on its way, it and the others stop at once."""
    small = Limits(snapshot_piece_bytes_max=1024, pieces_in_flight_max=2)
    with LocalCluster("12", TIMING, small) as cluster:
        cluster.start("1")
        client = cluster.client()
        client.call(KeyValueStore.put, "key", "x" * 500_000, timeout_s=DEADLINE_S)
        cluster.relay.delay("1", "2", 0.1)
        cluster.start("2")
        filling = partial(cluster.state, "1")
        wait_until(lambda: str(filling()).endswith("filling backup"), what="a transfer")
        waiting = client.submit(KeyValueStore.put, "key", "y")
        for name in (first, *({"1", "2", VIEW_SERVER} - {first})):
            stops_promptly(cluster.node(name))
        client.close()
        with contextlib.suppress(pbactors.CallError):  # or it was answered alone before (R33)
            waiting.get(timeout=0)


def test_stop_with_calls_waiting_for_a_backup_that_is_silent() -> None:
    with LocalCluster("12", TIMING) as cluster:
        cluster.start_pair("1", "2")
        client = cluster.client()
        client.call(KeyValueStore.put, "key", "x", timeout_s=DEADLINE_S)
        cluster.kill(VIEW_SERVER)  # so nobody replaces the backup
        cluster.relay.cut("1", "2")
        calls = [client.submit(KeyValueStore.append, "key", "x" * 10_000) for _ in range(200)]
        wait_until(lambda: cluster.relay.lost("1", "2"), what="forwards on their way")
        stops_promptly(cluster.node("1"))
        stops_promptly(cluster.node("2"))
        client.close()
        for call in calls:
            with pytest.raises(pbactors.CallError):
                call.get(timeout=0)


# -- failing ----------------------------------------------------------------------------------


class Fatal(StateMachine):
    """A class with commands that want to end the process."""

    def __init__(self) -> None:
        self.calls = 0

    @command
    def exit(self) -> None:
        self.calls += 1
        raise SystemExit(3)

    @command
    def interrupt(self) -> None:
        self.calls += 1
        raise KeyboardInterrupt


class Bystander(pykka.ThreadingActor):
    """An actor of the embedding service."""

    def on_receive(self, message: object) -> object:
        return message


@pytest.mark.parametrize(
    ("method", "failure"), [(Fatal.exit, SystemExit), (Fatal.interrupt, KeyboardInterrupt)]
)
def test_a_command_that_ends_its_process_stops_one_node_alone_the_backup(
    method: Callable[[Fatal], None], failure: type[BaseException]
) -> None:
    """The backup executes first and stops; the primary, the service and the tests go on."""
    patient = Timing(ping_interval_ms=50, dead_pings=1200)  # no other view while we look
    bystander = Bystander.start()
    try:
        with LocalCluster("12", patient, machine=Fatal) as cluster:
            cluster.start_pair("1", "2")
            call = cluster.client().submit(method)
            backup = cluster.node("2")
            assert backup.wait(DEADLINE_S)
            assert isinstance(backup.failure, failure)
            cluster.forget("2")
            assert cluster.state("1") == "serving"
            assert bystander.ask("still there", timeout=DEADLINE_S) == "still there"
            with pytest.raises(pykka.Timeout):
                call.get(timeout=0)
    finally:
        bystander.stop()


def test_a_primary_alone_stops_too_and_answers_nothing() -> None:
    with LocalCluster("12", TIMING, machine=Fatal) as cluster:
        cluster.start("1")
        call = cluster.client().submit(Fatal.exit)
        primary = cluster.node("1")
        assert primary.wait(DEADLINE_S)
        assert isinstance(primary.failure, SystemExit)
        cluster.forget("1")
        with pytest.raises(pykka.Timeout):
            call.get(timeout=0.2)


# -- two nodes under one name -----------------------------------------------------------------


def test_a_second_node_under_a_name_in_use_costs_nothing_acknowledged() -> None:
    """Two nodes called 3, neither a member: each starts over when the other is newer.

    Calls go on meanwhile. Once one of the two is gone, the other is a node like any other.
    """
    with LocalCluster("123", TIMING) as cluster:
        cluster.start_pair("1", "2")
        store = cluster.store()
        store.put("key", "acknowledged")
        cluster.start("3")
        cluster.wait_alive("3")
        first, life = cluster.node("3"), cluster.incarnation("3")
        address = cluster.address("3")
        cluster.start("3")
        wait_until(lambda: cluster.incarnation("3", address) > life, what="the first to start over")
        assert first.is_running()
        assert store.append("key", "!") == "acknowledged!"
        assert cluster.view() == cluster.wait_view("1", "2")
        stops_promptly(first)
        cluster.kill("2")
        cluster.wait_view("1", "3")
        cluster.kill("1")
        cluster.wait_view("3", None)
        assert store.get("key") == "acknowledged!"


# -- in processes of their own ----------------------------------------------------------------

START_ALL = """
import signal, sys, threading, pbactors
from pbactors.machines.kv import KeyValueStore
topology = pbactors.load(sys.argv[1])
view = pbactors.start_node(topology, "view", form_new=True)
nodes = [pbactors.start_node(topology, node.name) for node in topology.replicas]
cluster = pbactors.connect(topology)
store = cluster.proxy(KeyValueStore, timeout_s=20.0)
store.put("key", "value")
"""

FORGETFUL = {
    "everything": "",
    "open calls": """
for node in nodes:
    node.stop()
cluster.submit(KeyValueStore.put, "key", "value")
""",
    "a tail": "beats = pbactors.tail(topology); next(beats)",
    "a view server that is gone": "view.stop()",
}


@pytest.mark.parametrize("end", ["", "sys.exit(0)"])
@pytest.mark.parametrize("what", FORGETFUL)
def test_a_process_that_forgets_to_stop_and_close_ends_at_once(
    tmp_path: Path, what: str, end: str
) -> None:
    script = f"{START_ALL}{FORGETFUL[what]}\nprint('end', flush=True)\n{end}"
    with running([sys.executable, "-c", script, free_topology(tmp_path)]) as process:
        process.wait_for("end")
        began_s = time.monotonic()
        assert process.wait() == 0
        assert time.monotonic() - began_s < PROMPT_S
        assert process.stderr == ""


# A signal that comes just before a process falls asleep does not wake it; the next one does.
WAITING = """
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
try:
    print("serving", flush=True)
    WAIT
except KeyboardInterrupt:
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("interrupted", flush=True)
for node in (*nodes, view):
    assert node.failure is None
"""


@pytest.mark.parametrize(
    "wait", ["threading.Event().wait()", "nodes[0].wait()", "while True: signal.pause()"]
)
def test_an_embedding_script_can_be_interrupted(tmp_path: Path, wait: str) -> None:
    """Ctrl-C is the script's own: it arrives where the script waits, and the rest ends well."""
    script = START_ALL + WAITING.replace("WAIT", wait)
    with running([sys.executable, "-c", script, free_topology(tmp_path)]) as process:
        process.wait_for("serving")
        os.kill(process.pid, signal.SIGINT)
        began_s = time.monotonic()
        assert process.wait() == 0
        assert time.monotonic() - began_s < PROMPT_S
        assert process.stdout.split() == ["serving", "interrupted"]
        assert process.stderr == ""

"""What strangers can send to a node, and what they can read: plain sockets and msgpack alone."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgpack  # type: ignore[import-untyped]
import pytest
import zmq

import pbactors
from pbactors import Beat, heartbeat, start_node, wire
from pbactors.heartbeat import Record
from pbactors.machines.calls import encode_call
from pbactors.machines.kv import KeyValueStore
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    GetView,
    Message,
    Piece,
    Ping,
    Request,
    Superseded,
    ViewReply,
)
from pbactors.protocol.tool_messages import Abandon, SwitchOver
from pbactors.protocol.view import FRESH, Member, View
from tests.processes import free_topology, wait_until

DEADLINE_S = 30.0
MESSAGE_BYTES_MAX = 1024 * 1024
SMALL_MESSAGES = {
    "message_bytes_max": MESSAGE_BYTES_MAX,
    "operation_bytes_max": 1024,
    "result_bytes_max": 64 * 1024,
    "forward_bytes_max": 64 * 1024,
}
SOMEBODY = Member("a", bytes(15) + b"\1")

Socket = zmq.Socket[bytes]


@pytest.fixture
def topology(tmp_path: Path) -> Iterator[pbactors.Topology]:
    """A view server and a replica that serves, with an acknowledged view."""
    path = free_topology(
        tmp_path, replicas=1, timing={"heartbeat_interval_ms": 50}, limits=SMALL_MESSAGES
    )
    loaded = pbactors.load(path)
    with start_node(loaded, "view", form_new=True), start_node(loaded, "a"):
        with pbactors.connect(loaded) as cluster:
            cluster.call(KeyValueStore.put, "key", "value", timeout_s=DEADLINE_S)
        # The primary hears of its acknowledgement with the answer to a later ping.
        wait_until(lambda: status(loaded, "a").view.acked, what="an acknowledged view")
        yield loaded


@contextmanager
def stranger(kind: int, address: str) -> Iterator[Socket]:
    """Connect a plain socket."""
    context: zmq.Context[Socket] = zmq.Context()
    made = context.socket(kind)
    made.linger = 1000
    made.rcvtimeo = int(DEADLINE_S * 1000)
    made.connect(address)
    try:
        yield made
    finally:
        made.close()
        context.term()


def status(topology: pbactors.Topology, name: str) -> Record:
    """Return what a node says of itself."""
    found = wait_until(lambda: pbactors.ask_nodes(topology).get(name), what=f"{name} to answer")
    assert found is not None
    return found


def still_serves(topology: pbactors.Topology) -> None:
    """Hold that the state is as it was, and that calls and views go on."""
    assert status(topology, "view").view == heartbeat.ViewSummary(1, "a", None, True)
    assert status(topology, "a").state == "serving alone"
    with pbactors.connect(topology) as cluster:
        store = cluster.proxy(KeyValueStore, timeout_s=DEADLINE_S)
        assert store.get("key") == "value"
        assert store.append("other", "x")


# -- refused ----------------------------------------------------------------------------------

JUNK = {
    "nothing": b"",
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "not msgpack": b"\xc1\xc1\xc1",
    "another version": msgpack.packb([9, b"", "", FRESH, 1, []]),
    "a map": msgpack.packb({"version": 1}),
    "unknown tag": msgpack.packb([1, b"", "", FRESH, 999, []]),
    "wrong fields": msgpack.packb([1, b"", "", FRESH, Ping.tag, ["x"]]),
    "cut off": wire.encode(b"", SOMEBODY, Ping(0, 1, 0, "x"))[:-1],
    "many arrays": b"\x91" * 5000,
}


@pytest.mark.parametrize("name", ["view", "a"])
def test_junk_is_counted_and_changes_nothing(topology: pbactors.Topology, name: str) -> None:
    with stranger(zmq.DEALER, topology.node(name).address) as sender:
        for body in JUNK.values():
            sender.send_multipart([b"", body])
        counted(topology, name, "malformed", len(JUNK))
    still_serves(topology)


@pytest.mark.parametrize("name", ["view", "a"])
def test_messages_of_the_wrong_frames_are_counted(topology: pbactors.Topology, name: str) -> None:
    with stranger(zmq.DEALER, topology.node(name).address) as sender:
        sender.send(b"alone")
        sender.send_multipart([b"", b"one", b"more"])
        sender.send_multipart([b"not empty", b"body"])
        counted(topology, name, "malformed_frame_count", 2)
        counted(topology, name, "malformed_delimiter", 1)
    still_serves(topology)


VIEW_2 = View(2, Member("x", bytes(16)), None)
CALL = (1, 1, 1, 1, encode_call("put", ("key", "foreign")))
FOREIGN: dict[str, list[Message]] = {
    "view": [
        Ping(1, 99, 0, "contract"),
        GetView(),
        Abandon(b"successor" + bytes(7)),
        SwitchOver("b"),
    ],
    "a": [
        Request(1, (CALL,), ((1, 0, 0, encode_call("get", ("key",))),)),
        Forward(1, bytes(16), 1, 1, b"stamp", (CALL,)),
        Piece(1, bytes(16), 1, 0, b"", 0, 1, 0, True, 0, b""),
        Confirm(1, bytes(16), 99, 99, 0),
        Superseded(bytes(16), bytes(15) + b"\1"),
        ViewReply(VIEW_2, True, "contract"),
        Abandon(b"successor" + bytes(7)),
    ],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_messages_of_another_cluster_are_counted_and_change_nothing(
    topology: pbactors.Topology, name: str
) -> None:
    with stranger(zmq.DEALER, topology.node(name).address) as sender:
        for message in FOREIGN[name]:
            sender.send_multipart([b"", wire.encode(b"another cluster!", SOMEBODY, message)])
        counted(topology, name, "another cluster", len(FOREIGN[name]))
    still_serves(topology)


def test_pings_of_strangers_are_refused_however_many_names_they_make_up(
    topology: pbactors.Topology,
) -> None:
    """What is counted has few names, so records stay small enough to be read."""
    contract = topology.contract
    with stranger(zmq.DEALER, topology.view_server.address) as sender:
        for number in range(1500):
            unknown = Member(f"a node that nobody knows {number}", bytes(15) + b"\1")
            other = Ping(0, 1, 0, f"another contract {number}")
            sender.send_multipart([b"", wire.encode(b"", unknown, Ping(0, 1, 0, contract))])
            sender.send_multipart([b"", wire.encode(b"", SOMEBODY, other)])
            sender.recv_multipart()
            sender.recv_multipart()
    counted(topology, "view", "unknown node", 1500)
    counted(topology, "view", "other contract", 1500)
    still_serves(topology)


@pytest.mark.parametrize("name", ["view", "a"])
def test_oversized_frames_end_the_connection_that_brought_them(
    topology: pbactors.Topology, name: str
) -> None:
    """A frame that is too large is never in memory; who sends one must connect again."""
    with stranger(zmq.DEALER, topology.node(name).address) as sender:
        monitor = sender.get_monitor_socket(zmq.Event.DISCONNECTED)
        sender.send_multipart([b"", bytes(MESSAGE_BYTES_MAX + 1)])
        assert monitor.poll(int(DEADLINE_S * 1000))
        sender.disable_monitor()
        monitor.close()
    still_serves(topology)


@pytest.mark.parametrize("name", ["view", "a"])
@pytest.mark.parametrize("port", ["address", "heartbeat"])
@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(63), bytes(5000)])
def test_bytes_that_are_not_zeromq_are_dropped(
    topology: pbactors.Topology, name: str, port: str, words: bytes
) -> None:
    where = urlsplit(getattr(topology.node(name), port))
    with socket.create_connection((where.hostname, where.port), timeout=DEADLINE_S) as sender:
        sender.sendall(words)
    with socket.create_connection((where.hostname, where.port), timeout=DEADLINE_S):
        still_serves(topology)  # also while somebody says nothing at all
    assert next(beats_of(topology, name))


def counted(topology: pbactors.Topology, name: str, reason: str, count: int) -> None:
    """Wait until a node has refused so many messages for that reason."""
    wait_until(
        lambda: status(topology, name).refused.get(reason, 0) >= count,
        what=f"{count} messages counted as {reason!r}",
    )
    assert status(topology, name).refused[reason] == count


# -- plain clients ----------------------------------------------------------------------------


def ask(address: str, tag: int) -> Any:
    """Ask with a plain REQ socket and msgpack alone."""
    with stranger(zmq.REQ, address) as asking:
        asking.send(msgpack.packb([1, b"", "", bytes(16), tag, []]))
        return msgpack.unpackb(asking.recv())


def test_a_plain_req_socket_can_ask_for_the_view(topology: pbactors.Topology) -> None:
    version, cluster, node, _, tag, fields = ask(topology.view_server.address, tag=2)
    (number, primary, backup), acked, contract = fields
    assert (version, len(cluster), node, tag) == (1, 16, "view", 3)
    assert (number, primary[0], backup, acked) == (1, "a", None, True)
    assert contract.startswith("local pbactors.machines.kv:KeyValueStore ")


@pytest.mark.parametrize(("name", "role"), [("view", "view_server"), ("a", "primary")])
def test_a_plain_req_socket_can_ask_for_the_status(
    topology: pbactors.Topology, name: str, role: str
) -> None:
    *_, tag, [packed] = ask(topology.node(name).address, tag=13)
    record = msgpack.unpackb(packed)
    assert tag == 14
    assert (record["node"], record["role"]) == (name, role)
    assert record["view"] == {"number": 1, "primary": "a", "backup": None, "acked": True}


def test_a_plain_sub_socket_can_read_heartbeats(topology: pbactors.Topology) -> None:
    with stranger(zmq.SUB, topology.node("a").heartbeat) as listener:
        listener.subscribe(b"heartbeat")
        records = []
        for _ in range(3):
            topic, packed = listener.recv_multipart()
            assert topic == b"heartbeat"
            records.append(msgpack.unpackb(packed))
    first = records[0]
    assert [record["sequence"] - first["sequence"] for record in records] == [0, 1, 2]
    assert (first["node"], first["role"], first["state"]) == ("a", "primary", "serving alone")
    assert first["op"] >= 2, "an opening and a put at least"


# -- heartbeats -------------------------------------------------------------------------------


def beats_of(topology: pbactors.Topology, name: str) -> Iterator[Beat]:
    """Yield the heartbeats of one node."""
    for beat in pbactors.tail(topology, timeout_s=DEADLINE_S):
        if beat.record.node == name:
            yield beat


def test_tail_sees_the_heartbeats_of_every_node_in_order_and_owns_up_to_gaps(
    topology: pbactors.Topology,
) -> None:
    """PUB sockets drop without a word, on a busy machine also when all is well: when libzmq's own
    thread gets no turn for a second, the connection is made anew. What holds always is that
    heartbeats come in order and that ``missed`` says how many did not.
    """
    seen: dict[str, list[Beat]] = {"view": [], "a": []}
    for beat in pbactors.tail(topology, timeout_s=DEADLINE_S):
        seen[beat.record.node].append(beat)
        if min(map(len, seen.values())) == 5:
            break
    for beats in seen.values():
        assert len(beats) >= 5
        for before, after in pairwise(beats):
            assert after.record.sequence == before.record.sequence + 1 + after.missed
        assert beats[0].missed == 0
        assert not any(beat.restarted for beat in beats)


def test_tail_ends_in_time(topology: pbactors.Topology) -> None:
    began_s = time.monotonic()
    assert list(pbactors.tail(topology, timeout_s=0.3))
    assert time.monotonic() - began_s < DEADLINE_S


def test_tail_reports_what_was_lost_and_passes_over_junk(topology: pbactors.Topology) -> None:
    """A publisher that skips numbers stands in for a network that loses heartbeats."""
    [real] = itertools.islice(beats_of(topology, "a"), 1)
    context: zmq.Context[Socket] = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.linger = 0
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    replica = topology.node("a")
    fake = topology.with_addresses({"a": (replica.address, f"tcp://127.0.0.1:{port}")})
    beats: list[Beat] = []

    def listen() -> None:
        beats.extend(itertools.islice(beats_of(fake, "a"), 4))

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert publisher.poll(int(DEADLINE_S * 1000)), "nobody subscribes"
        content = real.record.to_dict()
        later_life = f"{int(content['incarnation'], 16) + 1:032x}"
        for change in (
            {"sequence": 100},
            {"sequence": 101},
            {"format": 99},
            {"sequence": 105},
            {"sequence": 104},  # late: it was reported as lost, and is passed over
            {"sequence": 1, "incarnation": later_life},
        ):
            publisher.send_multipart([heartbeat.TOPIC, msgpack.packb(content | change)])
        publisher.send_multipart([heartbeat.TOPIC, b"junk"])
        listener.join(DEADLINE_S)
    finally:
        publisher.close()
        context.term()
        listener.join(DEADLINE_S)
    assert [(beat.record.sequence, beat.missed, beat.restarted) for beat in beats] == [
        (100, 0, False),
        (101, 0, False),
        (105, 3, False),
        (1, 0, True),
    ]


def test_changes_are_published_at_once_whatever_the_interval(tmp_path: Path) -> None:
    """With a heartbeat each hour, only what changes is heard of; and that is heard in time."""
    path = free_topology(
        tmp_path,
        replicas=2,
        timing={"heartbeat_interval_ms": 3_600_000, "ping_interval_ms": 50, "dead_pings": 10},
    )
    topology = pbactors.load(path)
    heard: list[Record] = []

    def heard_of(*, node: str, backup: str | None) -> Callable[[], bool]:
        return lambda: any(
            record.node == node and record.view.backup == backup for record in list(heard)
        )

    with start_node(topology, "view", form_new=True), start_node(topology, "a"):
        # Or "b", which comes next, may be heard first, and be the primary.
        wait_until(lambda: status(topology, "view").view.primary == "a", what="a primary")
        over = threading.Event()

        def listen() -> None:
            for beat in pbactors.tail(topology, timeout_s=DEADLINE_S):
                heard.append(beat.record)
                if over.is_set():
                    return

        listener = threading.Thread(target=listen)
        listener.start()
        # A subscription reaches a publisher some time after its socket was made: change until then.
        while not {"view", "a"} <= {record.node for record in heard}:
            with start_node(topology, "b"):
                wait_until(lambda: status(topology, "view").view.backup == "b", what="a backup")
            wait_until(lambda: status(topology, "view").view.backup is None, what="its death")
        heard.clear()
        with start_node(topology, "b"):
            for node in ("view", "a"):
                wait_until(heard_of(node=node, backup="b"), what=f"{node} to tell of a backup")
            over.set()
        listener.join(DEADLINE_S)

"""What only real sockets can show: plain peers, junk, frozen processes, fork, signals, paths."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from pbactors.errors import AddressUnavailable
from pbactors.transport.ask import ask_once
from pbactors.transport.interface import Transport
from pbactors.transport.subscriber import Subscriber
from pbactors.transport.zeromq import ZeroMQTransport

from .conftest import DEADLINE_S, MESSAGE_BYTES_MAX, Kit, eventually

Socket = zmq.Socket[bytes]


class Plain:
    """Sockets of bare pyzmq: strangers."""

    def __init__(self) -> None:
        self._context: zmq.Context[Socket] = zmq.Context()
        self._made: list[Socket] = []

    def socket(self, kind: int) -> Socket:
        made = self._context.socket(kind)
        made.linger = 0
        made.setsockopt(zmq.RCVTIMEO, int(DEADLINE_S * 1000))
        self._made.append(made)
        return made

    def connected(self, kind: int, address: str) -> Socket:
        made = self.socket(kind)
        made.connect(address)
        return made

    def close(self) -> None:
        for made in self._made:
            made.close()
        self._context.term()


@pytest.fixture
def plain() -> Iterator[Plain]:
    made = Plain()
    yield made
    made.close()


class Echo:
    """A node on a thread of its own that answers every request with its body."""

    def __init__(self, address: str = "tcp://127.0.0.1:0", prefix: bytes = b"") -> None:
        self.transport = ZeroMQTransport(address, None, {}, MESSAGE_BYTES_MAX)
        self._prefix = prefix
        self._ready = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Echo:
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping = True
        self.transport.wake()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    @property
    def address(self) -> str:
        assert self.transport.bound_address is not None
        return self.transport.bound_address

    def _run(self) -> None:
        self.transport.open()
        self._ready.set()
        while not self._stopping:
            self.transport.wait(None)
            for request in self.transport.receive(100):
                self.transport.reply(request.route, self._prefix + request.body)
        self.transport.close()


# -- strangers --------------------------------------------------------------------------------


def test_a_plain_req_socket_can_ask_a_node(plain: Plain) -> None:
    with Echo(prefix=b"re: ") as node:
        asker = plain.connected(zmq.REQ, node.address)
        for number in range(3):
            asker.send(b"%d" % number)
            assert asker.recv() == b"re: %d" % number


@pytest.mark.parametrize(
    ("frames", "counter"),
    [
        ([b"x"], "malformed_frame_count"),
        ([b"", b"x", b"y"], "malformed_frame_count"),
        ([b""] * 100, "malformed_frame_count"),
        ([b"not empty", b"x"], "malformed_delimiter"),
    ],
)
def test_junk_is_counted_and_the_connection_goes_on(
    tcp_kit: Kit, plain: Plain, frames: list[bytes], counter: str
) -> None:
    node = tcp_kit.node("node")
    stranger = plain.connected(zmq.DEALER, tcp_kit.peers["node"])
    stranger.send_multipart(frames)
    stranger.send_multipart([b"", b"well formed"])
    assert tcp_kit.gather(node, 1)[0].body == b"well formed"
    assert dict(node.counters) == {counter: 1}


def called_by_us(tcp_kit: Kit, plain: Plain, name: str) -> tuple[Transport, Any, bytes]:
    """Return a client, a bare ROUTER that it has called, and the route back."""
    peer = plain.socket(zmq.ROUTER)
    port = peer.bind_to_random_port("tcp://127.0.0.1")
    tcp_kit.peers[name] = f"tcp://127.0.0.1:{port}"
    client = tcp_kit.client()
    client.send(name, b"hello")

    def arrived() -> bool:
        client.wait(1)
        return bool(peer.poll(1))

    eventually(arrived)
    route, *_ = peer.recv_multipart()
    return client, peer, route


def test_junk_from_a_peer_that_we_called_is_counted_too(tcp_kit: Kit, plain: Plain) -> None:
    client, impostor, route = called_by_us(tcp_kit, plain, "impostor")
    impostor.send_multipart([route, b"one frame"])
    impostor.send_multipart([route, b"", b"fine"])
    assert [r.body for r in tcp_kit.gather(client, 1)] == [b"fine"]
    assert client.counters["malformed_frame_count"] == 1


def test_who_sends_too_large_a_frame_is_disconnected_and_the_others_go_on(
    tcp_kit: Kit, plain: Plain
) -> None:
    node, client = tcp_kit.node("node"), tcp_kit.client()
    stranger = plain.connected(zmq.DEALER, tcp_kit.peers["node"])
    events = stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    try:
        stranger.send_multipart([b"", bytes(MESSAGE_BYTES_MAX + 1)])
        assert events.poll(int(DEADLINE_S * 1000))
    finally:
        stranger.disable_monitor()
        events.close()
    client.send("node", b"x")
    assert [r.body for r in tcp_kit.gather(node, 1)] == [b"x"]


def test_a_chosen_routing_id_takes_nobody_elses_replies(tcp_kit: Kit, plain: Plain) -> None:
    node, client = tcp_kit.node("node"), tcp_kit.client()
    client.send("node", b"mine")
    route = tcp_kit.gather(node, 1)[0].route
    thief = plain.socket(zmq.DEALER)
    thief.setsockopt(zmq.ROUTING_ID, b"A" + route[1:])
    thief.connect(tcp_kit.peers["node"])
    thief.send_multipart([b"", b"give me"])
    tcp_kit.gather(node, 1)
    node.reply(route, b"for the client")
    assert tcp_kit.gather(client, 1)[0].body == b"for the client"
    assert not thief.poll(0)


# -- peers that die, freeze, come back ---------------------------------------------------------


def test_what_waits_for_a_connection_expires(tcp_kit: Kit) -> None:
    with_address = tcp_kit.node("node")
    with_address.close()
    client = tcp_kit.open(
        ZeroMQTransport(None, None, tcp_kit.peers, MESSAGE_BYTES_MAX, patience_ms=50)
    )
    assert client.send("node", b"old")
    client.wait(60)  # the clock has to pass the patience; nothing else happens here
    peer = tcp_kit.node("node", tcp_kit.peers["node"])
    found: list[bytes] = []
    until_s = time.monotonic() + DEADLINE_S
    while not found:
        assert time.monotonic() < until_s
        client.send("node", b"new")
        client.wait(20)
        found = [r.body for r in peer.receive(100)]
    assert set(found) == {b"new"}
    assert client.counters["dropped_unreachable"] >= 1


def test_only_so_much_waits_for_a_connection(tcp_kit: Kit) -> None:
    gone = tcp_kit.node("gone")
    gone.close()
    client = tcp_kit.open(
        ZeroMQTransport(None, None, tcp_kit.peers, MESSAGE_BYTES_MAX, patience_ms=60_000)
    )
    answers = [client.send("gone", b"x") for _ in range(20)]
    assert answers == [True] * 16 + [False] * 4
    assert client.counters["dropped_unreachable"] == 4


PEER = """
import sys
from pbactors.transport.zeromq import ZeroMQTransport
node = ZeroMQTransport(sys.argv[1], None, {}, 1024)
node.open()
print(node.bound_address, flush=True)
while True:
    node.wait(None)
    for request in node.receive(100):
        node.reply(request.route, request.body)
"""


class Peer:
    """An echoing node in another process."""

    def __init__(self, address: str = "tcp://127.0.0.1:0") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PEER, address], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_the_connection_to_a_frozen_peer_is_given_up_and_what_was_queued_dropped(
    tcp_kit: Kit,
) -> None:
    with Peer() as peer:
        tcp_kit.peers["peer"] = peer.address
        client = tcp_kit.open(ZeroMQTransport(None, None, tcp_kit.peers, MESSAGE_BYTES_MAX))
        client.send("peer", b"hello")
        tcp_kit.gather(client, 1)
        peer.process.send_signal(signal.SIGSTOP)
        # With a connection, libzmq takes every message; without one it is dropped and counted.
        eventually(lambda: client.send("peer", b"x") and client.counters["dropped_unreachable"] > 0)
        peer.process.send_signal(signal.SIGCONT)

        def answers_again() -> bool:
            client.send("peer", b"again")
            client.wait(20)
            return any(received.body == b"again" for received in client.receive(1000))

        eventually(answers_again)


def test_a_frozen_peer_is_noticed_by_who_watches_it_before_others_give_it_up(
    tcp_kit: Kit,
) -> None:
    """R49: what is lost in haste is sent again, so haste is for those who need to know."""
    with Peer() as peer:
        tcp_kit.peers["peer"] = peer.address
        watcher, other = tcp_kit.client(), tcp_kit.client()
        for client in (watcher, other):
            client.send("peer", b"hello")
            tcp_kit.gather(client, 1)
        watcher.watch("peer")
        watcher.send("peer", b"hello")
        tcp_kit.gather(watcher, 1)
        peer.process.send_signal(signal.SIGSTOP)

        def told() -> bool:
            other.wait(0)
            watcher.wait(20)
            return watcher.lost() == ["peer"]

        eventually(told)
        other.send("peer", b"x")
        peer.process.send_signal(signal.SIGCONT)
        assert tcp_kit.gather(other, 1)[0].body == b"x"
        assert other.counters["dropped_unreachable"] == 0


def test_close_is_prompt_with_unsent_messages_to_a_dead_peer(tcp_kit: Kit) -> None:
    with Peer() as peer:
        tcp_kit.peers["peer"] = peer.address
        client = tcp_kit.client()
        client.send("peer", b"hello")
        tcp_kit.gather(client, 1)
        peer.process.send_signal(signal.SIGSTOP)
        for _ in range(100):
            client.send("peer", bytes(1000), bulk=True)
            client.send("peer", bytes(1000))
        began_s = time.monotonic()
        client.close()
        assert time.monotonic() - began_s < 1


def test_a_client_that_froze_is_noticed_by_the_node_it_called(tcp_kit: Kit) -> None:
    caller = """
import sys
from pbactors.transport.zeromq import ZeroMQTransport
client = ZeroMQTransport(None, None, {"node": sys.argv[1]}, 1024)
client.open()
client.send("node", b"x")
client.wait(None)
client.wait(None)
"""
    node = tcp_kit.node("node")
    process = subprocess.Popen([sys.executable, "-c", caller, tcp_kit.peers["node"]])
    try:
        route = tcp_kit.gather(node, 1)[0].route
        assert node.reply(route, b"y")
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: not node.reply(route, b"y"))
    finally:
        process.kill()
        process.wait(DEADLINE_S)


FLOODER = """
import sys
from pbactors.transport.zeromq import ZeroMQTransport
client = ZeroMQTransport(None, None, {"node": sys.argv[1]}, 1024)
client.open()
while True:
    client.send("node", b"x")
    client.wait(0)
    if any(received.body == b"enough" for received in client.receive(1000)):
        break
client.close()
print("left in peace")
"""


def test_a_peer_that_goes_away_in_the_middle_of_its_answers_does_not_kill_its_caller(
    tcp_kit: Kit,
) -> None:
    node = tcp_kit.node("node")
    address = tcp_kit.peers["node"]
    caller = subprocess.Popen(
        [sys.executable, "-c", FLOODER, address], stdout=subprocess.PIPE, text=True
    )
    try:
        for life in range(30):
            answered = 0
            until_s = time.monotonic() + DEADLINE_S
            while answered < 500:
                assert time.monotonic() < until_s
                assert caller.poll() is None, f"the caller died in life {life}"
                node.wait(100)
                for request in node.receive(1000):
                    answered += node.reply(request.route, request.body)
            node.close()
            node = tcp_kit.node("node", address)
        eventually(lambda: _answer(node, b"enough") and caller.poll() is not None)
        assert caller.stdout is not None
        assert caller.stdout.read() == "left in peace\n"
    finally:
        caller.kill()
        caller.wait(DEADLINE_S)
        assert caller.stdout is not None
        caller.stdout.close()


def _answer(node: Transport, body: bytes) -> bool:
    for request in node.receive(1000):
        node.reply(request.route, body)
    return True


def test_what_a_peer_said_before_it_went_away_is_still_received(tcp_kit: Kit, plain: Plain) -> None:
    client, peer, route = called_by_us(tcp_kit, plain, "peer")
    bodies = [b"%d" % number for number in range(50)]
    for body in bodies:
        peer.send_multipart([route, b"", body])
    peer.close(linger=int(DEADLINE_S * 1000))  # says it all, then hangs up
    # Let the connection be lost before anything is read.
    eventually(lambda: client.send("peer", b"y") and client.counters["dropped_unreachable"] > 0)
    assert [received.body for received in tcp_kit.gather(client, 50)] == bodies


# -- ipc paths --------------------------------------------------------------------------------


def test_a_path_left_by_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/node"
    with Peer(address) as dead:
        dead.process.kill()
        dead.process.wait(DEADLINE_S)
        assert (tmp_path / "node").is_socket()
        with Echo(address) as heir:
            assert ask_once({"heir": heir.address}, b"x", 5000) == {"heir": b"x"}
    assert list(tmp_path.iterdir()) == []


def test_the_path_of_a_living_process_is_not_stolen(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/node"
    with Peer(address):
        thief = ZeroMQTransport(address, None, {}, 1024)
        with pytest.raises(AddressUnavailable, match=f"fuser {tmp_path}/node"):
            thief.open()
        assert ask_once({"owner": address}, b"x", 5000) == {"owner": b"x"}


def test_a_living_stranger_without_a_lock_keeps_its_path(tmp_path: Path, plain: Plain) -> None:
    address = f"ipc://{tmp_path}/node"
    plain.socket(zmq.REP).bind(address)
    with pytest.raises(AddressUnavailable, match="another process"):
        ZeroMQTransport(address, None, {}, 1024).open()
    assert not (tmp_path / "node.lock").exists()


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("precious")
    with pytest.raises(AddressUnavailable, match="File exists"):
        ZeroMQTransport(f"ipc://{tmp_path}/node", None, {}, 1024).open()
    assert (tmp_path / "node").read_text() == "precious"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("tcp://203.0.113.7:0", "this host has no such address; set 'bind'"),
        ("tcp://nonsense", "expected tcp://HOST:PORT"),
        ("carrier-pigeon://roof", "expected tcp://HOST:PORT"),
        ("ipc:///no/such/folder/node", "No such file or directory"),
        (f"ipc:///tmp/{'x' * 200}", "too long"),
    ],
)
def test_a_bad_address_is_refused_in_words(address: str, text: str) -> None:
    with pytest.raises(AddressUnavailable, match=text):
        ZeroMQTransport(address, None, {}, 1024).open()


def test_a_peer_whose_address_is_nonsense_is_unreachable_not_an_exception(tcp_kit: Kit) -> None:
    tcp_kit.peers["odd"] = "nonsense"
    client = tcp_kit.client()
    assert not client.send("odd", b"x")
    assert client.counters["dropped_unreachable"] == 1
    with pytest.raises(ValueError, match="nonsense"):
        client.subscribe("odd", "nonsense", b"view")


def test_ipv6_loopback() -> None:
    node = Echo("tcp://[::1]:0")
    with node:
        assert ask_once({"node": node.address}, b"x", 5000) == {"node": b"x"}


# -- fork, signals ----------------------------------------------------------------------------


def test_a_forked_child_does_no_harm(socket_kit: Kit) -> None:
    node = socket_kit.node("node")
    client = socket_kit.client()
    client.send("node", b"before")
    socket_kit.gather(node, 1)
    child = os.fork()
    if child == 0:
        os._exit(_touch_everything(node))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.send("node", b"after")
    assert socket_kit.gather(node, 1)[0].body == b"after"


def _touch_everything(node: Transport) -> int:
    try:
        node.wake()
        node.wait(None)
        if node.is_open or node.receive(1) or node.send("node", b"from the child"):
            return 2
        node.close()
        del node
        gc.collect()
        with Echo("inproc://in-the-child") as echo:  # new ones work
            return 0 if ask_once({"echo": echo.address}, b"x", 5000) else 3
    except BaseException:  # noqa: BLE001
        return 1


def test_signals_neither_end_nor_prolong_a_wait(tcp_kit: Kit) -> None:
    node = tcp_kit.node("node")
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        began_s = time.monotonic()
        node.wait(100)
        took_s = time.monotonic() - began_s
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0.1 <= took_s < 3


def test_a_signal_handler_may_wake(tcp_kit: Kit) -> None:
    node = tcp_kit.node("node")
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: node.wake())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        node.wait(None)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_handlers_exception_comes_out_of_the_wait(tcp_kit: Kit) -> None:
    node = tcp_kit.node("node")

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            node.wait(None)
    finally:
        signal.signal(signal.SIGALRM, before)
    node.wait(1)


# -- tools ------------------------------------------------------------------------------------


def test_ask_once_gathers_what_answers_and_ends_early() -> None:
    with Echo(prefix=b"a: ") as a, Echo(prefix=b"b: ") as b:
        began_s = time.monotonic()
        replies = ask_once({"a": a.address, "b": b.address}, b"hello", 30_000)
        assert replies == {"a": b"a: hello", "b": b"b: hello"}
        assert time.monotonic() - began_s < 10


def test_ask_once_leaves_out_who_does_not_answer(tcp_kit: Kit) -> None:
    tcp_kit.node("gone").close()
    tcp_kit.node("mute")
    with Echo() as echo:
        began_s = time.monotonic()
        replies = ask_once({**tcp_kit.peers, "echo": echo.address}, b"hello", 200)
        assert replies == {"echo": b"hello"}
        assert 0.2 <= time.monotonic() - began_s < 5


def test_ask_once_reaches_one_that_starts_within_the_time(tcp_kit: Kit) -> None:
    gone = tcp_kit.node("late")
    gone.close()
    replies: dict[str, bytes] = {}
    asker = threading.Thread(
        target=lambda: replies.update(ask_once(tcp_kit.peers, b"hello", 10_000))
    )
    asker.start()
    with Echo(tcp_kit.peers["late"]):
        asker.join(DEADLINE_S)
    assert replies == {"late": b"hello"}


def test_a_subscriber_hears_many_publishers_and_a_silent_one_costs_its_timeout(
    tcp_kit: Kit,
) -> None:
    one, two = tcp_kit.node("one"), tcp_kit.node("two")
    with Subscriber(tcp_kit.publishers, b"heartbeat") as subscriber:
        heard: set[tuple[str, bytes]] = set()

        def hear() -> bool:
            one.publish(b"heartbeat", b"1")
            two.publish(b"heartbeat", b"2")
            two.publish(b"view", b"not this")
            record = subscriber.receive(10)
            if record is not None:
                heard.add((record.node, record.body))
            return len(heard) == 2

        eventually(hear)
        assert heard == {("one", b"1"), ("two", b"2")}
    with Subscriber({"one": tcp_kit.publishers["one"]}, b"heartbeat") as subscriber:
        assert subscriber.receive(20) is None

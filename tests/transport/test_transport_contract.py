"""What every transport must do, over memory, TCP, Unix sockets and inproc."""

from __future__ import annotations

import threading
import time

import pytest

from pbactors.errors import AddressUnavailable
from pbactors.transport.interface import Transport

from .conftest import DEADLINE_S, MESSAGE_BYTES_MAX, Kit, eventually


def test_a_request_arrives_and_its_reply_comes_back_under_the_peers_name(kit: Kit) -> None:
    server, client = kit.node("server"), kit.client()
    assert client.send("server", b"question")
    (request,) = kit.gather(server, 1)
    assert request.node == ""
    assert request.route
    assert request.body == b"question"
    assert server.reply(request.route, b"answer")
    assert kit.gather(client, 1) == [("server", b"", b"answer")]


def test_two_nodes_call_each_other(kit: Kit) -> None:
    first, second = kit.node("first"), kit.node("second")
    first.send("second", b"from first")
    second.send("first", b"from second")
    assert [r.body for r in kit.gather(first, 1)] == [b"from second"]
    assert [r.body for r in kit.gather(second, 1)] == [b"from first"]


def test_one_channel_keeps_the_order_and_loses_nothing_while_it_has_room(kit: Kit) -> None:
    server, client = kit.node("server"), kit.client()
    client.send("server", b"0")
    kit.gather(server, 1)
    bodies = [b"%d" % number for number in range(1, 200)]
    assert all(client.send("server", body) for body in bodies)
    assert [r.body for r in kit.gather(server, len(bodies))] == bodies


@pytest.mark.parametrize("body", [b"", b"\0", b"x" * MESSAGE_BYTES_MAX])
def test_bodies_of_every_size_are_carried(kit: Kit, body: bytes) -> None:
    server, client = kit.node("server"), kit.client()
    assert client.send("server", body)
    assert kit.gather(server, 1)[0].body == body


def test_a_body_over_the_limit_is_refused_and_counted(kit: Kit) -> None:
    server, client = kit.node("server"), kit.client()
    assert not client.send("server", b"x" * (MESSAGE_BYTES_MAX + 1))
    assert client.counters["dropped_too_large"] == 1
    assert client.send("server", b"small")
    assert kit.gather(server, 1)[0].body == b"small"


def test_bulk_and_requests_of_one_peer_are_two_channels(kit: Kit) -> None:
    server, client = kit.node("server"), kit.client()
    client.send("server", b"piece", bulk=True)
    client.send("server", b"ping")
    routes = {r.body: r.route for r in kit.gather(server, 2)}
    assert routes[b"piece"] != routes[b"ping"]
    server.reply(routes[b"piece"], b"piece received")
    assert kit.gather(client, 1) == [("server", b"", b"piece received")]


def test_clients_are_told_apart(kit: Kit) -> None:
    server, one, two = kit.node("server"), kit.client(), kit.client()
    one.send("server", b"one")
    two.send("server", b"two")
    for request in kit.gather(server, 2):
        server.reply(request.route, b"to " + request.body)
    assert kit.gather(one, 1)[0].body == b"to one"
    assert kit.gather(two, 1)[0].body == b"to two"


def test_a_busy_peer_does_not_silence_the_others(kit: Kit) -> None:
    server = kit.node("server")
    busy, quiet = kit.client(), kit.client()
    for client in (busy, quiet):
        client.send("server", b"hello")
    kit.gather(server, 2)
    taken: list[bytes] = []
    for _ in range(100):
        for _ in range(50):
            busy.send("server", b"noise")
        quiet.send("server", b"ping")
        kit.pump(server)
        taken += [r.body for r in server.receive(8)]
    # In the order of arrival one body in 51 would be a ping, 16 of them; dealt fairly, nearly all.
    assert taken.count(b"ping") > 50
    assert taken.count(b"noise") > 50


def test_receive_takes_at_most_what_was_asked_for(kit: Kit) -> None:
    server, client = kit.node("server"), kit.client()
    for _ in range(10):
        client.send("server", b"x")
    taken = 0
    until_s = time.monotonic() + DEADLINE_S
    while taken < 10:
        assert time.monotonic() < until_s
        kit.pump(server)
        some = server.receive(3)
        assert len(some) <= 3
        taken += len(some)
    assert server.receive(3) == []


def test_a_reply_to_one_who_is_gone_is_dropped_and_counted(kit: Kit) -> None:
    server, client = kit.node("server"), kit.client()
    client.send("server", b"x")
    route = kit.gather(server, 1)[0].route
    client.close()
    eventually(lambda: not server.reply(route, b"y"))
    assert server.counters["dropped_unroutable"] == 1
    assert not server.reply(b"never heard of", b"y")
    assert server.counters["dropped_unroutable"] == 2


def test_an_unknown_name_is_dropped_and_counted(kit: Kit) -> None:
    client = kit.client()
    assert not client.send("nobody", b"x")
    assert client.counters["dropped_unknown_node"] == 1


def test_sending_to_one_who_is_not_there_neither_blocks_nor_raises(kit: Kit) -> None:
    gone = kit.node("gone")
    gone.close()
    client = kit.client()
    began_s = time.monotonic()
    for _ in range(100):
        client.send("gone", b"x" * 1000)
    assert time.monotonic() - began_s < 1
    client.close()
    assert time.monotonic() - began_s < 1


def test_a_peer_that_comes_back_at_its_address_is_reached_again(kit: Kit) -> None:
    first_life, client = kit.node("node"), kit.client()
    client.send("node", b"one")
    kit.gather(first_life, 1)
    first_life.close()
    client.send("node", b"lost")
    second_life = kit.node("node", kit.peers["node"])
    until_s = time.monotonic() + DEADLINE_S
    found: list[bytes] = []
    while b"two" not in found:
        assert time.monotonic() < until_s
        client.send("node", b"two")
        client.wait(20)
        client.receive(10)
        found += [r.body for r in second_life.receive(100)]


def test_forget_drops_what_was_queued_and_the_next_send_connects(kit: Kit) -> None:
    if kit.kind == "memory":
        peer = kit.node("node")
    else:  # nothing listens yet, so the message waits for a connection
        kit.peers["node"] = kit.free_address().replace(":0", ":1")
    client = kit.client()
    client.send("node", b"of the old view")
    client.forget("node")
    if kit.kind != "memory":
        peer = kit.node("node")
    client.send("node", b"of the new view")
    assert [r.body for r in kit.gather(peer, 1)] == [b"of the new view"]
    assert kit.silent(peer)


def test_forgetting_a_stranger_does_nothing(kit: Kit) -> None:
    kit.client().forget("nobody")


def test_subscribers_get_their_topic_alone(kit: Kit) -> None:
    publisher, subscriber = kit.node("node"), kit.client()
    subscriber.subscribe("node", kit.publishers["node"], b"view")

    def heard() -> bool:
        publisher.publish(b"heartbeat", b"not this")
        publisher.publish(b"view", b"first")
        subscriber.wait(5)
        return bool(subscriber.receive(1))

    eventually(heard)
    publisher.publish(b"view", b"last")
    while (received := kit.gather(subscriber, 1)[-1]).body != b"last":
        assert received == ("node", b"", b"first")
    assert received.node == "node"


def test_publishing_to_nobody_is_fine(kit: Kit) -> None:
    kit.node("node").publish(b"view", b"x")
    kit.client().publish(b"view", b"x")


# -- watching ---------------------------------------------------------------------------------


def lost(kit: Kit, transport: Transport) -> list[str]:
    """Wait until a watched connection is lost, and return which."""
    until_s = time.monotonic() + DEADLINE_S
    while not (found := transport.lost()):
        assert time.monotonic() < until_s
        kit.pump(transport)
    return found


def connected(kit: Kit, transport: Transport, peer: Transport, name: str) -> None:
    """Wait until a body arrives, so that there is a connection that can be lost."""
    transport.send(name, b"are you there?")
    kit.gather(peer, 1)


def test_a_watched_peer_that_goes_is_told_once_and_again_when_it_goes_again(kit: Kit) -> None:
    watcher = kit.client()
    first_life = kit.node("node")
    watcher.watch("node")
    connected(kit, watcher, first_life, "node")
    assert watcher.lost() == []
    first_life.close()
    if kit.kind == "inproc":  # nobody is killed in one's own process
        assert kit.silent(watcher)
        assert watcher.lost() == []
        return
    assert lost(kit, watcher) == ["node"]
    assert kit.silent(watcher)
    assert watcher.lost() == []
    second_life = kit.node("node", kit.peers["node"])
    connected(kit, watcher, second_life, "node")
    second_life.close()
    assert lost(kit, watcher) == ["node"]


def test_a_peer_that_is_not_watched_is_not_told(kit: Kit) -> None:
    client, peer = kit.client(), kit.node("node")
    connected(kit, client, peer, "node")
    peer.close()
    assert kit.silent(client)
    assert client.lost() == []


def test_a_watched_peer_that_is_forgotten_is_no_loss_and_watched_on(kit: Kit) -> None:
    watcher, peer = kit.client(), kit.node("node")
    watcher.watch("node")
    connected(kit, watcher, peer, "node")
    watcher.forget("node")
    connected(kit, watcher, peer, "node")
    assert watcher.lost() == []
    peer.close()
    if kit.kind != "inproc":
        assert lost(kit, watcher) == ["node"]


def test_one_who_was_never_there_is_no_loss(kit: Kit) -> None:
    kit.peers["node"] = kit.free_address().replace(":0", ":1")
    watcher = kit.client()
    watcher.watch("node")
    watcher.watch("nobody")
    assert kit.silent(watcher)
    assert watcher.lost() == []


# -- waiting ----------------------------------------------------------------------------------


def test_wait_ends_when_time_is_over_and_not_much_before(kit: Kit) -> None:
    node = kit.node("node")
    began_s = time.monotonic()
    node.wait(30)
    assert 0.030 <= time.monotonic() - began_s < 5
    node.wait(0)
    assert time.monotonic() - began_s < 5


def test_wait_ends_at_once_when_time_was_over_before(kit: Kit) -> None:
    # libzmq waits for ever for a negative time; a tail that was to end never did.
    transport = kit.node("node")
    began_s = time.monotonic()
    for _ in range(3):
        transport.wait(-5)
    assert time.monotonic() - began_s < 5


def test_wait_ends_when_something_arrives(kit: Kit) -> None:
    server = kit.node("server")
    began = threading.Event()

    def call() -> None:
        client = kit.make(None, None)
        client.open()
        began.wait(DEADLINE_S)
        client.send("server", b"x")
        client.wait(DEADLINE_S * 1000)  # until the reply: the message must not die with us
        client.close()

    caller = threading.Thread(target=call)
    caller.start()
    began.set()
    (request,) = kit.gather(server, 1)
    server.reply(request.route, b"y")
    caller.join(DEADLINE_S)
    assert not caller.is_alive()


def test_a_wake_before_the_wait_is_not_lost_and_many_are_one(kit: Kit) -> None:
    node = kit.node("node")
    for _ in range(100_000 if kit.kind == "tcp" else 1000):
        node.wake()
    began_s = time.monotonic()
    assert node.wait(None)
    assert time.monotonic() - began_s < 5
    node.wait(30)
    assert time.monotonic() - began_s >= 0.030


def test_no_wake_from_another_thread_is_lost(kit: Kit) -> None:
    node = kit.node("node")
    asked, done = threading.Semaphore(0), 2000

    def wake() -> None:
        for _ in range(done):
            asked.acquire()
            node.wake()

    waker = threading.Thread(target=wake)
    waker.start()
    until_s = time.monotonic() + 60
    for _ in range(done):
        asked.release()
        node.wait(60_000)
        assert time.monotonic() < until_s
    waker.join(DEADLINE_S)


# -- life -------------------------------------------------------------------------------------


def test_making_one_opens_nothing_and_using_it_then_is_a_mistake(kit: Kit) -> None:
    made = kit.make(kit.free_address(), kit.free_address())
    assert not made.is_open
    assert made.bound_address is None
    made.wake()
    with pytest.raises(RuntimeError, match="before it was opened"):
        made.receive(1)
    made.close()
    with pytest.raises(RuntimeError, match="cannot be opened"):
        made.open()


def test_only_the_owner_may_use_it(kit: Kit) -> None:
    node = kit.node("node")
    failures: list[str] = []

    def misuse() -> None:
        for use in (
            lambda: node.send("node", b""),
            lambda: node.reply(b"", b""),
            lambda: node.publish(b"", b""),
            lambda: node.forget("node"),
            lambda: node.receive(1),
            lambda: node.wait(0),
            node.close,
        ):
            with pytest.raises(RuntimeError, match="only by the thread"):
                use()
            failures.append("refused")
        node.wake()

    stranger = threading.Thread(target=misuse)
    stranger.start()
    stranger.join(DEADLINE_S)
    assert len(failures) == 7
    assert node.is_open


def test_after_close_everything_is_harmless(kit: Kit) -> None:
    node = kit.node("node")
    node.send("node", b"x")
    node.close()
    node.close()
    assert not node.is_open
    assert not node.send("node", b"x")
    assert not node.reply(b"x", b"y")
    node.publish(b"x", b"y")
    node.forget("node")
    node.watch("node")
    assert node.lost() == []
    node.wake()
    assert not node.wait(None)
    assert node.receive(10) == []


def test_a_taken_address_is_refused_in_words_and_leaves_nothing_open(kit: Kit) -> None:
    owner = kit.node("owner")
    taken = kit.peers["owner"]
    publisher = kit.free_address()
    second = kit.make(taken, publisher)
    with pytest.raises(AddressUnavailable) as refusal:
        second.open()
    assert taken in str(refusal.value)
    assert "'address' or 'bind'" in str(refusal.value)
    assert "another process" in str(refusal.value)
    third = kit.make(publisher, taken)
    with pytest.raises(AddressUnavailable, match="'heartbeat' or 'bind_heartbeat'"):
        third.open()
    # Of the refused ones nothing is left, the owner still serves, and a second try may succeed.
    kit.open(kit.make(publisher, None))
    client = kit.client()
    client.send("owner", b"still there?")
    assert kit.gather(owner, 1)[0].body == b"still there?"
    owner.close()
    assert second.bound_address is None
    kit.open(kit.make(taken, None))


def test_close_frees_the_address_at_once(kit: Kit) -> None:
    address = None
    for _ in range(10):
        node = kit.node("node", address)
        node.send("node", b"to itself")
        address = kit.peers["node"]
        began_s = time.monotonic()
        node.close()
        assert time.monotonic() - began_s < 1

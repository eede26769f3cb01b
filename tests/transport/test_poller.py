"""Sockets behind one descriptor: nothing that arrives may stay unseen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeAlias

import pytest
import zmq

from pbactors.transport.zeromq_poller import Poller

DEADLINE_S = 20.0
POLLIN = int(zmq.POLLIN)

Pair: TypeAlias = tuple[zmq.Socket[bytes], zmq.Socket[bytes]]
"""A socket that speaks and one that hears it."""


@pytest.fixture
def pair() -> Iterator[Pair]:
    with zmq.Context() as context:
        speaker, hearer = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        port = hearer.bind_to_random_port("tcp://127.0.0.1")
        speaker.connect(f"tcp://127.0.0.1:{port}")
        yield speaker, hearer
        speaker.close(linger=0)
        hearer.close(linger=0)


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


def wait_until_arrived(socket: zmq.Socket[bytes]) -> None:
    """Look at the socket itself, which swallows what its descriptor said."""
    until_s = time.monotonic() + DEADLINE_S
    while not socket.get(zmq.EVENTS) & zmq.POLLIN:
        assert time.monotonic() < until_s


def found_within_deadline(poller: Poller, socket: zmq.Socket[bytes]) -> bool:
    """Poll until the socket is found: its descriptor also speaks of what is no message."""
    until_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < until_s:
        if any(who is socket for who, _ in poller.poll(1000)):
            return True
    return False


def test_a_quiet_socket_is_found_each_time_it_has_something(pair: Pair, poller: Poller) -> None:
    speaker, hearer = pair
    poller.watch([], [(hearer, POLLIN)])
    for number in range(200):
        while poller.poll(0):
            pass  # until it looks at the descriptor alone
        speaker.send(b"%d" % number)
        assert found_within_deadline(poller, hearer)
        assert hearer.recv(zmq.NOBLOCK) == b"%d" % number


def test_what_the_descriptor_no_longer_says_is_found_after_a_use(
    pair: Pair, poller: Poller
) -> None:
    speaker, hearer = pair
    poller.watch([], [(hearer, POLLIN)])
    assert not poller.poll(0)
    speaker.send(b"x")
    wait_until_arrived(hearer)
    poller.used()
    assert [who for who, _ in poller.poll(0)] == [hearer]


def test_what_was_left_unread_is_found_again(pair: Pair, poller: Poller) -> None:
    speaker, hearer = pair
    poller.watch([], [(hearer, POLLIN)])
    for _ in range(3):
        speaker.send(b"x")
    for _ in range(3):
        assert found_within_deadline(poller, hearer)
        hearer.recv(zmq.NOBLOCK)


def test_busy_sockets_come_first(pair: Pair, poller: Poller) -> None:
    speaker, hearer = pair
    poller.watch([(speaker, int(zmq.POLLOUT))], [(hearer, POLLIN)])
    speaker.send(b"x")
    wait_until_arrived(hearer)
    poller.used()
    assert [who for who, _ in poller.poll(0)] == [speaker, hearer]

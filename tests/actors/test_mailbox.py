"""The mailbox alone with a clock of its own, and under real pykka actors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope

from pbactors.actors.mailbox import BATCH_MAX, Batch, Mailbox
from pbactors.transport.interface import Received, Transport
from pbactors.transport.memory import MemoryNetwork, MemoryTransport
from pbactors.transport.zeromq import ZeroMQTransport
from tests.processes import wait_until

DEADLINE_S = 10.0
PEERS = {"node": "node"}


class Clock:
    """Seconds that pass when a test, or a wait, says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, milliseconds: float) -> None:
        self.now_s += milliseconds / 1000


class Scripted(MemoryTransport):
    """A transport whose waits pass virtual time, and which fails or calls back on demand."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(MemoryNetwork(), "node", None, PEERS, 1024)
        self.clock = clock
        self.waits_ms: list[float | None] = []
        self.on_wait: Callable[[], object] | None = None
        self.on_receive: Callable[[], object] | None = None

    def wait(self, timeout_ms: float | None) -> bool:
        if not self.is_open:
            return super().wait(timeout_ms)
        if timeout_ms == 0:
            return True
        self.waits_ms.append(timeout_ms)
        if self.on_wait is not None:
            self.on_wait()
        else:
            assert timeout_ms is not None, "would sleep for ever"
            self.clock.advance(timeout_ms)
        return True

    def receive(self, most: int) -> list[Received]:
        if self.on_receive is not None:
            self.on_receive()
        return super().receive(most)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def transport(clock: Clock) -> Iterator[Scripted]:
    made = Scripted(clock)
    made.open()
    yield made
    made.close()


@pytest.fixture
def mailbox(clock: Clock, transport: Scripted) -> Mailbox:
    made = Mailbox(clock)
    made.attach(transport)
    return made


def batch(mailbox: Mailbox) -> Batch:
    message = mailbox.get().message
    assert isinstance(message, Batch)
    return message


def ask(message: object) -> Envelope[Any]:
    return Envelope(message, reply_to=pykka.ThreadingFuture())


# -- envelopes --------------------------------------------------------------------------------


def test_one_wake_up_is_enough_for_a_burst(
    mailbox: Mailbox, transport: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wake-up is a system call; the owner who wakes takes all that was put."""
    woken = []
    monkeypatch.setattr(transport, "wake", lambda: woken.append("woken"))

    def burst() -> None:
        for number in range(5):
            mailbox.put(Envelope(number))

    transport.on_wait = burst
    for _ in range(2):
        assert batch(mailbox) == Batch(told=[0, 1, 2, 3, 4])
    assert woken == ["woken", "woken"]


def test_who_is_interrupted_while_it_wakes_the_owner_leaves_that_to_the_next(
    mailbox: Mailbox, transport: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = []

    def wake() -> None:
        woken.append("woken")
        if len(woken) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(transport, "wake", wake)

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            mailbox.put(Envelope(1))
        mailbox.put(Envelope(2))

    transport.on_wait = interrupted
    assert batch(mailbox) == Batch(told=[1, 2])
    assert len(woken) == 2


def test_told_messages_come_together_in_order(mailbox: Mailbox) -> None:
    for number in range(5):
        mailbox.put(Envelope(number))
    assert not mailbox.empty()
    assert batch(mailbox) == Batch(told=[0, 1, 2, 3, 4])
    assert mailbox.empty()


def test_asks_come_alone_and_keep_their_place_among_tells(mailbox: Mailbox) -> None:
    first, second = ask("first"), ask("second")
    for envelope in (Envelope(1), first, Envelope(2), Envelope(3), second, Envelope(4)):
        mailbox.put(envelope)
    assert batch(mailbox).told == [1]
    assert mailbox.get() is first
    assert batch(mailbox).told == [2, 3]
    assert mailbox.get() is second
    assert batch(mailbox).told == [4]


@pytest.mark.parametrize(
    "message",
    [
        pykka.messages._ActorStop(),
        pykka.messages.ProxyCall(("f",), (), {}),
        pykka.messages.ProxyGetAttr(("f",)),
        pykka.messages.ProxySetAttr(("f",), 1),
    ],
)
def test_what_pykka_handles_itself_comes_alone_also_when_told(
    mailbox: Mailbox, message: object
) -> None:
    envelope = Envelope(message)
    mailbox.put(envelope)
    assert mailbox.get() is envelope


def test_a_lost_connection_comes_with_what_was_received_before(
    mailbox: Mailbox, transport: Scripted
) -> None:
    peer = MemoryTransport(transport._network, "peer", None, PEERS, 1024)
    transport._peers = {"peer": "peer"}
    transport.on_wait = lambda: None
    transport.watch("peer")
    peer.open()
    peer.send("node", b"last words")
    peer.close()
    found = batch(mailbox)
    assert [received.body for received in found.received] == [b"last words"]
    assert found.lost == ["peer"]


def test_a_batch_of_tells_is_bounded(mailbox: Mailbox) -> None:
    for number in range(BATCH_MAX + 1):
        mailbox.put(Envelope(number))
    assert len(batch(mailbox).told) == BATCH_MAX
    assert batch(mailbox).told == [BATCH_MAX]


def test_without_a_transport_envelopes_and_timers_are_served() -> None:
    mailbox = Mailbox()
    mailbox.put(Envelope("told"))
    assert batch(mailbox).told == ["told"]
    mailbox.set_timer("timer", 5)
    assert batch(mailbox).due == ["timer"]
    waker = threading.Timer(0.02, mailbox.put, [Envelope("later")])
    waker.start()
    assert batch(mailbox).told == ["later"]
    waker.join()


def test_what_was_put_before_attach_is_served_after_it(clock: Clock, transport: Scripted) -> None:
    mailbox = Mailbox(clock)
    mailbox.put(Envelope("early"))
    mailbox.set_timer("timer", 10)
    mailbox.attach(transport)
    transport.send("node", b"x")
    found = batch(mailbox)
    assert found.told == ["early"]
    assert [received.body for received in found.received] == [b"x"]
    assert batch(mailbox).due == ["timer"]


# -- timers -----------------------------------------------------------------------------------


def test_timers_come_in_the_order_of_their_deadlines(
    mailbox: Mailbox, clock: Clock, transport: Scripted
) -> None:
    for timer, delay_ms in (("c", 30), ("a", 10), ("b", 20)):
        mailbox.set_timer(timer, delay_ms)
    clock.advance(25)
    found = batch(mailbox)
    assert found.due == ["a", "b"]
    assert found.late_ms == pytest.approx(15)
    found = batch(mailbox)
    assert found.due == ["c"]
    assert found.late_ms == pytest.approx(0, abs=0.01)
    assert transport.waits_ms == [pytest.approx(5)]


def test_a_late_timer_comes_once(mailbox: Mailbox, clock: Clock) -> None:
    mailbox.set_timer("ping", 25)
    mailbox.set_timer("other", 100_000)
    clock.advance(60_000)
    found = batch(mailbox)
    assert found.due == ["ping"]
    assert found.late_ms == pytest.approx(59_975)
    assert batch(mailbox).due == ["other"]


def test_setting_a_timer_replaces_it_and_cancelling_forgets_it(
    mailbox: Mailbox, clock: Clock
) -> None:
    mailbox.set_timer("ping", 10)
    mailbox.set_timer("ping", 50)
    mailbox.set_timer("gone", 20)
    mailbox.cancel_timer("gone")
    mailbox.cancel_timer("never set")
    assert batch(mailbox).due == ["ping"]
    assert clock.now_s == pytest.approx(1000.050)


def test_a_timer_may_be_due_at_once(mailbox: Mailbox, transport: Scripted) -> None:
    mailbox.set_timer("now", 0)
    assert batch(mailbox).due == ["now"]
    assert transport.waits_ms == []


def test_what_arrived_while_the_process_slept_comes_with_the_timers_due(
    mailbox: Mailbox, clock: Clock, transport: Scripted
) -> None:
    mailbox.set_timer("check", 25)

    def sleep_long() -> None:
        transport.send("node", b"ping, queued meanwhile")
        clock.advance(5000)

    transport.on_wait = sleep_long
    found = batch(mailbox)
    assert [received.body for received in found.received] == [b"ping, queued meanwhile"]
    assert found.due == ["check"]
    assert found.late_ms == pytest.approx(4975)


def test_what_arrives_after_the_timers_were_decided_still_comes_with_them(
    mailbox: Mailbox, clock: Clock, transport: Scripted
) -> None:
    mailbox.set_timer("check", 25)
    clock.advance(25)
    transport.on_receive = lambda: transport.send("node", b"in the last moment")
    found = batch(mailbox)
    assert found.due == ["check"]
    assert [received.body for received in found.received] == [b"in the last moment"]


def test_an_early_return_of_wait_is_no_timer(
    mailbox: Mailbox, clock: Clock, transport: Scripted
) -> None:
    mailbox.set_timer("check", 250)
    transport.on_wait = lambda: clock.advance(62.5)
    assert batch(mailbox).due == ["check"]
    assert transport.waits_ms == [250, 187.5, 125, 62.5]


# -- nobody starves ---------------------------------------------------------------------------


def test_a_stop_and_a_timer_are_seen_within_one_batch_under_a_flood(
    mailbox: Mailbox, clock: Clock, transport: Scripted
) -> None:
    transport.on_wait = lambda: None
    transport.on_receive = lambda: [transport.send("node", b"x") for _ in range(1500)]
    assert len(batch(mailbox).received) == 1000
    mailbox.set_timer("timer", 5)
    clock.advance(5)
    stop = Envelope(pykka.messages._ActorStop())
    mailbox.put(stop)
    assert mailbox.get() is stop
    assert batch(mailbox).due == ["timer"]


def test_many_asks_do_not_starve_sockets_and_timers(
    mailbox: Mailbox, clock: Clock, transport: Scripted
) -> None:
    asks = [ask(number) for number in range(10)]
    for envelope in asks:
        mailbox.put(envelope)
    mailbox.set_timer("timer", 5)
    clock.advance(5)
    assert batch(mailbox).due == ["timer"]
    assert mailbox.get() is asks[0]
    transport.send("node", b"x")
    assert len(batch(mailbox).received) == 1
    assert [mailbox.get() for _ in range(9)] == asks[1:]


# -- get never raises -------------------------------------------------------------------------


def broken() -> None:
    raise OSError("the transport is broken")


def test_a_failing_receive_is_delivered_with_all_else(
    mailbox: Mailbox, transport: Scripted
) -> None:
    transport.on_receive = broken
    mailbox.set_timer("timer", 0)
    mailbox.put(Envelope("told"))
    found = batch(mailbox)
    assert isinstance(found.failure, OSError)
    assert found.due == ["timer"]
    assert found.told == ["told"]


def test_a_failing_wait_is_delivered(mailbox: Mailbox, transport: Scripted) -> None:
    transport.on_wait = broken
    assert isinstance(batch(mailbox).failure, OSError)
    stop = Envelope(pykka.messages._ActorStop())
    mailbox.put(stop)
    assert mailbox.get() is stop


def test_a_failing_transport_does_not_hide_a_stop(mailbox: Mailbox, transport: Scripted) -> None:
    transport.on_receive = broken
    stop = Envelope(pykka.messages._ActorStop())
    mailbox.put(stop)
    assert isinstance(batch(mailbox).failure, OSError)
    assert mailbox.get() is stop


def test_after_its_transport_closed_it_still_serves_envelopes(
    mailbox: Mailbox, transport: Scripted
) -> None:
    transport.close()
    waker = threading.Timer(0.02, mailbox.put, [Envelope("later")])
    waker.start()
    assert batch(mailbox).told == ["later"]
    waker.join()
    assert transport.waits_ms == []


# -- under pykka ------------------------------------------------------------------------------


class Recorder(pykka.ThreadingActor):
    """Keeps what its mailbox hands it; opens a transport on its own thread."""

    def __init__(self, transport: Transport | None) -> None:
        super().__init__()
        self.transport = transport
        self.mailbox: Mailbox = self.actor_inbox  # type: ignore[assignment]
        self.told: list[Any] = []
        self.due: list[Hashable] = []
        self.received: list[bytes] = []

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    def on_start(self) -> None:
        if self.transport is not None:
            self.transport.open()
            self.mailbox.attach(self.transport)

    def on_stop(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def on_receive(self, message: Any) -> Any:
        if not isinstance(message, Batch):
            return ("answer to", message)
        assert message.failure is None
        self.told += message.told
        self.due += message.due
        for received in message.received:
            self.received.append(received.body)
            if self.transport is not None:
                self.transport.reply(received.route, received.body)
        return None

    def count_told(self) -> int:
        return len(self.told)

    def fail(self) -> None:
        raise ZeroDivisionError

    def hold(self, entered: threading.Event, leave: threading.Event) -> None:
        entered.set()
        assert leave.wait(DEADLINE_S)

    def arm(self, timers: dict[str, float]) -> None:
        for timer, delay_ms in timers.items():
            self.mailbox.set_timer(timer, delay_ms)


def make_transport(kind: str) -> Transport | None:
    if kind == "zeromq":
        return ZeroMQTransport("tcp://127.0.0.1:0", None, {}, 1024 * 1024)
    if kind == "memory":
        return MemoryTransport(MemoryNetwork(), "node", None, PEERS, 1024)
    return None


@pytest.fixture(params=["zeromq", "memory", "none"])
def actor(request: pytest.FixtureRequest) -> Iterator[pykka.ActorRef[Recorder]]:
    ref = Recorder.start(make_transport(request.param))
    yield ref
    if ref.is_alive():
        ref.stop(timeout=DEADLINE_S)
    wait_until(lambda: not any(t.name.startswith("Recorder") for t in threading.enumerate()))


@contextmanager
def connected_client(actor: pykka.ActorRef[Recorder]) -> Iterator[Transport]:
    """A client of the actor's transport, on the calling thread, with its connection made."""
    address = actor.proxy().transport.get(timeout=DEADLINE_S).bound_address
    client = ZeroMQTransport(None, None, {"node": address}, 1024)
    client.open()
    try:
        client.send("node", b"0")
        assert receive_one(client) == b"0"
        yield client
    finally:
        client.close()


def receive_one(client: Transport) -> bytes:
    received: list[Received] = []
    until_s = time.monotonic() + DEADLINE_S
    while not received and time.monotonic() < until_s:  # a wait may end early for nothing
        client.wait(DEADLINE_S * 1000)
        received = client.receive(1)
    return received[0].body


def test_tell_ask_proxy_and_stop_work_from_other_threads(actor: pykka.ActorRef[Recorder]) -> None:
    actor.tell("one")
    assert actor.ask("two", timeout=DEADLINE_S) == ("answer to", "two")
    proxy = actor.proxy()
    assert proxy.count_told().get(timeout=DEADLINE_S) == 1
    assert proxy.told.get(timeout=DEADLINE_S) == ["one"]
    proxy.told = []
    assert proxy.count_told().get(timeout=DEADLINE_S) == 0
    with pytest.raises(ZeroDivisionError):
        proxy.fail().get(timeout=DEADLINE_S)
    assert actor.stop(timeout=DEADLINE_S)
    with pytest.raises(pykka.ActorDeadError):
        actor.tell("too late")


def test_ten_thousand_tells_from_four_threads_all_arrive_in_each_threads_order(
    actor: pykka.ActorRef[Recorder],
) -> None:
    def tell(who: int) -> None:
        for number in range(2500):
            actor.tell((who, number))

    threads = [threading.Thread(target=tell, args=[who]) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    told = actor.proxy().told.get(timeout=DEADLINE_S)
    assert len(told) == 10_000
    for who in range(4):
        assert [number for teller, number in told if teller == who] == list(range(2500))


def test_no_wake_up_is_lost(actor: pykka.ActorRef[Recorder]) -> None:
    # One outstanding call: the actor falls asleep before each, so every put races a sleep.
    for number in range(3000):
        assert actor.ask(number, timeout=DEADLINE_S) == ("answer to", number)


def test_asks_queued_behind_a_stop_are_refused(actor: pykka.ActorRef[Recorder]) -> None:
    entered, leave = threading.Event(), threading.Event()
    told = actor.proxy().told.get(timeout=DEADLINE_S)
    held = actor.proxy().hold(entered, leave)
    assert entered.wait(DEADLINE_S)
    actor.tell("before the stop")
    stopped = actor.stop(block=False)
    actor.tell("behind the stop")
    refused = actor.ask("behind the stop", block=False)
    leave.set()
    held.get(timeout=DEADLINE_S)
    assert stopped.get(timeout=DEADLINE_S)
    with pytest.raises(pykka.ActorDeadError):
        refused.get(timeout=DEADLINE_S)
    assert told == ["before the stop"]


@pytest.mark.parametrize("actor", ["zeromq"], indirect=True)
def test_an_actor_answers_over_its_sockets_while_it_serves_callers(
    actor: pykka.ActorRef[Recorder],
) -> None:
    with connected_client(actor) as client:
        for number in range(1, 200):
            client.send("node", b"%d" % number)
            if number % 20 == 0:
                assert actor.ask(number, timeout=DEADLINE_S) == ("answer to", number)
        answers: list[bytes] = []
        until_s = time.monotonic() + DEADLINE_S
        while len(answers) < 199:
            assert time.monotonic() < until_s
            client.wait(1000)
            answers += [received.body for received in client.receive(1000)]
    assert answers == [b"%d" % number for number in range(1, 200)]


@pytest.mark.parametrize("actor", ["zeromq"], indirect=True)
def test_a_stop_and_a_timer_are_prompt_under_a_flood(actor: pykka.ActorRef[Recorder]) -> None:
    flooding = True

    def flood() -> None:
        with connected_client(actor) as client:
            while flooding:
                client.send("node", b"x")
                client.wait(0)
                client.receive(1000)

    flooder = threading.Thread(target=flood)
    flooder.start()
    try:
        proxy = actor.proxy()
        wait_until(lambda: len(proxy.received.get(timeout=DEADLINE_S)) > 1000)
        proxy.arm({"timer": 20}).get(timeout=DEADLINE_S)
        wait_until(lambda: proxy.due.get(timeout=DEADLINE_S) == ["timer"])
        began_s = time.monotonic()
        assert actor.stop(timeout=DEADLINE_S)
        assert time.monotonic() - began_s < 2
    finally:
        flooding = False
        flooder.join(DEADLINE_S)
    assert not flooder.is_alive()


def test_timers_fire_in_order_and_once(actor: pykka.ActorRef[Recorder]) -> None:
    proxy = actor.proxy()
    proxy.arm({"c": 30, "a": 10, "b": 20}).get(timeout=DEADLINE_S)
    wait_until(lambda: len(proxy.due.get(timeout=DEADLINE_S)) >= 3)
    assert proxy.due.get(timeout=DEADLINE_S) == ["a", "b", "c"]

"""The primary's side of a filling: R33, R45, and what an answer needs (``min_copies``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pbactors.config import Limits
from pbactors.protocol.core import Timer
from pbactors.protocol.events import Diverged
from pbactors.protocol.invariants import recoverable
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    Piece,
    PieceReceived,
    Ping,
    Reply,
    Report,
    Request,
)

from .network import VIEW, Network, Packet

Hold = Callable[[Packet], bool]
SMALL = Limits(snapshot_piece_bytes_max=100, pieces_in_flight_max=2)


def filling(limits: Limits = SMALL, min_copies: int = 1) -> Network:
    """Return a network in which a fills b, in view 2, and its first pieces are in flight."""
    network = Network(limits=limits, min_copies=min_copies)
    if min_copies == 1:
        network.form("a")
    else:  # nothing is answered before there are two copies
        network.form("a", "c")
    network.start_client("x")
    network.settle()
    for number in range(8):
        network.do("x", "put", f"key {number}", "v" * 20)
    if min_copies == 2:
        network.stop("c")
        network.checks(2, "a")
        network.ping("a")
    network.start("b")
    network.fire("a", Timer.PING)
    network.settle(hold=holds(Piece))
    return network


def holds(*kinds: type) -> Hold:
    """Return a predicate for ``settle`` that holds packets of these kinds."""
    return lambda packet: isinstance(packet.message, kinds)


def pinged(network: Network, name: str) -> int:
    """Return the number that a replica pings."""
    network.fire(name, Timer.PING)
    packet = network.waiting(Ping, name)[-1]
    assert isinstance(packet.message, Ping)
    network.in_flight.remove(packet)
    return packet.message.number


def newest_ping(network: Network, name: str) -> Ping:
    """Let a replica ping, and return what it says."""
    network.fire(name, Timer.PING)
    message = network.waiting(Ping, name)[-1].message
    assert isinstance(message, Ping)
    network.drop(Ping, name)
    return message


def call_held(network: Network, *kinds: type) -> int:
    """Append to a key, with these kinds of messages held; return the call."""
    call = network.call("x", "append", "key 0", "!")
    network.settle(hold=holds(*kinds))
    return call


def test_R33_while_the_state_travels_the_primary_answers_alone() -> None:
    """“A primary may answer alone in view i only while it has never put a ping numbered i into its
    outbox”: it does, and says that there is one copy; its pings go on with the former number.
    """
    network = filling()
    call = call_held(network, Piece)
    assert network.result(call) == "v" * 20 + "!"
    assert network.copies[call] == 1
    assert "serving alone" in network.replicas["a"].status().state
    assert pinged(network, "a") == 1
    query = network.call("x", "get", "key 0")
    network.settle(hold=holds(Piece))
    assert network.result(query) == "v" * 20 + "!"


def test_R33_the_log_follows_the_state() -> None:
    """What was answered alone is on the backup before the view is acknowledged."""
    network = filling()
    calls = [call_held(network, Piece) for _ in range(3)]
    network.settle()
    network.ping("a")
    assert network.view_service.acked
    assert [network.result(call) for call in calls][-1] == "v" * 20 + "!!!"
    assert network.replicas["a"].state.freeze() == network.replicas["b"].state.freeze()
    network.stop("a")
    network.checks(2, "b")
    network.ping("b")
    read = network.call("x", "get", "key 0")
    network.insist("x")
    assert network.result(read) == "v" * 20 + "!!!"


def test_R33_first_it_stops_answering_alone_then_it_waits_for_everything_executed() -> None:
    """“To finish, it first stops answering alone; then waits until the backup has confirmed every
    command it has executed, answered or not; then pings i.”
    """
    network = filling()
    alone = call_held(network, Piece)
    assert alone in network.outcomes
    network.settle(hold=holds(Forward))  # the state is installed; the log is under way
    assert network.waiting(Forward)
    late = call_held(network, Forward)
    assert late not in network.outcomes
    assert pinged(network, "a") == 1
    network.settle(hold=holds(Confirm))
    assert late not in network.outcomes
    assert pinged(network, "a") == 1
    network.settle()
    assert network.result(late) == "v" * 20 + "!!"
    assert network.copies[late] == 2
    assert pinged(network, "a") == 2


def test_R33_an_answer_says_how_many_copies_it_waited_for() -> None:
    """What is executed alone has one copy, also where the primary stops answering alone in that
    very flush: the simulator found an answer that said two.
    """
    network = filling()
    call_held(network, Piece)  # in the log
    network.settle(hold=holds(Confirm))
    call = network.call("x", "append", "key 0", "?")
    packets = (*network.waiting(Confirm), *network.waiting(Request))
    assert [type(packet.message) for packet in packets] == [Confirm, Request]
    for packet in packets:
        network.in_flight.remove(packet)
    network.act("a", *(network.step_of(packet) for packet in packets))
    assert network.replicas["a"].status().state == "filling backup"  # not alone any more
    network.settle()
    assert network.copies[call] == 1


def test_R33_after_its_ping_it_never_answers_alone_in_that_view() -> None:
    """“after it never in view i, whatever becomes of the backup or of the ping”."""
    network = filling()
    network.settle(hold=holds(Ping))
    assert [packet.message.number for packet in network.waiting(Ping, "a")][-1:] == [2]
    network.drop(Ping)
    network.stop("b")
    call = call_held(network)
    for _ in range(5):
        network.resend("a")
        network.insist("x")
    assert call not in network.outcomes


def test_R33_with_two_copies_wanted_nothing_is_answered_alone() -> None:
    """“With min_copies = 2 it does not answer alone at all”, queries neither."""
    network = filling(min_copies=2)
    call = call_held(network, Piece)
    query = network.call("x", "get", "key 0")
    network.settle(hold=holds(Piece))
    assert not {call, query} & network.outcomes.keys()
    network.settle()
    assert network.result(call) == "v" * 20 + "!"
    assert network.copies[call] == 2
    network.insist("x")
    assert network.result(query) == "v" * 20 + "!"


def test_R33_with_two_copies_wanted_a_view_without_backup_waits() -> None:
    """A lone primary acknowledges its view, executes nothing, and says what it waits for."""
    network = filling(min_copies=2)
    network.settle()
    network.stop("b")
    network.checks(2, "a")
    network.ping("a")
    assert network.view[:2] == ("a", None)
    call = call_held(network)
    query = network.call("x", "get", "key 0")
    network.insist("x")
    assert not {call, query} & network.outcomes.keys()
    assert "min_copies" in network.replicas["a"].status().state
    network.start("c")
    network.ping("c", "a")
    network.ping("a")
    network.insist("x")
    assert network.result(call) == "v" * 20 + "!"
    assert network.copies[call] == 2


def test_R33_with_two_copies_wanted_a_known_result_waits_for_the_second() -> None:
    """“With min_copies = 2 it does not answer alone at all”, also what it had executed as backup:
    that is on one copy now. The simulator found an answer that said two (seed 7735).
    """
    network = Network(limits=SMALL, min_copies=2)
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    call = call_held(network, Reply)
    network.drop(Reply)
    network.stop("a")
    network.checks(2, "b")
    network.ping("b")
    network.insist("x")
    assert network.view[:2] == ("b", None)
    assert network.replicas["b"].status().copies == 0
    assert call not in network.outcomes
    network.start("c")
    network.ping("c", "b")
    network.ping("b")
    network.insist("x")
    assert network.result(call) == "!"
    assert network.copies[call] == 2


def test_R33_what_was_answered_alone_stops_with_its_primary() -> None:
    """“the primary dies before its backup is filled (what it answered alone stops with it)”: nobody
    is promoted.
    """
    network = filling()
    assert call_held(network, Piece) in network.outcomes
    network.drop(Piece)
    network.stop("a")
    network.checks(4, "b")
    assert network.view == ("a", "b", 2)
    assert not recoverable(network)


def test_R35_another_backup_is_filled_from_the_state_as_it_is_then() -> None:
    """A backup that dies while it is filled is replaced; its log goes with it."""
    network = filling()
    first = call_held(network, Piece)
    network.stop("b")
    network.drop(Piece)
    network.start("c")
    network.checks(2, "a", "c")
    network.ping("a")
    assert network.view == ("a", "c", 3)
    assert network.result(first) == "v" * 20 + "!"
    assert network.do("x", "append", "key 0", "?") == "v" * 20 + "!?"
    network.settle()
    assert network.replicas["a"].state.freeze() == network.replicas["c"].state.freeze()


def test_R51_what_was_pending_keeps_its_place_and_stamp_when_it_is_executed_alone() -> None:
    """“(view, op number) names one command and one stamp for ever”, and “a primary that stays
    primary in i+1 keeps its pending commands with their op numbers and stamps”.
    """
    network = Network()
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    network.do("x", "put", "k", "0")
    call = network.call("x", "append", "k", "1")
    network.deliver_next(Request)
    forward = network.waiting(Forward)[0].message
    assert isinstance(forward, Forward)
    network.drop(Forward)
    network.stop("b")
    network.start("c")
    network.checks(2, "a", "c")
    network.fire("a", Timer.PING)
    network.settle(hold=holds(Piece))
    assert network.result(call) == "01"
    state = network.replicas["a"].state
    assert (state.op, state.stamp) == (forward.first, forward.stamp)


def test_the_log_of_a_filling_is_bounded() -> None:
    """At the bound nothing more is answered alone; once the state is installed everything is."""
    network = filling(replace(SMALL, catch_up_bytes_max=1))
    first = call_held(network, Piece)
    second = call_held(network, Piece)
    assert first in network.outcomes
    assert second not in network.outcomes
    network.settle()
    assert network.result(second) == "v" * 20 + "!!"


# -- R50 --------------------------------------------------------------------------------------


def lie(network: Network) -> None:
    """Deliver the oldest confirmation as if the backup had come to other results."""
    packet = network.waiting(Confirm)[0]
    network.in_flight.remove(packet)
    assert isinstance(packet.message, Confirm)
    network.hand("b", "a", replace(packet.message, digest=packet.message.digest ^ 1))


def diverged(network: Network) -> list[Diverged]:
    """Return what the primary says of divergence."""
    return [event for event in network.nodes["a"].events if isinstance(event, Diverged)]


def test_R50_from_the_first_mismatch_on_nothing_is_answered_until_a_later_view() -> None:
    """“The primary compares the backup's chained digest of results before answering. From the
    first mismatch on it answers nothing until a later view, and reports the backup as diverged”.
    """
    network = Network()
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    call = call_held(network, Confirm)
    network.cut.add(("a", VIEW))  # so that no other view follows at once
    lie(network)
    assert not network.waiting(Reply)
    assert [event.node for event in diverged(network)] == ["b"]
    for _ in range(3):
        network.insist("x")
        network.resend("a")
    assert call not in network.outcomes
    ping = newest_ping(network, "a")
    assert ping.report == Report.DIVERGED
    assert ping.about == network.replicas["b"].member.incarnation
    network.cut.clear()
    network.ping("a")
    assert network.view == ("a", None, 3)
    network.insist("x")
    assert network.result(call) == "!"
    assert newest_ping(network, "a").report == Report.NONE


def test_R50_a_backup_that_catches_up_with_other_results_is_never_joined() -> None:
    """What was answered alone stands; the view is not acknowledged with a copy that differs."""
    network = filling()
    call_held(network, Piece)
    network.settle(hold=holds(Confirm))
    network.cut.add(("a", VIEW))
    lie(network)
    network.settle()
    assert diverged(network)
    assert pinged(network, "a") == 1
    assert newest_ping(network, "a").report == Report.DIVERGED


# -- R43 --------------------------------------------------------------------------------------


def test_R43_a_backup_that_does_not_answer_is_reported_until_it_does() -> None:
    """Only while something was sent to it that it has not confirmed."""
    network = Network()
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    for _ in range(4):
        network.resend("a")
    assert newest_ping(network, "a").report == Report.NONE
    network.cut.add(("b", "a"))
    call = call_held(network)
    for _ in range(2):
        network.resend("a")
    ping = newest_ping(network, "a")
    assert ping.report == Report.UNREACHABLE
    assert ping.about == network.replicas["b"].member.incarnation
    assert call not in network.outcomes  # R16: it does not answer alone
    network.cut.clear()
    network.resend("a")
    assert network.result(call) == "!"
    assert newest_ping(network, "a").report == Report.NONE


def test_R43_a_backup_that_is_being_filled_is_reported_too() -> None:
    """R35 lets it be replaced before the view is acknowledged."""
    network = filling()
    network.cut.add(("b", "a"))
    network.settle()
    for _ in range(3):
        network.resend("a")
    ping = newest_ping(network, "a")
    assert (ping.report, ping.filling) == (Report.UNREACHABLE, 2)


def test_R34_an_own_state_that_is_not_the_primary_s_is_filled_from_scratch() -> None:
    """A backup that was not the primary of the view before refuses to go on with what it has."""
    network = filling()
    piece = network.waiting(Piece)[0].message
    assert isinstance(piece, Piece)
    network.drop(Piece)
    network.hand("a", "b", replace(piece, section=2, last=True, attempt=7, body=b""))
    answer = network.waiting(PieceReceived)[-1].message
    assert (answer.attempt, answer.received) == (7, 0)
    assert "holds another state" in network.ignored("b")

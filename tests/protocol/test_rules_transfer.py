"""State transfer: R20-R23 and R34."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbactors.config import Limits
from pbactors.machines.state_machine import StateMachine, command, query
from pbactors.protocol.backup import Backup
from pbactors.protocol.core import Timer
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    Piece,
    PieceReceived,
    Reply,
    Request,
    Section,
)
from pbactors.protocol.primary import Primary

from .network import Network, Packet

SMALL = Limits(snapshot_piece_bytes_max=16, pieces_in_flight_max=3)


def alone_with_data() -> Network:
    """Return a network in view 1:a with client x and a state of many pieces."""
    network = Network(limits=SMALL)
    network.form("a")
    network.start_client("x")
    network.settle()
    for number in range(8):
        network.do("x", "put", f"key {number}", "v" * 20)
    return network


def recruit(network: Network, name: str) -> None:
    """Start a replica and let the primary hear that it is backup; hold all pieces."""
    network.start(name)
    network.fire("a", Timer.PING)
    network.settle(hold=lambda packet: isinstance(packet.message, Piece))


def pieces(network: Network) -> list[Packet]:
    """Return the pieces in flight, oldest first."""
    return network.waiting(Piece)


def equal(network: Network, one: str, other: str) -> bool:
    """Tell whether two replicas hold the same state."""
    states = [network.replicas[name].state.freeze() for name in (one, other)]
    return states[0] == states[1]


def installed(network: Network, name: str) -> bool:
    """Tell whether a backup holds a complete state."""
    role = network.role(name)
    return isinstance(role, Backup) and role.installed


def test_R20_a_command_that_comes_while_filling_is_wholly_behind_the_state() -> None:
    """“Each command is wholly before or wholly after a state transfer: before, the state carries
    it; after, it is forwarded behind it.”
    """
    network = alone_with_data()
    recruit(network, "b")
    call = network.call("x", "append", "key 0", "!")
    network.deliver_next(Request)
    assert not network.waiting(Forward)  # it waits in the log, although it is answered (R33)
    network.settle(hold=lambda packet: isinstance(packet.message, Forward))
    assert installed(network, "b")
    assert not equal(network, "a", "b")
    network.settle()
    assert network.result(call) == "v" * 20 + "!"
    assert equal(network, "a", "b")


def test_R21_the_transfer_carries_the_session_table_with_the_results() -> None:
    """“The transfer carries the session table with the data, with the results.”"""
    network = alone_with_data()
    call = network.call("x", "append", "key 0", "!")
    network.deliver_next(Request)
    network.drop(Reply)
    recruit(network, "b")
    network.settle()
    network.ping("a")
    network.stop("a")
    network.checks(2, "b")
    network.ping("b")
    network.insist("x")
    assert network.result(call) == "v" * 20 + "!"
    assert network.do("x", "get", "key 0") == "v" * 20 + "!"


def test_R22_a_newcomer_that_was_backup_before_is_filled_again() -> None:
    """“Every new view that has a backup starts with a transfer, also when the newcomer was a backup
    some views ago.”
    """
    network = alone_with_data()
    recruit(network, "b")
    network.settle()
    network.ping("a")
    network.checks(2, "a")  # b is only silent
    network.ping("a")
    assert network.view == ("a", None, 3)
    network.do("x", "put", "key 0", "later")
    network.fire("b", Timer.PING)
    network.settle(hold=lambda packet: isinstance(packet.message, Piece))
    assert network.views[-1].number == 4
    assert pieces(network)
    assert not installed(network, "b")
    network.settle()
    assert installed(network, "b")
    assert equal(network, "a", "b")


def test_R22_the_same_pair_under_a_new_number_is_filled_again() -> None:
    """Trap: “Transfer skipped because “it was backup last time”.” The promoted backup fills the
    former primary, whose state is dropped, not trusted.
    """
    network = alone_with_data()
    recruit(network, "b")
    network.settle()
    network.ping("a")
    network.checks(2, "b")
    network.ping("b", "a")
    network.ping("b", "a")
    assert network.view == ("b", "a", 4)
    assert network.delivered["a", Piece] > 0
    assert equal(network, "a", "b")


def test_R23_pieces_may_be_lost_repeated_delayed_and_reordered() -> None:
    """“Transfers, forwards and all their confirmations are bound to a view number and safe to lose,
    repeat, delay and reorder, over any number of views.”
    """
    network = alone_with_data()
    recruit(network, "b")
    lost = 0
    for turn in range(200):
        waiting = network.waiting((Piece, PieceReceived, Confirm))
        if not waiting:
            if installed(network, "b"):
                break
            network.fire("a", Timer.RESEND)
            continue
        packet = waiting[(turn * 7) % len(waiting)]
        if turn % 5 == 0:
            network.in_flight.remove(packet)
            lost += 1
        else:
            network.deliver(packet, keep=turn % 3 == 0)
    assert lost > 3
    network.settle()
    for _ in range(4):
        network.resend("a")
    assert equal(network, "a", "b")
    assert network.replicas["a"].operating == 2


def test_R23_the_window_of_pieces_is_bounded_and_moves() -> None:
    """A transfer of many pieces never has more than a window of them under way."""
    network = alone_with_data()
    recruit(network, "b")
    seen: set[int] = set()
    while network.in_flight:
        under_way = {
            packet.message.index for packet in pieces(network) if isinstance(packet.message, Piece)
        }
        assert len(under_way) <= SMALL.pieces_in_flight_max
        seen |= under_way
        network.deliver_next()
    assert len(seen) > 2 * SMALL.pieces_in_flight_max
    assert equal(network, "a", "b")


def test_R23_pieces_of_an_earlier_view_are_refused() -> None:
    """“bound to a view number”: the pieces of view 2 do not fill the same backup in view 4."""
    network = alone_with_data()
    recruit(network, "b")
    late = pieces(network)
    network.drop(Piece)
    network.checks(2, "a")
    network.ping("a")
    assert network.view == ("a", None, 3)
    network.do("x", "put", "key 0", "later")
    network.cut = {("a", "b")}
    network.ping("b", "a")
    assert network.views[-1].number == 4
    network.cut = set()
    for packet in late:
        network.deliver(packet, keep=True)
    assert network.ignored("b")[-1] == "of an earlier view"
    network.resend("a")
    assert equal(network, "a", "b")


def test_R34_a_backup_confirms_only_what_its_installed_state_holds() -> None:
    """“A backup's confirmations say only “in view i, as incarnation b, my installed state holds
    every command up to n”, never “transfer done”.”
    """
    network = alone_with_data()
    recruit(network, "b")
    confirms: list[Confirm] = []
    while network.in_flight:
        packet = network.deliver_next()
        if isinstance(packet.message, Confirm):
            assert installed(network, "b")
            confirms.append(packet.message)
    op = network.replicas["a"].state.op
    assert confirms[0].op == op
    assert confirms[0].target == network.replicas["a"].member.incarnation


def test_R34_what_is_installed_is_never_discarded_in_that_view() -> None:
    """“A backup with an installed state in view i never discards it in view i; it answers further
    pieces of that view with this confirmation.”
    """
    network = alone_with_data()
    recruit(network, "b")
    late = pieces(network)
    network.settle()
    network.do("x", "put", "key 0", "later")
    before = network.replicas["b"].state.freeze()
    first = late[0].message
    assert isinstance(first, Piece)
    for packet in late:
        network.deliver(packet, keep=True)
    network.hand("a", "b", replace(first, attempt=99, base=0))
    assert network.replicas["b"].state.freeze() == before
    assert {type(packet.message) for packet in network.waiting(source="b")} == {Confirm}
    last = network.waiting(Confirm)[-1].message
    assert isinstance(last, Confirm)
    assert last.op == network.replicas["a"].state.op


def test_R34_pieces_are_gathered_beside_the_state_and_swapped_in_whole() -> None:
    """“Pieces carry (view, attempt, base op number), are gathered beside the state and swapped in
    whole.”
    """
    network = alone_with_data()
    recruit(network, "b")
    before = network.replicas["b"].state.freeze()
    while not installed(network, "b"):
        assert network.replicas["b"].state.freeze() == before
        network.deliver_next()
    assert equal(network, "a", "b")


def test_R23_a_repeated_greeting_repeats_no_piece() -> None:
    """“Transfers, forwards and all their confirmations are bound to a view number and safe to lose,
    repeat, delay and reorder.” A greeting that was answered once asked for the whole window again
    each time it came; the explorer found that this has no end.
    """
    network = alone_with_data()
    recruit(network, "b")
    primary = network.view_service.view.primary
    assert primary is not None
    before = len(pieces(network))
    greeting = PieceReceived(network.view_service.view.number, primary.incarnation, 0, 0)
    network.hand("b", "a", greeting)  # once more: the first was delivered
    assert len(pieces(network)) == before
    assert network.ignored("a")[-1] == "the backup has greeted before"


def test_R34_pieces_of_different_attempts_are_never_mixed() -> None:
    """“pieces of different attempts are never mixed.”"""
    network = alone_with_data()
    recruit(network, "b")
    first, second, *_ = (packet.message for packet in pieces(network))
    assert isinstance(first, Piece)
    assert isinstance(second, Piece)
    network.drop(Piece)
    network.hand("a", "b", first)
    network.hand("a", "b", replace(second, attempt=2))  # of a later attempt, whose start is missing
    assert received(network) == [(1, 1), (2, 0)]
    network.hand("a", "b", replace(first, attempt=2))
    network.hand("a", "b", second)  # of the earlier attempt
    network.hand("a", "b", replace(second, attempt=2))
    assert received(network) == [(1, 1), (2, 0), (2, 1), (2, 2)]
    assert network.ignored("b")[-1] == "a piece of an earlier attempt"


def received(network: Network) -> list[tuple[int, int]]:
    """Return (attempt, received) of what the backup said of pieces."""
    return [
        (packet.message.attempt, packet.message.received)
        for packet in network.waiting(PieceReceived)
        if isinstance(packet.message, PieceReceived)
    ]


def test_R34_a_confirmation_from_an_earlier_view_joins_nothing() -> None:
    """“in view i”: a delayed confirmation of view 2 says nothing about view 4."""
    network = alone_with_data()
    recruit(network, "b")
    network.settle(hold=lambda packet: isinstance(packet.message, Confirm))
    (late,) = network.waiting(Confirm)
    network.in_flight.remove(late)
    network.checks(2, "a")
    network.ping("a")
    network.cut = {("a", "b")}
    network.ping("b", "a")
    assert network.view == ("a", "b", 4)
    network.deliver(late, keep=True)
    role = network.role("a")
    assert isinstance(role, Primary)
    assert not role.operating
    assert network.ignored("a")[-1] == "of an earlier view"


def test_R23_a_forward_before_the_state_is_not_taken() -> None:
    """Trap: “transfer applied after newer commands”: what overtakes the pieces waits its turn."""
    network = alone_with_data()
    recruit(network, "b")
    role = network.role("b")
    backup = network.replicas["b"].member
    operation = (1, 9, 9, 1, b"")
    network.hand("a", "b", Forward(2, backup.incarnation, 9, 1, b"s" * 16, (operation,)))
    assert role.state.op == 0
    assert network.ignored("b")[-1] == "the state is not installed yet"


class Stubborn(StateMachine):
    """Cannot be copied while it is told so."""

    def __init__(self) -> None:
        self.count = 0

    @command
    def put(self, count: int) -> int:
        self.count = count
        return count

    @query
    def get(self) -> int:
        return self.count

    def snapshot_pieces(self):  # type: ignore[no-untyped-def]
        if self.count < 0:
            raise ValueError("below zero")
        yield self.count

    def restore_piece(self, piece: object) -> None:
        assert isinstance(piece, int)
        self.count = piece


def refuse(_: Stubborn) -> object:
    raise ValueError("below zero")


def test_R33_a_state_that_cannot_be_copied_is_served_alone() -> None:
    """The primary keeps the state, never acknowledges the view, answers alone, and says why."""
    network = Network(machine=Stubborn)
    network.form("a")
    network.start_client("x")
    network.settle()
    assert network.do("x", "put", -1) == -1
    network.start("b")
    network.ping("a", "b")
    primary = network.replicas["a"]
    assert "serving alone" in primary.status().state
    assert "below zero" in primary.status().state
    assert primary.status().copies == 1
    assert network.do("x", "get") == -1
    assert primary.operating == 1
    network.stop("b")
    network.checks(2, "a")
    network.ping("a")
    assert network.view == ("a", None, 3)
    assert network.do("x", "get") == -1


def test_R25_a_state_that_cannot_be_copied_leaves_the_primary_stuck_but_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where an answer needs two copies it serves nobody, and says why; nothing is lost."""
    network = Network(machine=Stubborn, min_copies=2)
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    assert network.do("x", "put", 1) == 1
    network.stop("b")
    monkeypatch.setattr(Stubborn, "snapshot_pieces", refuse)
    network.checks(2, "a")
    network.start("c")
    network.ping("a", "c")
    primary = network.replicas["a"]
    assert primary.status().stuck
    assert "below zero" in primary.status().state
    read = network.call("x", "get")
    for _ in range(3):
        network.insist("x")
        network.resend("a")
        network.ping("a")
    assert primary.operating == 3
    assert read not in network.outcomes
    assert "cannot be copied" in network.client("x").refusal  # so that the caller can be told


def test_R21_sessions_come_before_the_machine() -> None:
    """Every piece names its section, so that nothing is guessed."""
    network = alone_with_data()
    recruit(network, "b")
    sections: dict[int, int] = {}
    while network.in_flight:
        message = network.deliver_next().message
        if isinstance(message, Piece):
            sections[message.index] = message.section
    assert list(sections.values()) == sorted(sections.values())
    assert set(sections.values()) == {Section.SESSIONS, Section.MACHINE}

"""The lecture's scenarios, driven exactly. ``1:A,B`` is view 1 with primary A and backup B."""

from __future__ import annotations

import pytest

from pbactors.config import Limits
from pbactors.protocol.backup import Backup
from pbactors.protocol.core import Slept, Timer
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    GetView,
    Message,
    Piece,
    PieceReceived,
    Refused,
    Reply,
    Request,
)
from pbactors.protocol.view import Role

from .network import VIEW, Network, Packet


def formed(*names: str) -> Network:
    """Return a network in an acknowledged view, with client x, and ``k`` set to "1"."""
    network = Network(replicas="abcd")
    network.form(*names)
    network.start_client("x")
    network.settle()
    assert network.do("x", "append", "k", "1") == "1"
    return network


def test_S1_primary_fails_backup_promoted_idle_recruited_and_filled() -> None:
    """S1 Primary fails; backup promoted; idle server recruited and filled; safe again."""
    network = formed("a", "b", "c")
    network.stop("a")
    network.checks(2, "b", "c")
    assert network.view == ("b", "c", 3)
    network.ping("b", "c")
    assert network.view_service.acked
    assert network.replicas["c"].state.freeze() == network.replicas["b"].state.freeze()
    call = network.call("x", "append", "k", "2")
    network.settle()
    network.insist("x")
    assert network.result(call) == "12"
    assert network.copies[call] == 2
    assert network.replicas["c"].status().op == network.replicas["b"].status().op


def test_S2_up_but_declared_dead_gives_no_wrong_answers() -> None:
    """S2 Up but declared dead: no wrong answers."""
    network = formed("a", "b")
    network.checks(2, "b")  # a lives, but its pings are lost
    assert network.view == ("b", None, 3)
    network.ping("b")
    network.start_client("y")
    network.settle()
    assert network.do("y", "append", "k", "2") == "12"
    late = network.call("x", "get", "k")  # x still believes in a
    network.settle()
    assert late not in network.outcomes
    network.ping("a")
    network.insist("x")
    assert network.result(late) == "12"


def test_S3_data_and_sessions_survive_two_hand_overs() -> None:
    """S3 1:A,B 2:B,C 3:C,D: data and sessions survive two hand-overs."""
    network = formed("a", "b", "c", "d")
    call = network.call("x", "append", "k", "2")
    network.settle(hold=lambda packet: packet.target == "x")
    network.drop(Reply)  # executed, but x does not know
    for dead, alive in (("a", "bcd"), ("b", "cd")):
        network.stop(dead)
        network.checks(2, *alive)
        network.ping(*alive)
        assert network.view_service.acked
    assert network.view == ("c", "d", 4)
    network.insist("x")
    assert network.result(call) == "12"
    assert network.do("x", "append", "k", "3") == "123"
    for name in "cd":
        assert len(network.replicas[name].state.sessions) == 1


def test_S4_backup_dies_idle_server_recruited() -> None:
    """S4 Backup dies, idle server recruited."""
    network = formed("a", "b", "c")
    network.stop("b")
    call = network.call("x", "append", "k", "2")
    network.settle()
    assert call not in network.outcomes
    network.checks(2, "a", "c")
    assert network.view == ("a", "c", 3)
    network.ping("a", "c")
    assert network.result(call) == "12"
    assert network.copies[call] == 1  # while c was being filled (R33)
    network.do("x", "append", "k", "3")
    assert network.copies[call + 1] == 2


def test_S5_stays_where_the_new_backup_is_not_filled() -> None:
    """S5 1:A,B 2:B,C; A silent, B silent right after, C not filled: stays at 2."""
    network = formed("a", "b", "c")
    network.cut = {("b", "c"), ("c", "b")}
    network.checks(2, "b", "c")
    assert network.view == ("b", "c", 3)
    network.ping("b", "c")
    network.checks(9, "c")
    assert network.view == ("b", "c", 3)
    assert not network.view_service.acked
    assert network.view_service.status().stuck
    assert network.replicas["c"].state.op == 0


def test_S6_of_two_that_think_they_are_primary_only_one_acts() -> None:
    """S6 Two servers think they are primary (1:A,B 2:B,- with A cut from the view server): only one
    acts.
    """
    network = formed("a", "b")
    network.cut = {("a", VIEW), (VIEW, "a")}
    network.checks(2, "b")
    network.ping("b")
    assert network.view == ("b", None, 3)
    assert network.replicas["a"].view.role_of(network.replicas["a"].member) is Role.PRIMARY
    network.start_client("y")
    network.settle()
    assert network.do("y", "put", "k", "y") is None
    late = network.call("x", "append", "k", "2")
    network.settle()
    assert late not in network.outcomes
    assert network.replicas["a"].state.op == 2  # the opening and the first append
    network.insist("x")
    assert network.result(late) == "y2"


def test_S7_the_view_service_never_forms_a_pair_without_the_state() -> None:
    """S7 Incomplete state (1:A,B 2:C,D): the view service never does it."""
    network = formed("a", "b", "c", "d")
    network.stop("a", "b")
    network.checks(9, "c", "d")
    assert network.view == ("a", "b", 2)
    assert "waiting for a" in network.view_service.status().state


def test_S8_no_reply_before_the_backup_has_it() -> None:
    """S8 Missing write: A replied before B had it and crashes: cannot happen."""
    network = formed("a", "b")
    call = network.call("x", "append", "k", "2")
    network.settle(hold=lambda packet: isinstance(packet.message, Forward))
    assert call not in network.outcomes
    assert network.replicas["a"].state.op == 2
    network.drop(Forward)
    network.stop("a")
    network.checks(2, "b")
    network.ping("b")
    network.insist("x")
    assert network.result(call) == "12"


def test_S9_fast_reads_at_a_deposed_primary_are_not_answered() -> None:
    """S9 Fast reads: 1:A,B 2:B,C; one client writes at B, another reads at A: A cannot answer."""
    network = formed("a", "b", "c")
    network.cut = {("a", VIEW), (VIEW, "a")}
    network.checks(2, "b", "c")
    network.ping("b", "c")
    assert network.view == ("b", "c", 3)
    network.start_client("y")
    network.settle()
    assert network.do("y", "append", "k", "2") == "12"
    read = network.call("x", "get", "k")
    for _ in range(3):
        network.fire("a", Timer.RESEND)
        network.settle()
    assert network.delivered["a", Request] > 0
    assert read not in network.outcomes
    network.insist("x")
    assert network.result(read) == "12"


def test_S10_reads_may_run_twice() -> None:
    """S10 Reads may run twice: harmless."""
    network = formed("a", "b")
    read = network.call("x", "get", "k")
    network.deliver_next(Request, keep=True)
    network.settle(hold=lambda packet: isinstance(packet.message, Request))
    assert network.result(read) == "1"
    before = network.replicas["a"].state.freeze()
    network.settle()
    assert network.result(read) == "1"
    assert network.replicas["a"].state.freeze() == before


def test_S11_a_forward_of_an_earlier_view_is_refused() -> None:
    """S11 A's forward from view 1 reaches B in view 2: refused."""
    network = formed("a", "b")
    network.call("x", "append", "k", "2")
    network.deliver_next(Request)
    network.checks(0)
    hold = network.waiting(Forward)
    network.stop("a")
    for _ in range(2):
        network.fire("b", Timer.PING)
        network.settle(hold=lambda packet: packet in hold)
        network.fire(VIEW, Timer.PING_CHECK)
    network.fire("b", Timer.PING)
    network.settle(hold=lambda packet: packet in hold)
    assert network.view == ("b", None, 3)
    before = network.replicas["b"].state.freeze()
    network.deliver(hold[0])
    assert network.replicas["b"].state.freeze() == before
    assert network.ignored("b")[-1] == "of an earlier view"


def test_S13_an_outdated_client_gets_no_answer_from_a_former_primary() -> None:
    """S13 1:A,B 2:B,C 3:B,A; an outdated client asks A, now backup: no answer."""
    network = formed("a", "b", "c")
    network.checks(2, "b", "c")
    network.ping("b", "c")
    network.ping("a")  # it lives, and is idle
    network.stop("c")
    network.checks(2, "b", "a")
    network.ping("b", "a")
    assert network.view == ("b", "a", 4)
    assert isinstance(network.role("a"), Backup)
    read = network.call("x", "get", "k")
    network.deliver_next(Request, target="a")
    (answer,) = network.waiting(target="x")
    assert isinstance(answer.message, Refused)
    network.settle()
    network.insist("x")
    assert network.result(read) == "1"


@pytest.mark.parametrize(
    ("case", "state"),
    [
        ("last holder gone", "last holder of the state is gone"),
        ("primary dies before its backup is filled", "last holder of the state is gone"),
    ],
)
def test_S16_it_blocks_and_says_so_and_does_not_lie(case: str, state: str) -> None:
    """S16 The list of ways to stop: blocks, does not lie."""
    network = formed("a")
    if case != "last holder gone":
        network.cut = {("a", "b")}
        network.start("b")
        network.settle()
        network.ping("a", "b")
        assert network.view == ("a", "b", 2)
    network.start("a")  # it lost its memory
    network.settle()
    call = network.call("x", "append", "k", "2")
    network.checks(3, "a", "b")
    network.insist("x")
    network.insist("x")
    assert call not in network.outcomes
    assert network.view_service.status().stuck
    assert state in network.view_service.status().state


def test_S19_clients_do_not_ask_the_view_server_per_request() -> None:
    """S19 Clients do not ask the view server per request."""
    network = formed("a", "b")
    asked = network.delivered[VIEW, GetView]
    for number in range(50):
        network.do("x", "put", "k", str(number))
        assert network.do("x", "get", "k") == str(number)
    assert network.delivered[VIEW, GetView] == asked


def test_X3_a_sole_primary_that_restarts_never_serves() -> None:
    """X3 Sole primary restarts under its own name at once: never serves, never acks."""
    network = formed("a")
    network.start("a")
    network.settle()
    network.ping("a")
    network.checks(5, "a")
    assert network.view == ("a", None, 1)
    assert network.replicas["a"].operating == 0
    read = network.call("x", "get", "k")
    network.insist("x")
    network.insist("x")
    assert read not in network.outcomes
    assert network.view_service.status().stuck


def test_X5_a_view_server_that_slept_declares_nobody_dead_before_draining() -> None:
    """X5 View server paused longer than the dead interval, then resumed with pings queued: declares
    nobody dead before draining.
    """
    network = formed("a", "b", "c")
    for _ in range(3):
        for name in "abc":
            network.fire(name, Timer.PING)
    network.settle(hold=lambda packet: packet.target == VIEW)
    network.settle()  # the driver hands over what has arrived before it fires timers
    network.act(VIEW, lambda core, out: core.on_signal(Slept(), out))
    network.check()
    assert network.view == ("a", "b", 2)
    network.checks(5, "a", "b", "c")
    assert network.view == ("a", "b", 2)


def test_X5_having_slept_without_pings_queued_it_gives_everyone_grace() -> None:
    """X5, where nothing was queued: silence while it slept is no evidence."""
    network = formed("a", "b", "c")
    network.check()  # one more check, and everyone would be dead
    network.act(VIEW, lambda core, out: core.on_signal(Slept(), out))
    network.check()
    assert network.view_service.status().state == "view acknowledged"
    network.checks(3, "a", "b", "c")
    assert network.view == ("a", "b", 2)


def test_X7_without_the_view_server_the_pair_keeps_serving() -> None:
    """X7 View server stopped: the current pair keeps serving; resumes when it is back."""
    network = formed("a", "b", "c")
    network.stop(VIEW)
    for number in range(3):
        network.ping("a", "b", "c")
        assert network.do("x", "append", "n", str(number)) == "012"[: number + 1]
    network.start_view_server()
    assert network.view == ("a", "b", 2)
    assert network.view_service.acked
    network.ping("a", "b", "c")
    network.stop("a")
    network.checks(2, "b", "c")
    assert network.view == ("b", "c", 3)
    network.ping("b", "c")
    call = network.call("x", "append", "n", "3")
    network.insist("x")
    assert network.result(call) == "0123"


def test_X8_one_way_loss_executes_nothing_twice_and_answers_nothing_early() -> None:
    """X8 One-way loss (forwards arrive, acks do not): nothing executed twice, no early reply."""
    network = formed("a", "b")
    network.cut = {("b", "a")}
    write = network.call("x", "append", "k", "2")
    read = network.call("x", "get", "k")
    for _ in range(4):
        network.resend("a")
        network.insist("x")
    assert not {write, read} & network.outcomes.keys()
    assert network.replicas["b"].state.op == 3
    network.cut = set()
    network.resend("a")
    assert network.result(write) == "12"
    assert network.result(read) == "12"
    assert network.replicas["b"].state.op == network.replicas["a"].state.op == 3


@pytest.mark.parametrize("kind", [Forward, Piece, Confirm, PieceReceived])
def test_X9_messages_for_a_former_self_are_not_applied(kind: type[Message]) -> None:
    """X9 A restarted server reached by messages meant for its former self: not applied."""
    network = Network(limits=Limits(snapshot_piece_bytes_max=8))
    network.form("a")
    network.start_client("x")
    network.settle()
    network.do("x", "append", "k", "1")
    target = "a" if kind in (Confirm, PieceReceived) else "b"
    kept: list[Packet] = []
    network.start("b")
    network.fire("a", Timer.PING)
    for suffix in "23":  # one while it is filled, one forwarded
        network.call("x", "append", "k", suffix)
        while network.in_flight:
            here = network.waiting(kind, target=target)
            kept += [packet for packet in here if packet not in kept]
            network.deliver_next()
    assert kept
    network.start(target)
    network.settle()
    network.cut = {(target, "a"), ("a", target), (target, "b"), ("b", target)}
    network.ping("a", "b")  # its new life is part of the cluster, and may even be in the view
    fresh = network.replicas[target].state.freeze()
    network.cut = set()
    for packet in kept:
        ignored = len(network.ignored(target))
        network.deliver(packet, keep=True)
        assert network.ignored(target)[ignored:] == ["meant for another life of this node"]
        network.drop(Confirm)
    assert network.replicas[target].state.freeze() == fresh

"""Views that follow on request: R43, R44, R45 and R50, from ping to view and back."""

from __future__ import annotations

from pbactors.config import Limits
from pbactors.protocol.core import ConnectionLost, Leave, Timer
from pbactors.protocol.events import Left, ViewInstalled, ViewServed
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    HandOver,
    Piece,
    Ping,
    Reason,
    Refused,
    Report,
    Section,
    ViewReply,
)
from pbactors.protocol.tool_messages import SwitchOver
from pbactors.protocol.view import Cause

from .network import CONTRACT, VIEW, Network, Packet

LINK_CHECKS = 12
"""link_loss_ms in ping checks."""

HOLD_CHECKS = 40
"""The first hold-down in ping checks."""


def formed(*names: str, spare: str = "") -> Network:
    """Return a network with a client, in an acknowledged view of two; ``spare`` idles."""
    network = Network("abcd", limits=Limits(snapshot_piece_bytes_max=100))
    network.form(*names)
    for name in spare:
        network.start(name)
        network.settle()
    network.start_client("x")
    network.settle()
    network.do("x", "put", "k", "0")
    return network


def cut(network: Network, one: str, other: str) -> None:
    """Cut the link between two replicas."""
    network.cut |= {(one, other), (other, one)}


def missing(network: Network, checks: int) -> None:
    """Let the primary a miss its backup b for so many checks; both ping."""
    for _ in range(checks):
        network.resend("a")
        network.checks(1, *(name for name in "abcd" if name in network.nodes))


def causes(network: Network) -> list[tuple[Cause | None, str]]:
    """Return why views followed, and whom that was about."""
    events = network.nodes[VIEW].events
    return [(event.cause, event.node) for event in events if isinstance(event, ViewInstalled)]


def report(network: Network, kind: Report, **changes: object) -> None:
    """Hand the view server a ping of a, with a report of its backup."""
    view = network.view_service.view
    server = network.view_service.liveness.newest("a")
    assert view.backup is not None
    assert server is not None
    fields: dict[str, object] = {
        "number": view.number,
        "sequence": server.sequence + 1,
        "filling": 0,
        "contract": CONTRACT,
        "report": int(kind),
        "about": view.backup.incarnation,
    } | changes
    network.hand("a", VIEW, Ping(**fields))  # type: ignore[arg-type]


def ask(network: Network, to: str) -> None:
    """Let an operator ask for another primary."""
    network.hand("x", VIEW, SwitchOver(to))


# -- R43 --------------------------------------------------------------------------------------


def test_R43_a_backup_that_its_primary_misses_is_replaced() -> None:
    """Cut between primary and backup while both reach the view server: “the labs leave this stuck;
    R43 does not.”
    """
    network = formed("a", "b", spare="c")
    cut(network, "a", "b")
    call = network.call("x", "append", "k", "1")
    network.settle()
    missing(network, LINK_CHECKS + 3)
    assert network.view == ("a", "c", 3)
    assert causes(network)[-1] == (Cause.LINK_LOST, "b")
    network.insist("x")
    assert network.result(call) == "01"


def test_R43_only_if_it_is_missed_continuously() -> None:
    """“in its newest ping, continuously for link_loss_ms”"""
    network = formed("a", "b", spare="c")
    for _ in range(3):
        for _ in range(LINK_CHECKS - 1):
            report(network, Report.UNREACHABLE)
            network.checks(1, "b", "c")
        report(network, Report.NONE)
    assert network.view == ("a", "b", 2)
    for _ in range(LINK_CHECKS):
        report(network, Report.UNREACHABLE)
        network.checks(1, "b", "c")
    assert network.view == ("a", "c", 3)


def test_R43_a_report_about_another_life_number_or_by_another_counts_nothing() -> None:
    """“counts only from the current primary's incarnation, for the current number, ... naming the
    backup's incarnation.”
    """
    network = formed("a", "b", spare="c")
    other = bytes(15) + b"\x63"
    for _ in range(LINK_CHECKS + 2):
        report(network, Report.DIVERGED, about=other)
        report(network, Report.DIVERGED, number=1)
        report(network, Report.UNREACHABLE, about=other)
        network.checks(1, "b", "c")
    server = network.view_service.liveness.newest("b")
    assert server is not None
    view = network.view_service.view
    assert view.backup is not None
    lie = Ping(2, server.sequence + 1, 0, CONTRACT, int(Report.DIVERGED), view.backup.incarnation)
    network.hand("b", VIEW, lie)
    assert network.view == ("a", "b", 2)


def test_R43_a_backup_that_the_view_server_misses_too_is_a_matter_of_patience() -> None:
    """A busy backup answers nobody: R9 decides, with the full patience."""
    network = Network("abcd", dead_pings=20)
    network.form("a", "b")
    network.start("c")
    network.settle()
    for _ in range(LINK_CHECKS + 4):
        report(network, Report.UNREACHABLE)
        network.checks(1, "c")
    assert network.view == ("a", "b", 2)


def test_R43_the_same_pair_is_not_formed_again_for_a_hold_down_that_doubles() -> None:
    """“The same pair is not formed again for a hold-down that doubles with each repeat”: no
    flapping.
    """
    network = formed("a", "b")
    waited = []
    for _ in range(3):
        for _ in range(LINK_CHECKS):
            report(network, Report.UNREACHABLE)
            network.checks(1, "b")
        network.ping("a")
        assert network.view[:2] == ("a", None)
        checks = 0
        while network.view[1] != "b" and checks < 1000:
            network.checks(1, "a", "b")
            checks += 1
        network.ping("a")
        waited.append(checks)
    assert waited == [HOLD_CHECKS, 2 * HOLD_CHECKS, 4 * HOLD_CHECKS]


def test_R43_a_hold_down_never_bars_a_promotion() -> None:
    """“It never bars a promotion.”"""
    network = formed("a", "b")
    report(network, Report.DIVERGED)
    network.ping("a")
    network.checks(HOLD_CHECKS, "a", "b")
    network.ping("a")
    assert network.view == ("a", "b", 4)
    assert network.view_service.acked
    network.view_service._succession.hold_down.hold(*network.view_service.view.members())
    network.stop("a")
    network.checks(2, "b")
    assert network.view == ("b", None, 5)


# -- R50 --------------------------------------------------------------------------------------


def test_R50_who_has_diverged_three_times_stays_out() -> None:
    """“after three times it stays out and status says so”; it is filled again before that, and
    another process under its name is given another chance.
    """
    network = formed("a", "b")
    for times in range(1, 4):
        report(network, Report.DIVERGED)
        assert causes(network)[-1] == (Cause.DIVERGED, "b")
        network.ping("a")
        assert network.view[:2] == ("a", None)
        for _ in range(HOLD_CHECKS << (times - 1)):
            network.checks(1, "a", "b")
        network.ping("a")
        assert (network.view[1] == "b") is (times < 3)
    network.checks(1000, "a", "b")
    assert network.view[1] is None
    assert "b stays out" in network.view_service.status().state
    network.start("b")
    network.checks(HOLD_CHECKS << 3, "a", "b")
    assert network.view[1] == "b"
    assert "stays out" not in network.view_service.status().state


# -- R44, R45 ---------------------------------------------------------------------------------


def test_R44_the_backup_takes_over_and_no_call_fails() -> None:
    """“it holds new requests (bounded), drains forwards and queries, hears "I hold everything
    through E" from the backup, pings "handed over"; V makes the swapped view”
    """
    network = formed("a", "b")
    ask(network, "")
    first = network.call("x", "append", "k", "1")
    network.settle(hold=lambda packet: isinstance(packet.message, Confirm))
    network.ping("b")
    for packet in network.waiting(Confirm):  # it drains before it hands over
        assert network.view == ("a", "b", 2)
        network.deliver(packet)
    network.ping("a", "b")
    network.settle()
    assert network.view == ("b", "a", 3)
    assert causes(network)[-1] == (Cause.SWITCHOVER, "b")
    assert network.result(first) == "01"
    second = network.call("x", "append", "k", "2")
    network.insist("x")
    assert network.result(second) == "012"
    network.ping("b")
    assert network.view_service.acked


def test_R44_while_it_hands_over_it_orders_nothing_and_later_goes_on() -> None:
    """“No new view in time: it goes on as before.”"""
    network = formed("a", "b")
    member = network.replicas["a"].member
    network.hand(VIEW, "a", HandOver(2, member.incarnation))
    network.cut.add(("a", VIEW))
    network.drop(Ping)
    call = network.call("x", "append", "k", "1")
    network.settle()
    assert call not in network.outcomes
    assert "handing over" in network.replicas["a"].status().state
    for _ in range(21):
        network.ping("a")
    network.settle()
    assert network.result(call) == "01"
    assert network.view == ("a", "b", 2)


def test_R44_a_late_handed_over_can_cause_a_view_change_nothing_worse() -> None:
    """The primary has gone on meanwhile; what it answered since is on the new one."""
    network = formed("a", "b")
    member = network.replicas["a"].member
    network.hand(VIEW, "a", HandOver(2, member.incarnation))
    network.settle(hold=lambda packet: isinstance(packet.message, Ping))
    late = network.waiting(Ping, "a")[-1]
    assert isinstance(late.message, Ping)
    assert late.message.report == Report.HANDED_OVER
    network.drop(Ping)
    network.cut.add(("a", VIEW))
    for _ in range(21):
        network.ping("a")
    network.cut.clear()
    assert network.do("x", "append", "k", "1") == "01"
    network.in_flight.append(late)
    network.settle()
    assert network.view == ("b", "a", 3)
    network.ping("a", "b")
    read = network.call("x", "get", "k")
    network.insist("x")
    assert network.result(read) == "01"


def test_R44_the_backup_has_pinged_since_the_request() -> None:
    """“V, in an acked view whose backup has pinged since the request, asks the primary”"""
    network = formed("a", "b")
    ask(network, "b")
    network.ping("a")
    assert network.view == ("a", "b", 2)
    network.ping("b")
    network.ping("a")
    assert network.view == ("b", "a", 3)


def test_R44_an_idle_replica_becomes_backup_first() -> None:
    """R3: only primary or backup of the view before can be primary."""
    network = formed("a", "b", spare="c")
    ask(network, "c")
    assert network.view == ("a", "c", 3)
    network.ping("a", "c")
    network.ping("c", "a")
    network.ping("a")
    assert network.view == ("c", "a", 4)


def test_R44_what_cannot_be_is_refused_with_the_reason() -> None:
    """An operator hears why."""
    network = formed("a", "b")
    reasons = {"z": "no replica named", "a": "primary already", "c": "not alive"}
    for name, reason in reasons.items():
        ask(network, name)
        packet = network.waiting(Refused, VIEW)[-1]
        assert isinstance(packet.message, Refused)
        assert packet.message.reason == Reason.CANNOT_SWITCH
        assert reason in packet.message.text
        network.drop(Refused)
    network.checks(5, "a", "b")
    assert network.view == ("a", "b", 2)


def test_R45_the_former_primary_goes_on_with_its_own_state() -> None:
    """“Only the primary of the acked view i, same incarnation, become backup of i+1 under B_i, may
    be given the commands after E instead of a whole state”.
    """
    network = formed("a", "b")
    ask(network, "b")
    network.ping("b")
    network.ping("a")
    sections = [packet.section for packet in pieces_of(network)]
    assert sections == [Section.OWN]
    assert network.replicas["a"].role.installed  # type: ignore[union-attr]
    network.ping("b")
    assert network.view_service.acked
    call = network.call("x", "append", "k", "1")
    network.insist("x")
    assert network.result(call) == "01"
    assert network.replicas["a"].state.freeze() == network.replicas["b"].state.freeze()


def pieces_of(network: Network) -> list[Piece]:
    """Return all pieces that replicas were given since the switchover."""
    return [each for each in network.sent if isinstance(each, Piece) and each.view == 3]


def new_view_for_a(packet: Packet) -> bool:
    """Tell whether a packet is the news of view 3 for a, or comes after it."""
    message = packet.message
    is_news = isinstance(message, ViewReply) and message.view.number == 3
    return packet.target == "a" and (is_news or isinstance(message, Piece))


def test_R45_another_digest_makes_a_full_transfer() -> None:
    """“and only if its chained digest at E equals the new primary's. Otherwise a full transfer.”"""
    network = formed("a", "b")
    ask(network, "b")
    network.ping("b")
    network.settle()
    network.fire("a", Timer.PING)
    network.settle(hold=new_view_for_a)
    network.fire("b", Timer.PING)
    network.settle(hold=new_view_for_a)
    network.replicas["a"].state.digest ^= 1
    network.settle()
    assert network.view == ("b", "a", 3)
    assert {piece.section for piece in pieces_of(network)} > {Section.OWN}
    network.ping("b")
    assert network.replicas["a"].state.freeze() == network.replicas["b"].state.freeze()


def leave(network: Network, name: str) -> None:
    """Ask a replica to end in peace."""
    network.act(name, lambda core, out: core.on_signal(Leave(), out))
    network.settle()


def has_left(network: Network, name: str) -> bool:
    """Tell whether a replica may end."""
    return any(isinstance(event, Left) for event in network.nodes[name].events)


def test_R44_a_primary_that_leaves_hands_over_first() -> None:
    """“A node that leaves in peace is not waited for.”"""
    network = formed("a", "b", spare="c")
    leave(network, "a")
    network.ping("a")
    assert network.view == ("b", "c", 3)
    assert causes(network)[-1] == (Cause.LEFT, "a")
    assert has_left(network, "a")
    call = network.call("x", "append", "k", "1")
    network.insist("x")
    assert network.result(call) == "01"


def test_R44_a_backup_that_died_unnoticed_is_not_handed_over_to() -> None:
    """“hears "I hold everything through E" from the backup”, and hears it now: with nothing under
    way it had said so long ago. It was promoted, dead, and the primary left with the last copy.
    """
    network = formed("a", "b", spare="c")
    network.stop("b")
    leave(network, "a")
    network.ping("a", "c")
    assert network.view == ("a", "b", 2)
    assert not has_left(network, "a")
    for _ in range(LINK_CHECKS + 3):
        network.checks(1, "a", "c")
    network.ping("a", "c")
    assert network.view[0] == "c"
    assert has_left(network, "a")
    call = network.call("x", "append", "k", "1")
    network.insist("x")
    assert network.result(call) == "01"


def test_R44_a_lost_confirmation_of_who_takes_over_is_asked_for_again() -> None:
    """R28: one timer repeats what stays unconfirmed, here the question whether it is there."""
    network = formed("a", "b")
    network.act("a", lambda core, out: core.on_signal(Leave(), out))
    network.drop(Forward)
    network.settle()
    assert network.view == ("a", "b", 2)
    network.resend("a")
    network.ping("a")
    assert network.view[0] == "b"


def test_R44_a_backup_and_an_idle_replica_that_leave_are_replaced_and_not_chosen() -> None:
    """Neither is waited for, nor chosen again."""
    network = formed("a", "b", spare="cd")
    leave(network, "c")
    assert has_left(network, "c")
    leave(network, "b")
    assert network.view == ("a", "d", 3)
    assert causes(network)[-1] == (Cause.LEFT, "b")
    network.ping("b")
    assert has_left(network, "b")
    network.ping("a", "d")
    network.stop("d")
    network.checks(2, "a", "b", "c")
    assert network.view[:2] == ("a", None)


def test_R44_who_leaves_is_not_wished_for() -> None:
    """An operator's wish ends where the wanted one is about to end: the simulator found that it was
    made backup all the same.
    """
    network = formed("a", "b", spare="cd")
    network.cut.add(("a", VIEW))
    leave(network, "b")
    assert network.view == ("a", "c", 3)
    ask(network, "d")  # to be tried once view 3 is acknowledged
    leave(network, "d")
    ask(network, "d")
    assert any(
        "about to end" in message.text for message in network.sent if isinstance(message, Refused)
    )
    network.cut.clear()
    network.ping("a", "c", "d")
    network.ping("a", "c", "d")
    assert network.view_service.acked
    assert network.view == ("a", "c", 3)


def test_R44_a_lone_primary_has_nobody_to_hand_over_to() -> None:
    """It may end at once; nobody is promoted."""
    network = Network()
    network.form("a")
    leave(network, "a")
    assert has_left(network, "a")


# -- causes -----------------------------------------------------------------------------------


def test_views_say_why_they_followed() -> None:
    """The log, and the history of views, tell what happened."""
    network = Network("abcd", dead_pings=8)
    network.form("a", "b")
    network.start("c", "d")
    network.settle()
    network.stop("b")
    network.act(VIEW, lambda core, out: core.on_signal(ConnectionLost("b"), out))
    network.checks(3, "a", "c", "d")
    assert causes(network)[-1] == (Cause.KILLED, "b")
    network.ping("a", "c")
    network.checks(4, "c", "d")
    network.act(VIEW, lambda core, out: core.on_signal(ConnectionLost("a"), out))
    network.checks(3, "c", "d")
    assert causes(network)[-1] == (Cause.FROZEN, "a")
    network.ping("c", "d")
    network.ping("c")
    network.checks(8, "d")
    assert causes(network)[-1] == (Cause.SILENT, "c")
    assert causes(network)[:2] == [(Cause.NEWCOMER, "a"), (Cause.NEWCOMER, "b")]


def test_the_view_server_says_once_when_clients_are_served_again() -> None:
    """From the first ping of the new primary that says so."""
    network = formed("a", "b")
    network.stop("a")
    network.checks(2, "b")
    network.ping("b")
    network.ping("b")
    events = network.nodes[VIEW].events
    assert [e.number for e in events if isinstance(e, ViewServed)] == [1, 2, 3]


def test_the_ack_that_allows_the_next_view_tells_first_that_its_own_serves() -> None:
    """Otherwise nobody would ever know when that view began to serve."""
    network = Network("ab")
    network.start_view_server()
    network.start("a", "b")
    network.settle()
    events = network.nodes[VIEW].events
    told = [e for e in events if isinstance(e, ViewInstalled | ViewServed)]
    numbers = [e.view.number if isinstance(e, ViewInstalled) else e.number for e in told]
    assert numbers == [1, 1, 2, 2]

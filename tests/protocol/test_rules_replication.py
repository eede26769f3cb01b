"""Primary and backup: R15-R20, R24-R28, R36, R39, R51 and R53."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbactors.config import Limits
from pbactors.errors import InvariantViolated
from pbactors.machines.state_machine import StateMachine, command, query
from pbactors.protocol.backup import Backup
from pbactors.protocol.core import Timer
from pbactors.protocol.events import RoleChanged
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    Piece,
    Ping,
    Refused,
    Reply,
    Request,
    ViewReply,
)
from pbactors.protocol.primary import Primary
from pbactors.protocol.replica import Idle
from pbactors.protocol.view import Role, View

from .network import VIEW, Network, Packet


def pair(limits: Limits | None = None) -> Network:
    """Return a network in the acknowledged view 2:a,b with client x, and ``k`` set to "0"."""
    network = Network(limits=limits)
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    network.do("x", "append", "k", "0")
    return network


def value(network: Network, name: str, key: str = "k") -> object:
    """Return what a replica's own machine holds."""
    machine = network.replicas[name].state.machine
    return vars(machine)["_instance"].values.get(key)


def numbers(network: Network, name: str) -> list[tuple[int, int]]:
    """Return (number, filling) of the pings in flight."""
    return [
        (packet.message.number, packet.message.filling)
        for packet in network.waiting(Ping, source=name)
        if isinstance(packet.message, Ping)
    ]


def forwards(network: Network) -> list[Forward]:
    """Return the forwards in flight, oldest first."""
    return [
        packet.message for packet in network.waiting(Forward) if isinstance(packet.message, Forward)
    ]


# -- pings --------------------------------------------------------------------------------------


def test_R15_a_primary_pings_the_old_number_until_its_backup_is_filled() -> None:
    """“A primary operates in a view with a backup only once that backup holds the complete state;
    until then it pings the last number it operated in, with `filling` set to the new one.”
    """
    network = Network()
    network.form("a")
    network.start("b")
    network.fire("a", Timer.PING)
    network.settle(hold=lambda packet: packet.source == "b" and packet.target == "a")
    assert network.view == ("a", "b", 2)
    network.fire("a", Timer.PING)
    assert numbers(network, "a") == [(1, 2)]
    network.settle()
    assert network.replicas["a"].operating == 2
    network.fire("a", Timer.PING)
    assert numbers(network, "a") == [(2, 0)]


def test_R15_pings_carry_a_sequence_number() -> None:
    """“carrying ... its incarnation and a sequence number.”"""
    network = pair()
    network.fire("a", Timer.PING)
    network.fire("a", Timer.PING)
    first, second = (packet.message for packet in network.waiting(Ping))
    assert isinstance(first, Ping)
    assert isinstance(second, Ping)
    assert second.sequence == first.sequence + 1


# -- order of execution -------------------------------------------------------------------------


def test_R16_the_backup_executes_before_the_primary() -> None:
    """“every command is executed by the backup before the primary executes and answers it.”"""
    network = pair()
    call = network.call("x", "append", "k", "1")
    network.deliver_next(Request)
    assert (value(network, "a"), value(network, "b")) == ("0", "0")
    network.deliver_next(Forward)
    assert (value(network, "a"), value(network, "b")) == ("0", "01")
    assert not network.waiting(Reply)
    network.deliver_next(Confirm)
    assert (value(network, "a"), value(network, "b")) == ("01", "01")
    network.settle()
    assert network.result(call) == "01"


def test_R17_a_silent_backup_is_waited_for() -> None:
    """“the primary keeps trying or waits for a view without it. It neither answers alone nor
    reports failure as final.”
    """
    network = pair()
    network.stop("b")
    call = network.call("x", "append", "k", "1")
    network.settle()
    for _ in range(20):
        network.resend("a")
        network.insist("x")
    assert call not in network.outcomes
    assert value(network, "a") == "0"
    network.checks(2, "a")
    network.ping("a")
    assert network.view == ("a", None, 3)
    assert network.result(call) == "01"
    assert network.copies[call] == 1


def test_R17_a_backup_that_has_not_heard_of_its_view_is_tried_again() -> None:
    """Trap: “Backup that has not heard of its view yet: the primary takes its refusal as fatal. It
    must retry.”
    """
    network = Network()
    network.form("a")
    network.start_client("x")
    network.settle()
    network.cut = {(VIEW, "b")}
    network.start("b")
    network.ping("a")
    for _ in range(3):
        network.resend("a")
    assert network.replicas["b"].view.number == 0
    network.cut = set()
    network.ping("b")
    network.resend("a")
    assert network.replicas["a"].operating == 2
    assert network.do("x", "append", "k", "1") == "1"


@pytest.mark.parametrize("view", [1, 3])
def test_R18_a_forward_of_another_view_is_refused(view: int) -> None:
    """“A backup takes a forward only if its own view number equals the forwarder's.”"""
    network = pair()
    network.call("x", "append", "k", "1")
    network.deliver_next(Request)
    (forward,) = forwards(network)
    network.drop(Forward)
    network.inject("a", "b", replace(forward, view=view))
    network.settle()
    assert value(network, "b") == "0"


def test_R18_numbers_count_and_not_the_sender_s_name() -> None:
    """“Compare numbers, not the sender's name.” The same pair again, some views later."""
    network = pair()
    network.call("x", "append", "k", "1")
    network.deliver_next(Request)
    (late,) = network.waiting(Forward)
    network.in_flight.remove(late)  # it takes its time
    network.checks(2, "a")  # b is taken for dead ...
    network.ping("a", "b", "a")  # ... and recruited again
    assert network.view == ("a", "b", 4)
    before = network.replicas["b"].state.freeze()
    network.deliver(late, keep=True)
    assert network.replicas["b"].state.freeze() == before
    assert network.ignored("b")[-1] == "of an earlier view"


def test_R18_a_forward_names_the_incarnation_of_the_backup() -> None:
    """“and the forward names its incarnation.”"""
    network = pair()
    network.call("x", "append", "k", "1")
    network.deliver_next(Request)
    (forward,) = forwards(network)
    network.drop(Forward)
    network.inject("a", "b", replace(forward, target=bytes(16)))
    network.settle()
    assert value(network, "b") == "0"
    assert "meant for another life of this node" in network.ignored("b")


@pytest.mark.parametrize("name", ["b", "c"])
def test_R19_who_is_not_primary_rejects_clients(name: str) -> None:
    """“Who is not primary of its own view rejects clients, also when it is backup.”"""
    network = pair()
    network.start("c")
    network.settle()
    network.call("x", "append", "k", "1")
    (request,) = network.waiting(Request)
    network.drop(Request)
    network.inject("x", name, request.message)
    network.deliver_next(Request)
    (refused,) = network.waiting(target="x")
    assert isinstance(refused.message, Refused)
    assert value(network, "b") == "0"


def test_R19_a_backup_serves_nobody_before_it_hears_of_its_promotion() -> None:
    """“also when its promotion has not reached it yet.”"""
    network = pair()
    network.stop("a")
    network.cut = {(VIEW, "b")}
    network.checks(2, "b")
    assert network.view == ("b", None, 3)
    call = network.call("x", "append", "k", "1")
    network.settle()
    network.insist("x")  # x knows the view before b does
    assert network.client("x").view.number == 3
    assert network.delivered["b", Request] > 0
    assert call not in network.outcomes
    assert isinstance(network.role("b"), Backup)
    network.cut = set()
    network.ping("b")
    network.insist("x")
    assert network.result(call) == "01"


def test_R19_a_primary_rejects_forwards() -> None:
    """“A primary rejects forwards.” And pieces."""
    network = pair()
    network.call("x", "append", "k", "1")
    network.deliver_next(Request)
    (forward,) = forwards(network)
    network.drop(Forward)
    target = network.replicas["a"].member.incarnation
    network.inject("b", "a", replace(forward, target=target))
    network.inject("b", "a", Piece(2, target, 9, 0, b"", 0, 9, 0, True, 0, b""))
    before = network.replicas["a"].state.freeze()
    network.settle()
    assert network.replicas["a"].state.freeze() == before
    assert network.ignored("a")[-2:] == ["not backup of this view"] * 2


def test_R24_the_backup_executes_in_the_primary_s_order() -> None:
    """“The backup executes in the primary's order, whatever order messages arrive in, and filters
    repeats itself.”
    """
    network = pair()
    for suffix in "123":
        network.call("x", "append", "k", suffix)
        network.deliver_next(Request)
    packets = network.waiting(Forward)
    assert len(packets) == 3
    for index in (2, 1, 0, 0, 2, 1, 1, 2, 0, 2):
        network.deliver(packets[index], keep=True)
        assert "0123".startswith(str(value(network, "b")))
    assert value(network, "b") == "0123"
    assert network.replicas["b"].state.op == 5
    network.settle()
    assert value(network, "a") == "0123"


def test_R24_a_forward_that_overlaps_what_is_executed_adds_only_the_rest() -> None:
    """“and filters repeats itself”: by op number, inside one forward too."""
    network = pair()
    network.calls("x", ("append", "k", "1"), ("append", "k", "2"))
    network.deliver_next(Request)
    (forward,) = forwards(network)
    network.inject("a", "b", replace(forward, operations=forward.operations[:1]))
    (_, first) = network.waiting(Forward)
    network.deliver(first)
    assert value(network, "b") == "01"
    network.settle()
    assert value(network, "b") == "012"


def test_R25_a_server_that_restarted_empty_does_not_act_as_primary() -> None:
    """“A server that restarted empty must not act as primary or ack its old view, also when it was
    the only one. The system then stays stuck, safely, and says so.”
    """
    network = Network()
    network.form("a")
    network.stop(VIEW)
    network.start("a")
    network.start_view_server()
    network.ping("a")
    network.checks(3, "a")
    assert isinstance(network.role("a"), Idle)
    assert network.replicas["a"].operating == 0
    assert network.view == ("a", None, 1)
    assert network.view_service.status().stuck


class Clock(StateMachine):
    """Keeps what is not deterministic."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    @command
    def put(self) -> str:
        self.ids.append(
            f"{self.context.now} {self.context.new_id()} {self.context.random.random()}"
        )
        return self.ids[-1]

    @query
    def get(self) -> list[str]:
        return list(self.ids)


def test_R26_choices_that_are_not_deterministic_are_the_primary_s() -> None:
    """“Choices that are not deterministic (time, randomness, ids) are made by the primary and sent
    along.” And they are the same after a failover.
    """
    network = Network(machine=Clock)
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    drawn = [network.do("x", "put") for _ in range(3)]
    assert len(set(map(str, drawn))) == 3
    network.stop("a")
    network.checks(2, "b")
    network.ping("b")
    read = network.call("x", "get")
    network.insist("x")
    assert network.result(read) == drawn
    later = str(network.do("x", "put"))
    assert later > str(drawn[-1])


def test_R27_the_command_is_forwarded_and_not_its_effect() -> None:
    """“What is forwarded is the command, not its effect.”"""
    network = pair()
    network.call("x", "append", "k", "1")
    (request,) = network.waiting(Request)
    assert isinstance(request.message, Request)
    network.deliver_next(Request)
    (forward,) = forwards(network)
    assert forward.operations == request.message.operations


def test_R28_one_tick_repeats_everything_and_there_is_no_timer_per_request() -> None:
    """“No handler blocks. Resend by timer. One tick for many requests; no timer per request.”"""
    network = pair()
    network.stop("b")
    for suffix in "123456":
        network.call("x", "append", "k", suffix)
        network.settle()
    assert set(network.nodes["a"].timers) == {Timer.PING, Timer.RESEND}
    assert set(network.nodes["x"].timers) == {Timer.RETRY}
    network.fire("a", Timer.RESEND)
    network.drop()
    network.fire("a", Timer.RESEND)
    assert [forward.first for forward in forwards(network)] == [3, 4, 5, 6, 7, 8]


def test_R28_a_window_of_forwards_is_repeated_and_then_moves_on() -> None:
    """Several forwards may be in flight, a bounded window; a resend repeats the window."""
    network = pair(Limits(forwards_in_flight_max=3))
    for suffix in "123456":
        network.call("x", "append", "k", suffix)
        network.deliver_next(Request)
    assert [forward.first for forward in forwards(network)] == [3, 4, 5]
    network.drop(Forward)
    network.fire("a", Timer.RESEND)
    network.fire("a", Timer.RESEND)
    assert [forward.first for forward in forwards(network)] == [3, 4, 5]
    network.settle()
    assert value(network, "a") == value(network, "b") == "0123456"


# -- who may be primary -------------------------------------------------------------------------


def test_R36_no_primary_without_having_seen_the_view_before() -> None:
    """“A server serves as primary of v only if v is 1, or it was primary of v-1, or it was backup
    of v-1 with an installed state. Otherwise: an invariant is violated, serve nobody, never ping
    v.” Trap: a server that learns view i+2 without having seen i+1.
    """
    network = pair()
    backup = network.replicas["b"]
    reply = ViewReply(View(4, backup.member, None), False, "kv")
    with pytest.raises(InvariantViolated, match="R36"):
        network.hand(VIEW, "b", reply)
    assert isinstance(network.role("b"), Idle)
    assert backup.operating == 2
    assert backup.status().stuck


def test_R36_no_primary_from_a_backup_that_was_not_filled() -> None:
    """“or it was backup of v-1 with an installed state.”"""
    network = Network()
    network.form("a")
    network.cut = {("a", "b")}
    network.start("b")
    network.ping("a", "b")
    backup = network.replicas["b"]
    assert isinstance(network.role("b"), Backup)
    with pytest.raises(InvariantViolated, match="R36"):
        network.hand(VIEW, "b", ViewReply(View(3, backup.member, None), False, "kv"))
    assert isinstance(network.role("b"), Idle)
    assert backup.operating < 3


def test_R36_installed_is_cleared_on_every_view_adopted_as_backup() -> None:
    """““Installed” is cleared on every view adopted as backup or idle.”"""
    network = pair()
    role = network.role("b")
    assert isinstance(role, Backup)
    assert role.installed
    view = network.view_service.view
    network.hand(VIEW, "b", ViewReply(View(3, view.primary, view.backup), False, "kv"))
    role = network.role("b")
    assert isinstance(role, Backup)
    assert not role.installed


# -- one unbroken time as primary ---------------------------------------------------------------


def deposed_with_pending() -> tuple[Network, list[int]]:
    """Return a network whose old primary a holds a command and a query when it learns that b is
    primary of view 3.
    """
    network = pair()
    network.cut = {("a", "b")}
    pending = network.calls("x", ("append", "k", "1"), ("get", "k"))
    network.settle()
    network.checks(2, "b")
    network.ping("b")
    assert network.view == ("b", None, 3)
    network.cut = set()
    return network, pending


def test_R39_a_deposed_primary_drops_what_is_pending_and_tells_its_clients() -> None:
    """““Taken but not executed” marks, pending commands and queries belong to one unbroken time as
    primary: becoming anything else drops them, unexecuted.”
    """
    network, pending = deposed_with_pending()
    network.fire("a", Timer.PING)
    network.deliver_next(Ping)
    network.deliver_next(ViewReply, target="a")
    (refused,) = network.waiting(Refused, source="a", target="x")
    assert not isinstance(network.role("a"), Primary)
    assert value(network, "a") == "0"
    assert not set(pending) & network.outcomes.keys()
    network.deliver(refused)
    network.settle()
    network.insist("x")
    assert [network.result(call) for call in pending] == ["01", "01"]


def test_R39_marks_restart_from_the_executed_table() -> None:
    """“marks restart from the executed table”: a mark that outlives a deposition would take the
    command for pending for ever.
    """
    network, (append, _) = deposed_with_pending()
    network.ping("a", "b", "a", "b", "a")
    assert network.view == ("b", "a", 4)
    network.stop("b")  # it never heard of the command: x has not asked it yet
    network.checks(2, "a")
    network.ping("a")
    assert network.views[-1].number == 5
    assert network.view_service.acked
    for _ in range(3):
        network.insist("x")
    assert network.result(append) == "01"


def test_R39_a_primary_that_stays_keeps_op_numbers_and_stamps() -> None:
    """“A primary that stays primary in i+1 keeps its pending commands with their op numbers and
    stamps.”
    """
    network = pair()
    network.start("c")
    network.settle()
    network.stop("b")
    call = network.call("x", "append", "k", "1")
    network.deliver_next(Request)
    (before,) = forwards(network)
    network.checks(2, "a", "c")
    assert network.view == ("a", "c", 3)
    network.fire("a", Timer.PING)
    network.settle(hold=lambda packet: isinstance(packet.message, Forward))
    (after,) = forwards(network)
    assert (after.first, after.stamp, after.operations) == (
        before.first,
        before.stamp,
        before.operations,
    )
    assert after.view == 3
    network.settle()
    assert network.result(call) == "01"
    assert value(network, "c") == "01"


def test_R51_resends_are_identical() -> None:
    """“(view, op number) names one command and one stamp for ever; resends are identical.”"""
    network = pair()
    network.calls("x", ("append", "k", "1"), ("append", "k", "2"))
    network.deliver_next(Request)
    (first,) = forwards(network)
    network.call("x", "append", "k", "3")
    network.deliver_next(Request)
    network.drop(Forward)
    network.fire("a", Timer.RESEND)
    network.fire("a", Timer.RESEND)
    again = forwards(network)[0]
    assert replace(again, confirm=first.confirm) == first


def test_R51_a_new_primary_stamps_above_the_last_executed_one() -> None:
    """“The last executed stamp is replicated state, in snapshots; a new primary stamps max(clock,
    last + 1).”
    """
    network = pair()
    last = network.replicas["a"].state.stamp
    assert network.replicas["b"].state.stamp == last
    network.stop("a")
    network.checks(2, "b")
    network.ping("b")
    call = network.call("x", "append", "k", "1")
    network.insist("x")
    assert network.result(call) == "01"
    assert network.replicas["b"].state.stamp > last


def test_R51_queries_never_advance_the_stamp() -> None:
    """“Queries never advance it.”"""
    network = pair()
    before = (network.replicas["a"].state.freeze(), network.replicas["b"].state.freeze())
    assert network.do("x", "get", "k") == "0"
    assert (network.replicas["a"].state.freeze(), network.replicas["b"].state.freeze()) == before


class Moody(StateMachine):
    """Raises after a change."""

    def __init__(self) -> None:
        self.count = 0

    @command
    def put(self, how: str) -> None:
        self.count += 1
        if how == "exit":
            raise SystemExit(how)
        raise KeyError(how)

    @query
    def get(self) -> int:
        return self.count


def test_R52_an_exception_is_an_outcome_and_the_state_stays_as_it_was_left() -> None:
    """“An `Exception` out of a command is an outcome; the state stays as the method left it.”"""
    network = Network(machine=Moody)
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    with pytest.raises(Exception, match="KeyError: 'no'"):
        network.do("x", "put", "no")
    assert network.do("x", "get") == 1
    assert network.replicas["a"].state.freeze() == network.replicas["b"].state.freeze()


def test_R52_other_base_exceptions_stop_the_node_before_it_confirms() -> None:
    """“Other BaseExceptions stop the node before it confirms or answers.” A command that kills its
    process kills the backup, not both.
    """
    network = Network(machine=Moody)
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    call = network.call("x", "put", "exit")
    network.settle(hold=lambda packet: bool(getattr(packet.message, "operations", None)))
    network.settle(hold=lambda packet: isinstance(packet.message, Forward))
    network.deliver_next(Forward)  # the opening of the session
    network.settle(hold=lambda packet: isinstance(packet.message, Forward))
    with pytest.raises(SystemExit):
        network.deliver_next(Forward)
    assert not network.waiting(Confirm)
    assert network.replicas["a"].state.op == 1
    assert call not in network.outcomes


def test_R20_R53_forwards_start_right_behind_the_state() -> None:
    """R53 “A snapshot carries the last executed op number; forwards in the new view start right
    behind it.” R20 “Each command is wholly before or wholly after a state transfer.”
    """
    network = pair()
    network.start("c")
    network.settle()
    network.stop("b")
    for suffix in "12":
        network.call("x", "append", "k", suffix)
        network.settle()
    network.checks(2, "a", "c")
    network.fire("a", Timer.PING)
    bases: list[int] = []
    firsts: list[int] = []
    network.call("x", "append", "k", "3")
    while network.in_flight:
        match network.deliver_next():
            case Packet(message=Piece(base=base)):
                bases.append(base)
            case Packet(target="c", message=Forward(first=first)):
                firsts.append(first)
    assert set(bases) == {2}  # ordered and forwarded in view 2, but executed by nobody who is left
    assert firsts[0] == 3
    assert value(network, "a") == value(network, "c") == "0123"


def test_R16_no_role_is_held_twice() -> None:
    """Every replica is what its view makes of it, and says so when that changes."""
    network = pair()
    network.start("c")
    network.settle()
    assert isinstance(network.role("a"), Primary)
    assert isinstance(network.role("b"), Backup)
    assert isinstance(network.role("c"), Idle)
    roles = [event.role for event in network.nodes["b"].events if isinstance(event, RoleChanged)]
    assert roles[-1] is Role.BACKUP

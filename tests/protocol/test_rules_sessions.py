"""Sessions and queries at the replicas: R29, R32, R37, R38, R40 and R41."""

from __future__ import annotations

import pytest

from pbactors.config import Limits
from pbactors.errors import InvariantViolated
from pbactors.machines.calls import decode_outcome, encode_call
from pbactors.protocol.core import Timer
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    Message,
    Reason,
    Refused,
    Reply,
    Request,
    SessionGone,
)
from pbactors.protocol.operations import Kind, Operation, Query

from .network import Network


class Raw:
    """A pair a,b with a client x whose requests the test writes itself."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.network = Network(limits=limits)
        self.network.form("a", "b")
        self.network.start_client("x")
        self.network.settle()
        self.session = self.open(b"token of x".ljust(16))

    def send(
        self, operations: tuple[Operation, ...] = (), queries: tuple[Query, ...] = ()
    ) -> list[Message]:
        """Send a request to the primary, settle, and return what x hears."""
        self.network.inject("x", "a", Request(2, operations, queries))
        self.network.settle(hold=lambda packet: packet.target == "x")
        heard = [packet.message for packet in self.network.waiting(target="x")]
        self.network.drop(target="x")
        return heard

    def open(self, token: bytes) -> int:
        """Open a session and return its id."""
        (reply,) = self.send(((0, 0, 0, Kind.OPEN, token),))
        assert isinstance(reply, Reply)
        assert reply.results[0][1:] == (0, token)
        return reply.results[0][0]

    def append(
        self, number: int, floor: int = 1, suffix: str | None = None, session: int = 0
    ) -> Operation:
        """Return a command of the session."""
        body = encode_call("append", ("k", suffix or str(number)))
        return (session or self.session, number, floor, Kind.CALL, body)

    def results(self, *operations: Operation) -> list[tuple[int, object]]:
        """Send commands and return (number, result) of what is answered."""
        return [
            (number, decode_outcome(outcome))
            for message in self.send(operations)
            if isinstance(message, Reply)
            for _, number, outcome in message.results
        ]

    @property
    def value(self) -> object:
        """What both copies hold under ``k``."""
        machines = [self.network.replicas[name].state.machine for name in "ab"]
        values = [vars(machine)["_instance"].values.get("k") for machine in machines]
        assert values[0] == values[1]
        return values[0]


def test_R29_commands_of_one_session_take_effect_in_their_order_each_once() -> None:
    """“Commands of one session may be pipelined; they take effect in their order, each at most
    once.”
    """
    raw = Raw()
    batch = (raw.append(1), raw.append(2), raw.append(3))
    assert raw.results(*batch) == [(1, "1"), (2, "12"), (3, "123")]
    assert raw.results(*batch) == [(1, "1"), (2, "12"), (3, "123")]
    assert raw.value == "123"


def test_R29_a_command_that_is_pending_is_not_taken_twice() -> None:
    """“each at most once”, also while the first copy waits for the backup."""
    raw = Raw()
    for _ in range(3):
        raw.network.inject("x", "a", Request(2, (raw.append(1),), ()))
        raw.network.deliver_next(Request)
    assert len(raw.network.waiting(Forward)) == 1
    raw.network.settle()
    assert raw.value == "1"


def test_R38_exactly_the_next_number_is_taken() -> None:
    """“A primary takes command n of a session exactly when n = last taken + 1.” A gap that were
    accepted would swallow the command in it.
    """
    raw = Raw()
    assert raw.results(raw.append(2)) == []
    assert raw.value is None
    assert raw.results(raw.append(1)) == [(1, "1")]
    assert raw.results(raw.append(3), raw.append(2)) == [(2, "12")]
    assert raw.results(raw.append(3)) == [(3, "123")]


def test_R38_executed_commands_are_answered_from_the_cache() -> None:
    """“Executed: repeat the cached result.” And R37: “Cached command results need no
    confirmation.”
    """
    raw = Raw()
    raw.results(raw.append(1))
    raw.network.stop("b")
    assert raw.results(raw.append(1)) == [(1, "1")]


def test_R24_the_table_itself_executes_nothing_twice() -> None:
    """Trap: “Duplicate filter only at the primary, or missing from the transfer, or apart from the
    apply step.”
    """
    raw = Raw()
    raw.results(raw.append(1), raw.append(2))
    copy = raw.network.replicas["b"].state.clone()
    for number, value in ((1, "1"), (2, "12")):
        [result] = copy.execute(b"s" * 16, (raw.append(number),))
        assert result is not None
        assert decode_outcome(result[2]) == value
    assert copy.machine.freeze() == raw.network.replicas["b"].state.machine.freeze()


def test_R24_R41_a_row_of_one_session_may_hold_anything() -> None:
    """Commands are executed in rows; a repeat, an ending and what comes after it have the results
    in one row that they have alone.
    """
    raw = Raw()
    raw.results(raw.append(1))
    state = raw.network.replicas["b"].state
    closing = (raw.session, 4, 4, Kind.CLOSE, b"")
    row = (raw.append(2), raw.append(1), raw.append(3, floor=3), closing, raw.append(5))
    alone, together = state.clone(), state.clone()
    one_by_one = [alone.execute(b"s" * 16, (operation,))[0] for operation in row]
    at_once = together.execute(b"s" * 16, row)
    assert at_once == one_by_one
    assert [result and result[1] for result in at_once] == [2, 1, 3, 4, None]
    assert together.freeze() == alone.freeze()
    assert together.op == state.op + len(row)


def test_R38_the_table_refuses_a_gap() -> None:
    """“A primary takes command n of a session exactly when n = last taken + 1.” Were one forwarded
    all the same, the backup would stop rather than execute it.
    """
    raw = Raw()
    raw.results(raw.append(1))
    state = raw.network.replicas["b"].state.clone()
    with pytest.raises(InvariantViolated, match=r"R38: session \d+ executes number 3 after 1"):
        state.execute(b"s" * 16, (raw.append(3),))


def test_R38_below_the_floor_is_ignored() -> None:
    """“Below the floor: ignore.”"""
    raw = Raw()
    raw.results(raw.append(1), raw.append(2), raw.append(3, floor=3))
    assert raw.send((raw.append(1), raw.append(2))) == []
    assert raw.results(raw.append(3)) == [(3, "123")]
    assert raw.value == "123"


def test_R38_at_or_past_floor_and_window_is_refused() -> None:
    """“At or past floor + window: refuse.”"""
    raw = Raw(Limits(session_window=2))
    heard = raw.send((raw.append(1), raw.append(2), raw.append(3)))
    refusals = [message for message in heard if isinstance(message, Refused)]
    assert [refusal.reason for refusal in refusals] == [Reason.OVERLOADED]
    assert raw.value == "12"
    assert raw.results(raw.append(3, floor=2)) == [(3, "123")]


def test_R32_results_are_dropped_when_the_client_has_said_it_has_them() -> None:
    """“Results are dropped when the client has said it has them (its floor).” R38: “pruned only by
    executing a command that carries the floor, so that both copies agree.”
    """
    raw = Raw()
    for number in range(1, 6):
        raw.results(raw.append(number, floor=number))
    for name in "ab":
        session = raw.network.replicas[name].state.sessions.get(raw.session)
        assert session is not None
        assert list(session.results) == [5]
        assert session.floor == 5


def test_R38_a_floor_that_is_not_executed_prunes_nothing() -> None:
    """“only by executing a command”: a request that waits for the backup prunes at nobody."""
    raw = Raw()
    raw.results(raw.append(1), raw.append(2))
    raw.network.cut = {("a", "b")}
    raw.send((raw.append(3, floor=3),))
    for name in "ab":
        session = raw.network.replicas[name].state.sessions.get(raw.session)
        assert session is not None
        assert list(session.results) == [1, 2]


def test_R32_the_table_is_bounded_and_R41_eviction_is_the_same_on_both_copies() -> None:
    """“the table is bounded.” “Eviction is a replicated step, decided from op numbers or stamps,
    the same on both copies.”
    """
    raw = Raw(Limits(sessions_max=2))
    second = raw.open(b"2" * 16)
    raw.results(raw.append(1))  # so the second is unused for longest
    third = raw.open(b"3" * 16)
    for name in "ab":
        sessions = raw.network.replicas[name].state.sessions
        assert len(sessions) == 2
        assert sessions.get(second) is None
        assert sessions.get(third) is not None
        assert sessions.get(raw.session) is not None
    assert raw.send((raw.append(1, session=second),)) == [SessionGone(second)]


def test_R41_a_command_whose_session_is_evicted_before_it_executes() -> None:
    """“Eviction is a replicated step”: what is ordered behind it does not happen, on both."""
    raw = Raw(Limits(sessions_max=1))
    opening: Operation = (0, 0, 0, Kind.OPEN, b"2" * 16)
    heard = raw.send((opening, raw.append(1)))
    assert SessionGone(raw.session) in heard
    assert raw.value is None


def test_R41_a_session_s_id_is_its_op_number_never_the_user_s_choice() -> None:
    """“A session is opened by a command; its id is that command's op number, never the user's
    choice.”
    """
    raw = Raw()
    raw.results(raw.append(1))
    assert raw.session == 1
    assert raw.open(b"2" * 16) == 3


@pytest.mark.parametrize("session", [7, 2**40])
def test_R41_a_request_of_an_unknown_session_creates_nothing(session: int) -> None:
    """“A request of an unknown session is refused and creates nothing.”"""
    raw = Raw()
    before = raw.network.replicas["a"].state.freeze()
    assert raw.send((raw.append(1, session=session),)) == [SessionGone(session)]
    assert raw.send((), ((1, session, 1, encode_call("get", ("k",))),)) == [SessionGone(session)]
    assert raw.network.replicas["a"].state.freeze() == before


def test_R41_a_repeated_opening_is_answered_with_the_same_id() -> None:
    """“The opening request carries a random token of the client, kept in the table; while that
    session stands, a repeat is answered with its id.”
    """
    raw = Raw()
    token = b"token of x".ljust(16)
    assert raw.open(token) == raw.session
    opening: Operation = (0, 0, 0, Kind.OPEN, b"2" * 16)
    (reply,) = raw.send((opening, opening))
    assert isinstance(reply, Reply)
    assert {result[0] for result in reply.results} == {2}
    assert raw.network.replicas["a"].state.op == 2  # it was put in order once
    assert len(raw.network.replicas["b"].state.sessions) == 2
    raw.network.stop("a")  # the token is part of the replicated state
    raw.network.checks(2, "b")
    raw.network.ping("b")
    raw.network.inject("x", "b", Request(3, ((0, 0, 0, Kind.OPEN, token),), ()))
    raw.network.deliver_next(Request)
    (reply,) = [packet.message for packet in raw.network.waiting(Reply)]
    assert isinstance(reply, Reply)
    assert reply.results == ((raw.session, 0, token),)


def test_R41_a_client_that_closes_ends_its_session_by_a_command() -> None:
    """“A client that closes ends its session by a command.”"""
    raw = Raw()
    raw.results(raw.append(1))
    raw.send(((raw.session, 2, 2, Kind.CLOSE, b""),))
    for name in "ab":
        assert len(raw.network.replicas[name].state.sessions) == 0
    assert raw.send((raw.append(2),)) == [SessionGone(raw.session)]


@pytest.mark.parametrize(
    "limits", [Limits(pending_operations_max=2), Limits(operation_bytes_max=60)]
)
def test_R40_a_refusal_means_later(limits: Limits) -> None:
    """“A server's refusal means “later”, never “did not happen”.” What follows a refused command
    is not taken before it.
    """
    raw = Raw(limits)
    large = raw.append(2, suffix="x" * 60)
    raw.network.cut = {("a", "b")}
    heard = raw.send((raw.append(1), large, raw.append(3), raw.append(4)))
    assert [message.reason for message in heard if isinstance(message, Refused)] == [
        Reason.OVERLOADED
    ]
    raw.network.cut = set()
    raw.network.resend("a")
    raw.network.drop(target="x")
    taken = raw.network.replicas["b"].state.sessions.get(raw.session)
    assert taken is not None
    assert taken.last == (2 if limits.pending_operations_max == 2 else 1)


# -- queries ------------------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [False, True], ids=["same view", "after a change"])
def test_R37_a_query_waits_for_the_echo_of_a_number_sent_after_it_arrived(changed: bool) -> None:
    """“A query is answered only after the echo of a number first sent after the query arrived.” The
    confirmation of an earlier forward says nothing about now.
    """
    network = Raw().network
    network.call("x", "append", "k", "1")
    network.settle()
    if changed:  # echoes of the former view, however high, count for nothing
        for _ in range(20):
            network.do("x", "get", "k")
        network.checks(2, "a")
        network.ping("b", "a")
        assert network.view == ("a", "b", 4)
    write = network.call("x", "append", "k", "2")
    network.deliver_next(Request)
    network.deliver_next(Forward)
    early = network.waiting(Confirm)
    read = network.call("x", "get", "missing")
    network.deliver_next(Request)
    for packet in early:
        network.deliver(packet)
    network.settle(hold=lambda packet: isinstance(packet.message, Forward))
    assert write in network.outcomes
    assert read not in network.outcomes
    network.settle()
    assert network.result(read) is None


def test_R37_confirm_numbers_count_up_on_resends_too() -> None:
    """“Each message of the primary to the backup carries a confirm number, counted up per flush,
    also on resends.”
    """
    network = Raw().network
    network.call("x", "get", "k")
    network.deliver_next(Request)
    network.fire("a", Timer.RESEND)
    network.fire("a", Timer.RESEND)
    network.call("x", "get", "k")
    network.deliver_next(Request)
    numbers = [
        packet.message.confirm
        for packet in network.waiting(Forward)
        if isinstance(packet.message, Forward)
    ]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 3


def test_R37_a_delayed_echo_of_another_view_answers_nothing() -> None:
    """“the backup echoes the highest it has seen only while its own view is i.” “After any view
    change unanswered queries start again.”
    """
    network = Network(min_copies=2)  # so that it does not answer alone while it fills c
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    for _ in range(20):  # so that confirm numbers of this view are far above those of the next
        network.do("x", "get", "k")
    read = network.call("x", "get", "k")
    network.settle(hold=lambda packet: isinstance(packet.message, Confirm))
    (late,) = network.waiting(Confirm)
    network.in_flight.remove(late)
    network.start("c")
    network.settle()
    network.checks(2, "a", "c")
    network.cut = {("a", "c")}
    network.ping("a")
    assert network.view == ("a", "c", 3)
    network.deliver(late, keep=True)
    assert read not in network.outcomes
    network.cut = set()
    network.resend("a")
    assert network.result(read) is None


def test_R37_without_a_backup_a_query_is_answered_at_once() -> None:
    """“With no backup, or while R33 allows answering alone, at once.”"""
    network = Network()
    network.form("a")
    network.start_client("x")
    network.settle()
    read = network.call("x", "get", "k")
    network.deliver_next(Request)
    network.deliver_next(Reply)
    assert network.result(read) is None


def test_R37_a_query_is_answered_from_the_state_after_the_commands_it_must_see() -> None:
    """“from the state after the commands it must see” - and overtaken by nothing that came later,
    so that batches cannot change what it sees.
    """
    network = Raw().network
    calls = network.calls(
        "x",
        ("append", "k", "1"),
        ("get", "k"),
        ("append", "k", "2"),
        ("get", "k"),
        ("get", "k"),
        ("append", "k", "3"),
    )
    network.settle()
    assert [network.result(call) for call in calls] == ["1", "1", "12", "12", "12", "123"]


def test_R29_a_query_never_runs_before_the_command_it_carries_the_number_of() -> None:
    """“it carries that of the session's last command before it and sees every command up to that
    one”
    """
    raw = Raw()
    ask: Query = (1, raw.session, 1, encode_call("get", ("k",)))
    assert raw.send((), (ask,)) == []  # its command was lost: both will come again
    (reply,) = raw.send((raw.append(1),), (ask,))
    assert isinstance(reply, Reply)
    assert [decode_outcome(outcome) for _, outcome in reply.answers] == ["1"]


def test_R37_lost_confirmations_are_asked_for_again() -> None:
    """A query whose echo is lost is answered after a resend."""
    network = Raw().network
    read = network.call("x", "get", "k")
    network.settle(hold=lambda packet: isinstance(packet.message, Confirm))
    network.drop(Confirm)
    network.resend("a")
    assert network.result(read) is None


def test_R40_too_many_queries_are_refused() -> None:
    """“overloaded” means later for queries too."""
    raw = Raw(Limits(waiting_queries_max=1))
    body = encode_call("get", ("k",))
    heard = raw.send((), ((1, 0, 0, body), (2, 0, 0, body)))
    assert [message.reason for message in heard if isinstance(message, Refused)] == [
        Reason.OVERLOADED
    ]
    answers = [message.answers for message in heard if isinstance(message, Reply)]
    assert [[query for query, _ in some] for some in answers] == [[1]]

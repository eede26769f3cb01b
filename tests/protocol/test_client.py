"""The client's core: R29-R31, R40, R41 as a caller sees them."""

from __future__ import annotations

import pytest

from pbactors.config import Limits
from pbactors.protocol.client import Client
from pbactors.protocol.core import Core, Outbox, Timer
from pbactors.protocol.events import SessionClosed, SessionLost
from pbactors.protocol.messages import (
    GetView,
    Ping,
    Reason,
    Refused,
    Reply,
    Request,
    SessionGone,
    ViewReply,
)
from pbactors.protocol.operations import Kind
from pbactors.protocol.view import View

from .network import CONTRACT, VIEW, Network


def serving(limits: Limits | None = None) -> Network:
    """Return a network in view 2:a,b with client x, whose session is open."""
    network = Network(limits=limits)
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    network.do("x", "put", "k", "")
    return network


def requests(network: Network) -> list[Request]:
    """Return the requests in flight."""
    return [
        packet.message for packet in network.waiting(Request) if isinstance(packet.message, Request)
    ]


def numbers(network: Network) -> list[int]:
    """Return the request numbers in flight."""
    return [operation[1] for request in requests(network) for operation in request.operations]


def withdraw(network: Network, call: int) -> bool:
    """Let the deadline of a call pass; tell whether it was certainly not sent."""
    certain: list[bool] = []

    def step(core: Core, out: Outbox) -> None:
        assert isinstance(core, Client)
        certain.append(core.withdraw(call))

    network.act("x", step)
    return certain[0]


def close(network: Network) -> None:
    """Let the user close the client."""

    def step(core: Core, out: Outbox) -> None:
        assert isinstance(core, Client)
        core.on_close(out)

    network.act("x", step)


def test_R29_numbers_go_up_from_1_without_gaps() -> None:
    """“A session: an id, request numbers for commands from 1 without gaps.”"""
    network = serving()
    network.calls("x", ("put", "k", "1"), ("get", "k"), ("put", "k", "2"))
    network.call("x", "put", "k", "3")
    assert numbers(network) == [2, 3, 4]
    (first, _) = requests(network)
    assert [query[2] for query in first.queries] == [2]  # the last command before it


def test_R29_calls_before_the_session_is_open_keep_their_order() -> None:
    """“they take effect in their order”, the first ones too."""
    network = Network()
    network.form("a", "b")
    network.start_client("x")
    calls = network.calls("x", ("append", "k", "1"), ("get", "k"), ("append", "k", "2"))
    network.settle()
    assert [network.result(call) for call in calls] == ["1", "1", "12"]


def test_R29_retries_until_answered() -> None:
    """“retry until answered”: whatever is lost on the way."""
    network = serving()
    call = network.call("x", "append", "k", "1")
    network.drop(Request)
    network.insist("x")
    assert network.result(call) == "1"
    call = network.call("x", "append", "k", "2")
    network.settle(hold=lambda packet: packet.target == "x")
    network.drop(Reply)
    network.insist("x")
    assert network.result(call) == "12"


def test_R29_a_window_of_commands_is_unanswered_at_most() -> None:
    """“Commands of one session may be pipelined”: a bounded window of them."""
    network = serving(Limits(session_window=3))
    calls = network.calls("x", *(("append", "k", str(number)) for number in range(8)))
    assert numbers(network) == [2, 3, 4]
    network.settle()
    assert network.result(calls[-1]) == "01234567"


def test_R32_the_floor_is_what_the_client_has_not_heard_of() -> None:
    """“Results are dropped when the client has said it has them (its floor).”"""
    network = serving()
    network.call("x", "append", "k", "1")
    network.drop(Request)
    network.call("x", "append", "k", "2")
    assert [operation[2] for operation in requests(network)[0].operations] == [2]
    network.settle()
    network.insist("x")
    network.call("x", "append", "k", "3")
    assert [operation[2] for operation in requests(network)[0].operations] == [4]


def test_R30_the_view_server_is_asked_at_the_start_and_never_per_operation() -> None:
    """“Cache the view; ask the view server only at start, on silence, on a rejection; never per
    operation.”
    """
    network = serving()
    assert network.delivered[VIEW, GetView] == 1
    for number in range(30):
        network.do("x", "put", "k", str(number))
        network.tick("x", Timer.RETRY)  # fires for nothing
    assert network.delivered[VIEW, GetView] == 1


def test_R30_on_silence_it_asks_once_per_interval() -> None:
    """“on silence”"""
    network = serving()
    network.stop("a")
    network.tick("x", Timer.RETRY)  # the interval of the answered call ends
    network.call("x", "put", "k", "1")
    asked = network.delivered[VIEW, GetView]
    for _ in range(5):
        network.tick("x", Timer.RETRY)
    assert network.delivered[VIEW, GetView] == asked + 5


def refuse(network: Network, view: int, reason: Reason) -> None:
    """Let the primary refuse what it is sent."""
    network.drop(Request)
    network.hand("a", "x", Refused(view, reason, "later"))


@pytest.mark.parametrize(("view", "asks"), [(1, 0), (2, 1), (3, 1)])
def test_R30_on_a_rejection_it_asks_unless_the_other_is_behind(view: int, asks: int) -> None:
    """“on a rejection”; “a rejection with a lower number than one's own means back off.”"""
    network = serving()
    call = network.call("x", "append", "k", "1")
    refuse(network, view, Reason.NOT_PRIMARY)
    assert len(network.waiting(GetView)) == asks
    assert not requests(network)  # it does not hammer
    network.settle()
    network.insist("x")
    assert network.result(call) == "1"


def test_R30_many_rejections_ask_once() -> None:
    """“never per operation”: however many requests are refused."""
    network = serving()
    for number in range(10):
        network.call("x", "append", "k", str(number))
    for _ in range(10):
        refuse(network, 2, Reason.NOT_PRIMARY)
    assert len(network.waiting(GetView)) == 1


def test_R30_views_are_taken_from_the_view_server_only_and_only_higher() -> None:
    """“Everyone adopts only a higher number under the same cluster id, from the view server's reply
    or PUB; a number in a peer's message is a hint to ask.”
    """
    network = serving()
    member = network.replicas["b"].member
    network.hand("a", "x", ViewReply(View(9, member, None), True, CONTRACT))
    network.hand(VIEW, "x", ViewReply(View(1, member, None), True, CONTRACT))
    assert network.client("x").view.number == 2
    network.hand(VIEW, "x", ViewReply(View(3, member, None), True, CONTRACT))
    assert network.client("x").view.number == 3


def test_R30_a_replica_follows_a_hint_by_asking_once() -> None:
    """“a number in a peer's message is a hint to ask”, once per interval."""
    network = serving()
    for _ in range(5):
        network.hand("x", "a", Request(7, (), ()))
    assert len(network.waiting(Ping, source="a")) == 1
    assert network.replicas["a"].view.number == 2


def test_R30_a_new_primary_is_sent_everything_unanswered() -> None:
    """A change of primary is followed without the caller's doing."""
    network = serving()
    network.stop("a")
    calls = network.calls("x", ("append", "k", "1"), ("get", "k"))
    network.settle()
    network.checks(2, "b")
    network.ping("b")
    network.hand(VIEW, "x", ViewReply(network.view_service.view, True, CONTRACT))
    network.settle()
    assert [network.result(call) for call in calls] == ["1", "1"]


def test_R31_what_was_never_sent_certainly_did_not_happen() -> None:
    """“A call that ends without an answer says whether the command certainly did not happen (only
    if it was never put on the wire) or may have happened.”
    """
    network = Network()
    network.start_view_server()
    network.start_client("x")
    network.settle()
    command, query = network.calls("x", ("append", "k", "1"), ("get", "k"))
    assert not requests(network)
    assert withdraw(network, command)
    assert withdraw(network, query)
    network.start("a")
    network.settle()
    later = network.call("x", "get", "k")
    network.insist("x")
    assert network.result(later) is None
    assert set(network.outcomes) == {later}


def test_R31_behind_a_full_window_a_call_was_not_sent() -> None:
    """“only if it was never put on the wire”: and it never will be."""
    network = serving(Limits(session_window=1))
    sent, unsent = network.calls("x", ("append", "k", "1"), ("append", "k", "2"))
    assert not withdraw(network, sent)
    assert withdraw(network, unsent)
    network.settle()
    assert network.do("x", "append", "k", "3") == "13"


def test_R40_a_call_whose_deadline_passed_is_retried_in_the_background() -> None:
    """“A request number is assigned at first send and never skipped: a call whose deadline passed
    goes on being retried in the background, so that the session has no gap.”
    """
    network = serving()
    late = network.call("x", "append", "k", "1")
    network.drop(Request)
    assert not withdraw(network, late)
    later = network.call("x", "append", "k", "2")
    network.settle()
    assert later not in network.outcomes
    network.insist("x")
    assert network.result(later) == "12"


def test_R40_a_query_whose_deadline_passed_is_forgotten() -> None:
    """A query has no number, and leaves no gap."""
    network = serving()
    query = network.call("x", "get", "k")
    network.drop(Request)
    assert not withdraw(network, query)
    network.insist("x")
    assert query not in network.outcomes
    assert not requests(network)


def test_R40_an_overloaded_primary_is_asked_again_later() -> None:
    """“A server's refusal (overloaded, not primary, wrong view) means “later”.”"""
    network = serving()
    call = network.call("x", "append", "k", "1")
    refuse(network, 2, Reason.OVERLOADED)
    assert network.nodes["x"].timers[Timer.RETRY] == network.timing.ping_interval_ms
    network.insist("x")
    assert network.result(call) == "1"


def test_R30_waits_double_when_nothing_comes_of_them() -> None:
    """Patience grows up to its bound, and is fresh after an answer."""
    network = serving()
    network.stop("a", "b")
    network.call("x", "append", "k", "1")
    waits = []
    for _ in range(20):
        waits.append(network.nodes["x"].timers[Timer.RETRY])
        network.tick("x", Timer.RETRY)
    assert waits == sorted(waits)
    assert waits[0] == network.timing.client_resend_ms
    assert waits[-1] == network.timing.client_resend_max_ms


def test_R41_a_session_that_is_gone_ends_what_was_sent_and_opens_another() -> None:
    """“`SessionExpired`: may have happened”; calls that were not sent go on in a new session."""
    network = serving(Limits(session_window=1, sessions_max=1))
    network.start_client("y")
    network.settle()
    network.do("y", "put", "other", "1")  # evicts the session of x
    sent, unsent, query = network.calls(
        "x", ("append", "k", "1"), ("append", "k", "2"), ("get", "k")
    )
    network.settle()
    assert network.outcomes[sent] is None
    assert network.result(unsent) == "2"
    assert network.result(query) == "2"
    assert [event for event in network.nodes["x"].events if isinstance(event, SessionLost)]


def test_R41_a_word_about_another_session_ends_nothing() -> None:
    """A delayed `SessionGone` of a former session."""
    network = serving()
    call = network.call("x", "append", "k", "1")
    network.hand("a", "x", SessionGone(999))
    network.settle()
    assert network.result(call) == "1"


def test_R41_a_lost_opening_is_repeated_with_the_same_token() -> None:
    """“The opening request carries a random token of the client”: its repeats carry the same."""
    network = Network()
    network.form("a", "b")
    network.start_client("x")
    network.settle()
    call = network.call("x", "append", "k", "1")
    (opening,) = requests(network)[0].operations
    network.settle(hold=lambda packet: packet.target == "x")
    network.drop(Reply)
    for _ in range(2):
        network.fire("x", Timer.RETRY)
    again = [operation for request in requests(network) for operation in request.operations]
    assert set(again) == {opening}
    network.settle()
    assert network.result(call) == "1"
    assert len(network.replicas["a"].state.sessions) == 1


def test_R41_closing_ends_the_session_by_a_command() -> None:
    """“A client that closes ends its session by a command.” What was sent before is done first."""
    network = serving()
    call = network.call("x", "append", "k", "1")
    close(network)
    assert requests(network)[-1].operations[-1][3] == Kind.CLOSE
    network.drop(Request)
    network.insist("x")
    assert network.result(call) == "1"
    assert SessionClosed() in network.nodes["x"].events
    assert len(network.replicas["b"].state.sessions) == 0


def test_R41_closing_without_a_session_ends_at_once() -> None:
    """Nothing was opened: nothing is to be ended."""
    network = Network()
    network.start_view_server()
    network.start_client("x")
    close(network)
    assert SessionClosed() in network.nodes["x"].events


def test_R41_closing_a_session_that_is_gone_is_closing() -> None:
    """The cluster dropped the session before: the user's wish is fulfilled."""
    network = serving(Limits(sessions_max=1))
    network.start_client("y")
    network.settle()
    network.do("y", "put", "other", "1")
    close(network)
    network.settle()
    assert SessionClosed() in network.nodes["x"].events


def test_R52_nothing_is_sent_to_a_cluster_with_another_contract() -> None:
    """A wrong class is refused before anything happens."""
    network = Network()
    network.form("a")
    network.start_client("x")
    network.drop()
    call = network.call("x", "append", "k", "1")
    network.hand(VIEW, "x", ViewReply(network.view_service.view, True, "another"))
    assert network.client("x").other_contract == "another"
    assert not requests(network)
    assert withdraw(network, call)

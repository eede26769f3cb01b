"""R49: what a lost connection means, and what it must never do by itself. And push: views are told
to all at once.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pbactors.protocol.core import (
    ConnectionLost,
    Emit,
    Outbox,
    Persist,
    Publish,
    Signal,
    Slept,
    Timer,
)
from pbactors.protocol.events import Event, GraceGiven, Suspected, SuspicionVoid
from pbactors.protocol.liveness import SUSPECT_CHECKS, TROUBLE_CHECKS
from pbactors.protocol.messages import ViewReply
from pbactors.protocol.view import View

from .hand_driven import Servers, named, pair
from .network import VIEW, Network

PATIENT = 10
"""Ping checks of the full patience here: far more than a suspect gets."""


def lose(servers: Servers, *names: str) -> None:
    """Lose connections, all at once."""
    for name in names:
        servers.core.on_signal(ConnectionLost(name), Outbox())


def test_R49_a_suspicion_never_itself_kills() -> None:
    """“shortens patience and never itself kills”"""
    servers = pair(PATIENT, "3")
    lose(servers, "1")
    assert servers.ping("2") == ("1", "2", 2)
    assert servers.checks(SUSPECT_CHECKS - 1, "2", "3") == ("1", "2", 2)


def test_R49_a_suspicion_shortens_patience() -> None:
    """“shortens patience”: a killed primary is replaced after the next ping checks."""
    servers = pair(PATIENT, "3")
    lose(servers, "1")
    assert servers.checks(SUSPECT_CHECKS, "2", "3") == ("2", "3", 3)


def test_R49_a_backup_too_is_replaced_soon() -> None:
    servers = pair(PATIENT, "3")
    lose(servers, "2")
    assert servers.checks(SUSPECT_CHECKS, "1", "3") == ("1", "3", 3)


def test_without_a_suspicion_patience_is_full() -> None:
    """“missed pings on a living connection (busy, hung) count with the longer patience”"""
    servers = pair(PATIENT, "3")
    assert servers.checks(PATIENT - 1, "2", "3") == ("1", "2", 2)
    assert servers.checks(1, "2", "3") == ("2", "3", 3)


def test_R49_a_suspicion_is_void_if_a_newer_ping_exists() -> None:
    """“is void if a newer connection or ping exists”"""
    servers = pair(PATIENT, "3")
    lose(servers, "1")
    servers.check()
    servers.ping("1")
    assert servers.checks(PATIENT - 1, "2", "3") == ("1", "2", 2)


def test_R49_the_backup_is_promoted_only_after_a_later_ping() -> None:
    """“Where a suspicion, not the full patience of R9, condemned the primary, the backup is
    promoted only after a ping of its incarnation later than that event”: what hit one may have hit
    both.
    """
    servers = pair(PATIENT, "3")
    lose(servers, "1")
    assert servers.checks(SUSPECT_CHECKS, "3") == ("1", "2", 2)
    assert servers.ping("2") == ("2", "3", 3)


def test_R49_another_life_of_the_backup_is_no_later_ping() -> None:
    """“a ping of its incarnation”"""
    servers = pair(PATIENT, "3")
    lose(servers, "1")
    servers.checks(SUSPECT_CHECKS, "3")
    servers.restart("2")
    assert servers.ping("2", 0) == ("1", "2", 2)


def test_R49_at_full_patience_alive_is_enough() -> None:
    """“at full patience, alive by R9 is enough”"""
    servers = pair(PATIENT, "3")
    for _ in range(3):
        servers.check()
    servers.ping("2")
    lose(servers, "1")
    assert servers.checks(PATIENT - 4) == ("1", "2", 2)
    assert servers.checks(1) == ("2", None, 3), "2 was silent for less than the full patience"


@pytest.mark.parametrize("lost", [("1", "2"), ("1", "3"), ("3", "2", "1"), ("2", "3", "1")])
def test_R49_losing_most_peers_at_once_is_its_own_trouble(lost: tuple[str, ...]) -> None:
    """“If V loses most peers at once, that is V's own trouble: full patience.”"""
    servers = pair(PATIENT, "3")
    lose(servers, *lost)
    assert servers.checks(PATIENT - 1) == ("1", "2", 2)


@pytest.mark.parametrize("signals", [(Slept(),), (ConnectionLost("2"), ConnectionLost("3"))])
def test_R49_trouble_of_its_own_is_noticed_bit_by_bit(signals: tuple[Signal, ...]) -> None:
    """“that is V's own trouble: full patience”: also for whose connection is found lost a moment
    later, when pings have come again; but not for ever.
    """
    servers = pair(PATIENT, "3")
    told(servers, *signals)
    servers.checks(TROUBLE_CHECKS - 1, "1", "2", "3")
    lose(servers, "1")
    assert servers.checks(SUSPECT_CHECKS, "2", "3") == ("1", "2", 2)
    servers.ping("1")
    lose(servers, "1")
    assert servers.checks(SUSPECT_CHECKS, "2", "3") == ("2", "3", 3)


def test_one_after_the_other_is_no_trouble_of_its_own() -> None:
    """The idle server died some time ago; it is not counted among the peers any more."""
    servers = pair(PATIENT, "3")
    lose(servers, "3")
    assert servers.checks(SUSPECT_CHECKS, "1", "2") == ("1", "2", 2)
    lose(servers, "1")
    assert servers.checks(SUSPECT_CHECKS, "2") == ("2", None, 3)


@pytest.mark.parametrize(
    "begin_anew",
    [
        lambda servers: servers.core.on_signal(Slept(), Outbox()),
        lambda servers: servers.start(servers.record),
    ],
    ids=["slept", "restarted"],
)
def test_R49_who_slept_or_has_just_restarted_gives_everyone_a_fresh_grace(
    begin_anew: Callable[[Servers], None],
) -> None:
    """Its connections were lost while it did not look, or not made yet: that says nothing."""
    servers = pair(PATIENT, "3")
    begin_anew(servers)
    lose(servers, "1")
    assert servers.checks(PATIENT - 1, "2", "3") == ("1", "2", 2)


def test_strangers_and_the_dead_are_not_suspected() -> None:
    servers = pair(PATIENT, "3")
    lose(servers, "nobody", "", VIEW)
    servers.checks(PATIENT, "1", "2")
    frozen = servers.core.freeze()
    lose(servers, "3")
    assert servers.core.freeze() == frozen


# -- what people are told of it ---------------------------------------------------------------


def told(servers: Servers, *signals: Signal) -> list[Event]:
    """Return the events of what the driver noticed."""
    out = Outbox()
    for signal in signals:
        servers.core.on_signal(signal, out)
    return [effect.event for effect in out.effects if isinstance(effect, Emit)]


def test_a_suspicion_and_its_end_are_told_once_each() -> None:
    servers = pair(PATIENT, "3")
    assert told(servers, ConnectionLost("1"), ConnectionLost("1")) == [Suspected("1")]
    servers.effects.clear()
    servers.ping("1")
    servers.ping("1")
    events = [effect.event for effect in servers.effects if isinstance(effect, Emit)]
    assert events == [SuspicionVoid("1")]


def test_trouble_of_its_own_ends_every_suspicion() -> None:
    """“If V loses most peers at once, that is V's own trouble”"""
    servers = pair(PATIENT, "3")
    assert told(servers, ConnectionLost("3"), ConnectionLost("1")) == [
        Suspected("3"),
        Suspected("1"),
        SuspicionVoid("1", at_once=True),
        SuspicionVoid("3", at_once=True),
    ]


def test_R46_a_view_server_that_slept_says_for_how_long() -> None:
    """“everyone gets a fresh grace period (also when V notices it slept)”"""
    servers = pair(PATIENT, "3")
    (event,) = told(servers, Slept(612))
    assert event == GraceGiven(612)
    assert str(event) == "did nothing for 612 ms: everyone has a fresh grace period"


# -- push -------------------------------------------------------------------------------------


def test_R14_a_view_is_published_when_it_is_durable() -> None:
    """“Views are durable before anyone hears of them”, also who only listens."""
    servers = pair(PATIENT, "3")
    servers.effects.clear()
    servers.checks(PATIENT, "2", "3")
    servers.ping("2")
    told = [
        (type(effect), named(effect.record.view if isinstance(effect, Persist) else _view(effect)))
        for effect in servers.effects
        if isinstance(effect, Persist | Publish)
    ]
    view = ("2", "3", 3)
    assert told == [(Persist, view), (Publish, view), (Persist, view), (Publish, view)]
    assert [_acked(effect) for effect in servers.effects if isinstance(effect, Publish)] == [
        False,
        True,
    ]


def _view(publish: Publish) -> View:
    assert isinstance(publish.message, ViewReply)
    return publish.message.view


def _acked(publish: Publish) -> bool:
    assert isinstance(publish.message, ViewReply)
    return publish.message.acked


def test_R30_a_published_view_is_adopted_as_the_view_servers_reply_is() -> None:
    """“Everyone adopts only a higher number under the same cluster id, from the view server's reply
    or PUB”: no replica pings and no client asks, and all go on in the new view.
    """
    network = Network(dead_pings=2, publishes=True)
    network.form()
    network.start_client("client")
    assert network.do("client", "put", "color", "blue") is None
    network.stop("a")
    network.ping("b", "c")
    network.fire(VIEW, Timer.PING_CHECK)
    call = network.call("client", "get", "color")
    network.ping("b", "c")
    network.fire(VIEW, Timer.PING_CHECK)
    network.settle(hold=lambda packet: packet.target == VIEW)
    assert network.view == ("b", "c", 3)
    assert network.result(call) == "blue"


def test_without_push_they_ask() -> None:
    """Polling remains the fallback: what is published may be lost."""
    network = Network(dead_pings=2)
    network.form()
    network.start_client("client")
    network.do("client", "put", "color", "blue")
    network.stop("a")
    network.checks(2, "b", "c")
    network.ping("b", "c")
    call = network.call("client", "get", "color")
    network.insist("client")
    assert network.result(call) == "blue"

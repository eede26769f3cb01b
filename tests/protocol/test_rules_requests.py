"""What the view service makes of reports, of leaving and of operators' wishes, driven by hand: R43,
R44, R50, and what a primary must have done just before its backup is given away on request.
"""

from __future__ import annotations

import pytest

from pbactors.protocol.core import ConnectionLost, Emit, Outbox, Send
from pbactors.protocol.events import ViewInstalled
from pbactors.protocol.messages import HandOver, Ping, Reason, Refused, Report, ViewReply
from pbactors.protocol.tool_messages import SwitchOver
from pbactors.protocol.view import NO_VIEW, Cause, Member, ViewRecord

from .hand_driven import Servers, pair
from .network import CLUSTER, CONTRACT, incarnation

PATIENT = 40
"""Ping checks of the full patience: more than a lost link takes."""

LINK_CHECKS = 12
"""link_loss_ms in ping checks."""

HOLD_CHECKS = 40
"""The first hold-down in ping checks."""

OPERATOR = Member("", incarnation(9))


def reports(servers: Servers, checks: int, report: Report, *others: str) -> None:
    """So many ping checks, before each of which 1 reports so and others ping."""
    for _ in range(checks):
        servers.ping("1", report=report)
        servers.checks(1, *others)


def wish(servers: Servers, to: str) -> str | None:
    """Ask for another primary; return the refusal, or None where the view was told."""
    for effect in servers.say(OPERATOR, SwitchOver(to)):
        if isinstance(effect, Send) and isinstance(effect.message, Refused):
            assert effect.message.reason == Reason.CANNOT_SWITCH
            return effect.message.text
        if isinstance(effect, Send):
            assert isinstance(effect.message, ViewReply)
    return None


def causes(servers: Servers) -> list[tuple[Cause | None, str]]:
    """Return why views followed, and whom that was about."""
    events = [effect.event for effect in servers.effects if isinstance(effect, Emit)]
    return [(each.cause, each.node) for each in events if isinstance(each, ViewInstalled)]


def hold(servers: Servers, times: int) -> None:
    """Let 1 say so often that 2 has diverged, each time after they are a pair again."""
    for _ in range(times):
        while servers.view[1] != "2":
            servers.checks(1, "1", "2")
        servers.ping("1")
        servers.ping("1", report=Report.DIVERGED)
        assert servers.view[1] != "2"
    servers.ping("1")


# -- R43: what stands in the newest ping of a primary that lives --------------------------------


def test_R43_a_report_does_not_ripen_while_its_primary_is_silent() -> None:
    """“in its newest ping, continuously”: one that reports and dies would else cost the only living
    copy, since it is its last ping that stands. The backup is promoted instead.
    """
    servers = pair(PATIENT, "3")
    servers.ping("1", report=Report.UNREACHABLE)
    assert servers.checks(PATIENT - 1, "2", "3") == ("1", "2", 2)
    assert servers.checks(1, "2", "3") == ("2", "3", 3)


def test_R43_a_report_does_not_ripen_while_its_primary_is_suspected() -> None:
    """R49: whose connection is lost may be dead; its last report must not cost the living copy."""
    servers = pair(PATIENT, "3")
    reports(servers, LINK_CHECKS - 1, Report.UNREACHABLE, "2", "3")
    servers.ping("1", report=Report.UNREACHABLE)
    servers.core.on_signal(ConnectionLost("1"), Outbox())
    assert servers.checks(2, "2", "3") == ("2", "3", 3)
    assert causes(servers)[-1] == (Cause.KILLED, "1")


def test_R43_a_primary_that_is_heard_now_and_then_goes_on_missing_it() -> None:
    """Pings that are late make it slower, and do not begin it anew."""
    servers = pair(PATIENT, "3")
    reports(servers, LINK_CHECKS - 1, Report.UNREACHABLE, "2", "3")
    assert servers.checks(3, "2", "3") == ("1", "2", 2)
    servers.ping("1", report=Report.UNREACHABLE)
    assert servers.checks(1, "2", "3") == ("1", "3", 3)


def test_R13_an_older_ping_takes_no_report_back_and_brings_none() -> None:
    """“one not newer (by its sequence number) than the newest processed, changes nothing”"""
    servers = pair(PATIENT, "3")
    old = Ping(2, 1, 0, CONTRACT)
    reports(servers, LINK_CHECKS - 1, Report.UNREACHABLE, "2", "3")
    servers.ping("1", report=Report.UNREACHABLE)
    servers.say(servers.member("1"), old)
    assert servers.checks(1, "2", "3") == ("1", "3", 3)
    servers = pair(PATIENT, "3")
    old = Ping(2, 1, 0, CONTRACT, Report.DIVERGED, servers.member("2").incarnation)
    servers.say(servers.member("1"), old)
    assert servers.view == ("1", "2", 2)


@pytest.mark.parametrize("report", [Report.UNREACHABLE, Report.DIVERGED])
def test_R35_a_backup_that_is_reported_while_it_is_filled_is_replaced(report: Report) -> None:
    """“dead, restarted or reported unreachable, V may make i+1 with the same primary and another
    backup or none.”
    """
    servers = Servers(dead_pings=PATIENT)
    servers.ping("1", 0)
    servers.ping("1")
    servers.ping("2", 0)
    servers.ping("3", 0)
    for _ in range(LINK_CHECKS):
        servers.ping("1", 1, filling=2, report=report)
        servers.checks(1, "2", "3")
    assert servers.view == ("1", "3", 3)


def test_R35_a_backup_cannot_take_over_while_it_is_filled() -> None:
    """“It never permits a promotion”, whatever the primary says."""
    servers = Servers(dead_pings=PATIENT)
    servers.ping("1", 0)
    servers.ping("1")
    servers.ping("2", 0)
    for _ in range(LINK_CHECKS):
        servers.ping("1", 1, filling=2, report=Report.HANDED_OVER)
        servers.checks(1, "2", "3")
    assert servers.view == ("1", "2", 2)


def test_R43_the_hold_down_is_forgotten_after_a_stable_time() -> None:
    """“is forgotten after a stable time”: the next one is as short as the first."""
    servers = pair(PATIENT)
    waited = []
    for quiet in (0, 1000, 0):
        reports(servers, LINK_CHECKS, Report.UNREACHABLE, "2")
        checks = 0
        while servers.view[1] != "2":
            servers.checks(1, "1", "2")
            checks += 1
        waited.append(checks)
        servers.checks(quiet, "1", "2")
        servers.ping("1")
    assert waited == [HOLD_CHECKS, 2 * HOLD_CHECKS, HOLD_CHECKS]


# -- R44: who lets a backup go must live ----------------------------------------------------------


def test_R44_a_wish_does_not_replace_the_backup_of_a_silent_primary() -> None:
    """If the primary is dead already, its backup holds the only copy: it is promoted, and what the
    operator wants is tried afterwards.
    """
    servers = pair(PATIENT, "3")
    servers.checks(2, "2", "3")
    assert wish(servers, "3") is None
    assert servers.checks(PATIENT - 3, "2", "3") == ("1", "2", 2)
    assert servers.checks(1, "2", "3") == ("2", "3", 3)


def test_R44_a_wish_is_tried_when_the_primary_is_heard_again() -> None:
    servers = pair(PATIENT, "3")
    servers.checks(2, "2", "3")
    wish(servers, "3")
    assert servers.ping("1") == ("1", "3", 3)


def test_R44_a_backup_that_leaves_is_kept_while_the_primary_is_silent() -> None:
    """It may be the last that holds the state; once the primary is heard, or given up, it goes."""
    servers = pair(PATIENT, "3")
    servers.checks(2, "2", "3")
    assert servers.ping("2", leaving=True) == ("1", "2", 2)
    assert servers.ping("1") == ("1", "3", 3)
    assert causes(servers)[-1] == (Cause.LEFT, "2")


def test_R44_a_wish_is_forgotten_after_a_while() -> None:
    """An operator who has gone home is not surprised by it."""
    servers = pair(PATIENT)
    wish(servers, "2")
    servers.checks(400, "1")
    servers.ping("2")
    servers.effects.clear()
    servers.ping("1")
    sent = [effect.message for effect in servers.effects if isinstance(effect, Send)]
    assert not [message for message in sent if isinstance(message, HandOver)]


def test_R44_a_wish_lasts_while_it_is_filled() -> None:
    """A large state takes longer than an operator's wish is tried otherwise."""
    servers = pair(PATIENT, "3")
    wish(servers, "3")
    assert servers.view == ("1", "3", 3)
    for _ in range(800):
        servers.ping("1", 2, filling=3)
        servers.checks(1, "2", "3")
    servers.effects.clear()
    servers.ping("1", 3)
    sent = [effect.message for effect in servers.effects if isinstance(effect, Send)]
    assert [message for message in sent if isinstance(message, HandOver)]


def test_R44_what_cannot_be_wished_for() -> None:
    """Each is refused with a text that says why."""
    servers = Servers(dead_pings=PATIENT)
    assert "no primary yet" in (wish(servers, "1") or "")
    servers = pair(PATIENT, "3")
    servers.ping("3", leaving=True)
    assert "about to end" in (wish(servers, "3") or "")
    assert "no replica named 'z'" in (wish(servers, "z") or "")
    assert "already" in (wish(servers, "1") or "")
    servers.ping("2", leaving=True)
    assert servers.view == ("1", None, 3)
    servers.ping("1")
    assert "no backup" in (wish(servers, "") or "")
    overtaken = pair(PATIENT)
    overtaken.ping("1", 7)
    assert "set back" in (wish(overtaken, "2") or "")


def test_R44_the_unnamed_backup_must_be_alive_too() -> None:
    """“it is not alive”: also where nobody named it."""
    servers = Servers(dead_pings=2)
    servers.ping("1", 0)
    servers.ping("1")
    servers.ping("2", 0)
    servers.checks(2)
    assert "2 is not alive" in (wish(servers, "") or "")


@pytest.mark.parametrize(("times", "why"), [(1, "held apart"), (3, "stays out")])
def test_R43_R50_a_wish_does_not_bring_back_who_is_kept_out(times: int, why: str) -> None:
    """“The same pair is not formed again for a hold-down”; “after three times it stays out”."""
    servers = pair(PATIENT)
    hold(servers, times)
    number = servers.view[2]
    assert why in (wish(servers, "2") or "")
    assert servers.checks(5, "1", "2") == ("1", None, number)


def test_R50_a_wish_from_before_does_not_bring_back_who_diverges() -> None:
    """The wish was taken while nothing was wrong yet."""
    servers = pair(PATIENT)
    wish(servers, "2")
    servers.ping("1", report=Report.DIVERGED)
    servers.ping("1")
    assert servers.checks(5, "1", "2") == ("1", None, 3)


def test_a_stranger_who_wishes_is_told_that_it_is_one() -> None:
    """R46: “A message with another cluster id is refused, counted ... and changes nothing.”"""
    servers = pair(PATIENT, "3")
    (_, refusal) = servers.say(OPERATOR, SwitchOver("3"), cluster=b"other" + bytes(11))
    assert isinstance(refusal, Send)
    assert isinstance(refusal.message, Refused)
    assert refusal.message.reason == Reason.FOREIGN_CLUSTER


def test_who_was_leaving_when_it_fell_silent_has_left() -> None:
    """It said so before: nobody was killed."""
    servers = pair(PATIENT, "3")
    servers.ping("1", leaving=True)
    servers.core.on_signal(ConnectionLost("1"), Outbox())
    assert servers.checks(3, "2", "3") == ("2", "3", 3)
    assert causes(servers)[-1] == (Cause.LEFT, "1")


def test_R44_who_leaves_is_not_the_first_primary() -> None:
    """It would be gone before anybody had its state."""
    servers = Servers(record=ViewRecord(CLUSTER, NO_VIEW, False))
    assert servers.ping("1", 0, leaving=True) == (None, None, 0)
    assert servers.ping("2", 0) == ("2", None, 1)


def test_R44_a_wish_in_a_stuck_cluster_hears_what_is_the_matter() -> None:
    """The last holder of the state is silent: starting another replica would not help."""
    servers = Servers(dead_pings=PATIENT)
    servers.ping("1", 0)
    servers.ping("1")
    servers.checks(PATIENT + 1)
    assert "waiting for 1, which holds the state" in (wish(servers, "") or "")
    assert servers.view[0] == "1"

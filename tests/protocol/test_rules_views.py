"""Which view follows which: R1-R14 and R35, against the view service alone."""

from __future__ import annotations

import pytest

from pbactors.protocol.core import Address, Emit, Outbox, Persist, Send
from pbactors.protocol.events import ViewInstalled
from pbactors.protocol.messages import Ping, Refused, Superseded, ViewReply
from pbactors.protocol.view import Member, View, invalid_successor

from .hand_driven import Servers, acknowledged_pair
from .network import CLUSTER, CONTRACT, incarnation


def pair_and_idle() -> Servers:
    """Return servers in the acknowledged view (1, 2, 2), with 3 alive and idle."""
    servers = acknowledged_pair()
    servers.ping("3", 0)
    assert servers.view == ("1", "2", 2)
    return servers


def test_R1_numbers_go_up_by_one_from_nobody() -> None:
    """“Numbers go up by one; start-up is 0 with nobody, the first view is 1.”"""
    servers = Servers()
    views = [servers.view]
    servers.ping("1", 0)
    views.append(servers.view)
    servers.ping("1")
    servers.ping("2", 0)
    views.append(servers.view)
    servers.ping("1")
    views.append(servers.checks(2, "2"))
    assert views == [(None, None, 0), ("1", None, 1), ("1", "2", 2), ("2", None, 3)]


@pytest.mark.parametrize(
    ("before", "acked", "after", "rule"),
    [
        ((1, "1", None), True, (3, "1", "2"), "R1"),
        ((0, None, None), False, (1, "1", "2"), "R2"),
        ((2, "1", "2"), True, (3, "3", "2"), "R3"),
        ((2, "1", "2"), False, (3, "2", None), "R4"),
        ((2, "1", "2"), True, (3, "1", "2"), "R7"),
    ],
)
def test_R1_R7_what_may_not_follow(
    before: tuple[int, str | None, str | None],
    acked: bool,
    after: tuple[int, str | None, str | None],
    rule: str,
) -> None:
    """The predicate over consecutive views names the rule that is broken."""

    def view(number: int, primary: str | None, backup: str | None) -> View:
        members = [Member(name, incarnation(1)) if name else None for name in (primary, backup)]
        return View(number, members[0], members[1])

    reason = invalid_successor(view(*before), acked, view(*after))
    assert reason is not None
    assert reason.startswith(rule)


def test_R2_only_the_very_first_primary_may_be_any_server() -> None:
    """“The first primary may be any server that pings; only at the very first view.”"""
    servers = Servers()
    assert servers.ping("3", 0) == ("3", None, 1)
    servers.ping("3")
    servers.restart("3")
    servers.ping("3", 0)
    assert servers.checks(5, "1", "2") == ("3", None, 1)


def test_R3_an_idle_server_is_never_made_primary() -> None:
    """“The primary of view i+1 was primary or backup of view i. An idle server is never made
    primary.”
    """
    servers = pair_and_idle()
    assert servers.checks(9, "3") == ("1", "2", 2)


def test_R4_no_change_before_the_primary_pings_the_number() -> None:
    """“The view must not change until its primary has pinged with exactly its number, even if that
    primary seems dead.”
    """
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1")
    servers.ping("2", 0)
    assert servers.checks(9, "2", "3") == ("1", "2", 2)
    assert servers.ping("1", 2) == ("1", "2", 2)
    assert servers.acked


def test_R4_a_ping_from_anyone_else_is_no_ack() -> None:
    """“A ping of that number from anyone else is no ack.”"""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("2", 1)
    servers.ping("3", 1)
    assert not servers.acked
    servers.ping("1")
    servers.ping("2", 2)  # the backup
    servers.ping("3", 2)
    assert not servers.acked
    servers.restart("1")
    servers.ping("1", 2)  # the primary's name, but not the primary
    assert not servers.acked


def test_R4_a_ping_of_an_older_number_is_no_ack() -> None:
    """“A ping of an older number is no ack.” The ack of one view is none of the next."""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1", 1)
    assert servers.ping("2", 0) == ("1", "2", 2)
    assert not servers.acked
    servers.ping("1", 1)
    servers.ping("1", 0)
    assert not servers.acked
    assert servers.checks(9, "2", "3") == ("1", "2", 2)


def test_R5_a_first_backup_is_taken_though_the_primary_is_silent() -> None:
    """“when there is no backup, the primary has not restarted (it may be silent) and a live idle
    server exists”
    """
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1")
    servers.checks(9)
    assert servers.ping("2", 0) == ("1", "2", 2)


def test_R5_no_backup_for_a_primary_that_restarted() -> None:
    """“the primary has not restarted”: there would be nothing to fill a backup with."""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1")
    servers.restart("1")
    servers.ping("1", 0)
    assert servers.ping("2", 0) == ("1", None, 1)


def test_R6_promotion_and_recruitment_in_one_step() -> None:
    """“Primary dead: the backup becomes primary and a live idle server becomes backup in the same
    step, with no view in between.”
    """
    assert pair_and_idle().checks(2, "2", "3") == ("2", "3", 3)


def test_R6_a_dead_backup_is_replaced_else_none() -> None:
    """“Backup dead: a live idle server replaces it, else none.”"""
    assert pair_and_idle().checks(2, "1", "3") == ("1", "3", 3)
    assert acknowledged_pair().checks(2, "1") == ("1", None, 3)


def test_R7_without_a_backup_nobody_else_becomes_primary() -> None:
    """“No backup and primary dead: nobody else becomes primary.”"""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1")
    assert servers.checks(9) == ("1", None, 1)
    servers.ping("2", 0)
    assert servers.checks(9, "2", "3") == ("1", "2", 2)


def test_R7_both_dead_stay_and_go_on_when_one_is_back() -> None:
    """“Both dead: stay.” The pair's data is there again when a member is."""
    servers = pair_and_idle()
    assert servers.checks(9, "3") == ("1", "2", 2)
    assert servers.ping("2") == ("2", "3", 3)


def test_R7_no_new_number_without_a_different_pair() -> None:
    """“A new number requires a different pair of members”: else a dead primary never acks it."""
    servers = acknowledged_pair()
    servers.checks(2, "1")
    servers.ping("1")
    assert servers.checks(9, "1") == ("1", None, 3)
    assert servers.checks(9) == ("1", None, 3)


def test_R8_only_idle_servers_that_are_alive_now() -> None:
    """“Only idle servers that are alive now may be chosen.” The idle list is pruned."""
    servers = pair_and_idle()
    servers.checks(1, "1", "2")
    servers.checks(1, "1", "2")  # 3 is dead now
    assert servers.checks(2, "1") == ("1", None, 3)
    servers.ping("1")
    assert servers.ping("3") == ("1", "3", 4)


def test_R8_a_restarted_backup_is_never_promoted() -> None:
    """“a dead or restarted backup is never promoted”."""
    servers = acknowledged_pair()
    servers.checks(1, "2")
    servers.restart("2")
    servers.ping("2", 0)  # the primary was silent for one check only: it takes the backup anew
    assert servers.view == ("1", "2", 3)
    assert servers.checks(9, "2") == ("1", "2", 3)


def test_R8_a_backup_that_restarts_after_the_primary_died_is_not_promoted() -> None:
    """“a dead or restarted backup is never promoted”, also when nothing else is left."""
    servers = acknowledged_pair()
    servers.checks(9)
    servers.restart("2")
    servers.ping("2", 0)
    assert servers.checks(9, "2", "3") == ("1", "2", 2)
    assert servers.core.status().stuck


def test_R9_dead_after_so_many_silent_checks_alive_after_one_ping() -> None:
    """“Dead = silent for n ping checks; alive after one ping.”"""
    servers = acknowledged_pair()
    servers.ping("3", 0)
    assert servers.core.status().alive == ("1", "2", "3")
    servers.checks(1, "1", "2")
    assert servers.core.status().alive == ("1", "2", "3")
    servers.checks(1, "1", "2")
    assert servers.core.status().alive == ("1", "2")
    servers.ping("3")
    assert servers.core.status().alive == ("1", "2", "3")


def test_R9_a_check_counts_only_silence_since_the_last_ping() -> None:
    """“silent for n ping checks”: one missed check now and then kills nobody."""
    servers = Servers(dead_pings=3)
    servers.ping("1", 0)
    servers.ping("1")
    servers.ping("2", 0)
    servers.ping("1")
    for _ in range(5):
        servers.checks(1, "1", "2")
        servers.checks(1, "1")
    assert servers.view == ("1", "2", 2)


def test_R10_a_restart_counts_although_no_ping_was_missed() -> None:
    """“Another incarnation under a member's name means that the member has lost its memory: dead
    as a member and new as an idle server, even if no ping was missed.”
    """
    servers = acknowledged_pair()
    servers.restart("1")
    assert servers.ping("1", 0) == ("2", "1", 3)
    assert servers.core.view.backup == servers.member("1")


def test_R10_a_stale_number_of_the_same_incarnation_is_merely_alive() -> None:
    """“Number 0 or a stale number from the same incarnation is merely alive.”"""
    servers = acknowledged_pair()
    for number in (0, 1):
        servers.sequences[servers.member("1")] += 1
        sequence = servers.sequences[servers.member("1")]
        servers.say(servers.member("1"), Ping(number, sequence, 0, CONTRACT))
        servers.checks(1, "2")
        assert servers.view == ("1", "2", 2)


def test_R11_the_change_happens_in_the_ping_handler() -> None:
    """“The change happens as soon as its conditions hold: in the ping handler ...”"""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1")
    assert servers.ping("2", 0) == ("1", "2", 2)


def test_R11_the_change_happens_at_the_ack() -> None:
    """“... at the ack ...”: the backup died while the view was not acknowledged."""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1")
    servers.ping("2", 0)
    servers.checks(9, "3")
    assert servers.view == ("1", "2", 2)
    assert servers.ping("1", 2) == ("1", "3", 3)


def test_R11_the_change_happens_at_the_ping_check() -> None:
    """“... and at the ping check.”"""
    servers = acknowledged_pair()
    servers.ping("2")
    servers.check()
    servers.ping("2")
    assert servers.view == ("1", "2", 2)
    assert servers.check() == ("2", None, 3)


def test_R12_asking_makes_nobody_a_volunteer() -> None:
    """“Asking for the view without pinging makes nobody a volunteer.”"""
    servers = Servers()
    assert servers.get() == (None, None, 0)
    servers.ping("1", 0)
    servers.ping("1")
    assert servers.get() == ("1", None, 1)
    assert servers.checks(3) == ("1", None, 1)


def test_R13_a_superseded_incarnation_changes_nothing() -> None:
    """“A ping of a superseded incarnation ... changes nothing.” It is told that it is over."""
    servers = acknowledged_pair()
    former = servers.member("3")
    servers.ping("3", 0)
    servers.restart("3")
    servers.ping("3", 0)
    frozen = servers.core.freeze()
    (_, told) = servers.say(former, Ping(0, 99, 0, CONTRACT))
    assert servers.core.freeze() == frozen
    assert isinstance(told, Send)
    assert told.message == Superseded(former.incarnation, servers.member("3").incarnation)


def test_R13_a_superseded_primary_acknowledges_nothing() -> None:
    """“A ping of a superseded incarnation ... changes nothing”: a delayed ack neither."""
    servers = Servers()
    servers.ping("1", 0)
    former = servers.member("1")
    servers.restart("1")
    servers.ping("1", 0)
    servers.say(former, Ping(1, 99, 0, CONTRACT))
    assert not servers.acked


@pytest.mark.parametrize("sequence", [1, 2, 3])
def test_R13_a_delayed_ping_revives_nobody(sequence: int) -> None:
    """“one not newer (by its sequence number) than the newest processed, changes nothing”."""
    servers = acknowledged_pair()
    primary = servers.member("1")
    assert servers.sequences[primary] == 3
    servers.checks(1, "2")
    frozen = servers.core.freeze()
    servers.say(primary, Ping(2, sequence, 0, CONTRACT))
    assert servers.core.freeze() == frozen
    assert servers.checks(1, "2") == ("2", None, 3)


def test_R14_views_are_durable_before_anyone_hears_of_them() -> None:
    """“Views are durable before anyone hears of them.”"""
    servers = pair_and_idle()
    servers.checks(1, "2", "3")
    servers.ping("2")
    servers.ping("3")
    servers.effects.clear()
    servers.check()
    servers.ping("2", 2)
    stored = -1
    for effect in servers.effects:
        match effect:
            case Persist(record):
                stored = record.view.number
            case Send(_, ViewReply(view)):
                assert view.number <= stored
            case Emit(ViewInstalled(view)):
                assert view.number <= stored
    assert stored == 3


def test_R14_the_ack_is_durable_too() -> None:
    """“Durable at the view server: ... acked.” A promotion may follow from it alone."""
    servers = acknowledged_pair()
    assert servers.record.acked
    assert servers.record.view == servers.core.view


# -- R35: a backup may be replaced while it is being filled -------------------------------------


def filling() -> Servers:
    """Return servers in (1, 2, 2), whose primary still operates in view 1."""
    servers = Servers()
    servers.ping("1", 0)
    servers.ping("1")
    servers.ping("2", 0)
    servers.ping("1", 1, filling=2)
    assert servers.view == ("1", "2", 2)
    return servers


def only(servers: Servers, number: int, filling: int, *others: str) -> None:
    """Two checks in which 1 pings so, and others ping the current number."""
    for _ in range(2):
        servers.ping("1", number, filling)
        for name in others:
            servers.ping(name)
        servers.check()


def test_R35_a_backup_that_dies_while_it_is_filled_is_replaced() -> None:
    """“If B_i is then dead, restarted or reported unreachable, V may make i+1 with the same primary
    and another backup or none.”
    """
    alone, with_idle = filling(), filling()
    only(alone, 1, 2)
    assert alone.view == ("1", None, 3)
    only(with_idle, 1, 2, "3")
    assert with_idle.view == ("1", "3", 3)


def test_R35_a_backup_that_restarts_while_it_is_filled_is_replaced() -> None:
    """“dead, restarted”: its new life may be the next backup."""
    servers = filling()
    servers.restart("2")
    servers.ping("2", 0)
    assert servers.view == ("1", "2", 3)
    assert servers.core.view.backup == servers.member("2")


def test_R35_never_permits_a_promotion() -> None:
    """“It never permits a promotion.” Also when the primary dies while it fills."""
    servers = filling()
    assert servers.checks(9, "2", "3") == ("1", "2", 2)
    servers.restart("1")
    servers.ping("1", 0)
    assert servers.checks(9, "2", "3") == ("1", "2", 2)


def test_R35_without_the_flag_an_unacknowledged_view_stays() -> None:
    """“While view i is unacked its primary pings the last number it operated in, with
    `filling = i`”: a primary that does not say so may be about to acknowledge.
    """
    servers = filling()
    only(servers, 1, 0, "3")
    assert servers.view == ("1", "2", 2)


def test_R35_the_flag_counts_for_the_current_number_only() -> None:
    """“The flag counts only for the current number ...”"""
    servers = filling()
    only(servers, 1, 2, "3")
    assert servers.get() == ("1", "3", 3)
    only(servers, 1, 2)  # it has not heard of view 3
    assert servers.core.view.number == 3
    only(servers, 1, 3)
    assert servers.get() == ("1", None, 4)


def test_R35_the_flag_counts_for_the_primary_s_incarnation_only() -> None:
    """“... and the primary's incarnation.”"""
    servers = filling()
    servers.restart("1")
    for _ in range(3):
        servers.ping("1", 1, filling=2)
        servers.ping("3")
        servers.check()
    assert servers.view == ("1", "2", 2)


def test_R35_after_the_ack_the_flag_is_no_matter() -> None:
    """“While view i is unacked”: a delayed filling ping of before takes nothing back."""
    servers = filling()
    primary = servers.member("1")
    servers.ping("1", 2)
    servers.say(primary, Ping(1, 3, 2, CONTRACT))
    assert servers.acked
    assert servers.checks(2, "2") == ("2", None, 3)


# -- who may ping -------------------------------------------------------------------------------


def test_R46_a_ping_of_a_name_outside_the_topology_is_refused() -> None:
    """The topology is the membership."""
    servers = Servers()
    (_, refusal) = servers.say(Member("9", incarnation(1)), Ping(0, 1, 0, CONTRACT))
    assert isinstance(refusal, Send)
    assert isinstance(refusal.message, Refused)
    assert servers.view == (None, None, 0)


def test_R52_a_ping_with_another_contract_is_refused() -> None:
    """“Limits that affect outcomes are the cluster's, not the node's”: nodes that differ in them
    form no cluster.
    """
    servers = Servers()
    (_, refusal) = servers.say(Member("1", incarnation(1)), Ping(0, 1, 0, "another"))
    assert isinstance(refusal, Send)
    assert isinstance(refusal.message, Refused)
    assert "another" in refusal.message.text
    assert servers.view == (None, None, 0)


def test_R47_incarnations_are_ordered() -> None:
    """“Incarnations are ordered”: a lower one that comes later is a delayed message, no restart."""
    servers = acknowledged_pair()
    servers.restart("3")
    servers.restart("3")
    servers.ping("3", 0)
    source = Address("3", incarnation(1), CLUSTER, b"3")
    frozen = servers.core.freeze()
    servers.core.on_message(source, Ping(0, 50, 0, CONTRACT), Outbox())
    assert servers.core.freeze() == frozen

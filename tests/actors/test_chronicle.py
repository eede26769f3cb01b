"""What the view server writes down of each view, by hand: causes and times without service."""

from __future__ import annotations

from pathlib import Path

import pytest

import pbactors
from pbactors.actors.chronicle import Chronicle
from pbactors.actors.view_server import ViewServerActor
from pbactors.errors import StoreUnavailable
from pbactors.machines.kv import KeyValueStore
from pbactors.protocol.events import ViewInstalled
from pbactors.protocol.messages import Ping, Report
from pbactors.protocol.view import NO_VIEW, Cause, Member, View
from pbactors.view_store import HISTORY_MAX, HistoryEntry, MemoryViewStore, new_record
from pbactors.watch import ask_history
from tests.processes import DEADLINE_S, free_topology

A, B, C = (Member(name, bytes(16)) for name in "abc")
A_AGAIN = Member("a", b"\1" * 16)


class Told:
    """A chronicle whose clock the test sets, in milliseconds."""

    def __init__(self, view: View = NO_VIEW) -> None:
        self.ms = 0
        self.store = MemoryViewStore(new_record())
        self.chronicle = Chronicle(self.store, view, lambda: self.ms / 1000, lambda: 7.0)

    def ping(
        self,
        member: Member,
        *,
        serving: bool = False,
        report: Report = Report.NONE,
        filling: int = 0,
    ) -> None:
        self.chronicle.pinged(member, Ping(1, 1, filling, "contract", int(report), serving=serving))

    def view(
        self, number: int, primary: Member, backup: Member | None, cause: Cause, node: str
    ) -> None:
        self.chronicle.installed(ViewInstalled(View(number, primary, backup), cause, node))

    def served(self, ms: int) -> None:
        self.ms = ms
        self.chronicle.served()

    def lost_ms(self, number: int) -> int | None:
        entries, _ = self.store.history(number - 1, 1)
        return entries[0].without_service_ms


def served_by_a() -> Told:
    """Return a chronicle of view 2, a and b, both heard at 100 ms."""
    told = Told()
    told.view(1, A, None, Cause.NEWCOMER, "a")
    told.ping(A, serving=True)
    told.served(0)
    told.view(2, A, B, Cause.NEWCOMER, "b")
    told.ms = 100
    told.ping(A, serving=True)
    told.served(100)
    told.ping(B)
    return told


def test_the_first_view_costs_nothing_that_is_known() -> None:
    told = served_by_a()
    assert told.lost_ms(1) is None
    assert told.lost_ms(2) == 0  # a newcomer: the primary serves all the time


def test_a_dead_primary_costs_from_its_last_ping_to_the_first_that_serves() -> None:
    told = served_by_a()
    told.ms = 150
    told.view(3, B, None, Cause.KILLED, "a")
    assert told.lost_ms(3) is None  # not over yet
    told.served(160)
    assert told.lost_ms(3) == 60


def test_a_new_life_says_nothing_of_the_former_one() -> None:
    """R10: who came back empty has died, however soon it pings again."""
    told = served_by_a()
    told.ms = 150
    told.ping(A_AGAIN)
    told.view(3, B, A_AGAIN, Cause.RESTARTED, "a")
    told.served(160)
    assert told.lost_ms(3) == 60


def test_strangers_are_not_remembered() -> None:
    """They could make up names without end."""
    told = served_by_a()
    for number in range(100):
        told.ping(Member(f"stranger {number}", bytes(16)), serving=True)
    assert told.chronicle._heard_s.keys() == {A, B}


def test_a_dead_backup_costs_too_although_its_primary_says_that_it_serves() -> None:
    told = served_by_a()
    told.ms = 140
    told.ping(A, serving=True)
    told.ms = 150
    told.view(3, A, C, Cause.FROZEN, "b")
    told.served(155)
    assert told.lost_ms(3) == 55


def test_a_backup_that_dies_before_its_first_ping_was_alive_when_it_was_chosen() -> None:
    told = served_by_a()
    told.view(3, A, C, Cause.KILLED, "b")
    told.served(101)
    told.ms = 130
    told.ping(A, serving=True)
    told.view(4, A, None, Cause.KILLED, "c")
    told.served(140)
    assert told.lost_ms(4) == 40


def test_a_lost_link_costs_from_the_last_ping_without_the_report() -> None:
    told = served_by_a()
    for told.ms in (200, 400):
        told.ping(A, serving=True, report=Report.UNREACHABLE)
        told.ping(B)
    told.view(3, A, None, Cause.LINK_LOST, "b")
    told.served(410)
    assert told.lost_ms(3) == 310


def test_R33_who_answers_alone_is_not_hindered_by_a_backup_that_it_misses() -> None:
    """“while its new backup is being filled, the primary goes on answering”."""
    told = served_by_a()
    told.view(3, A, C, Cause.LEFT, "b")
    for told.ms in (200, 400):
        told.ping(A, serving=True, report=Report.UNREACHABLE, filling=3)
    told.served(400)
    told.view(4, A, None, Cause.LINK_LOST, "c")
    told.served(410)
    assert told.lost_ms(4) == 0


@pytest.mark.parametrize("cause", [Cause.KILLED, Cause.SILENT, Cause.RESTARTED, Cause.LINK_LOST])
def test_R33_a_backup_that_is_lost_while_it_is_filled_costs_nothing(cause: Cause) -> None:
    """Its primary answered alone all the time, and does so in the next view."""
    told = served_by_a()
    told.view(3, A, C, Cause.KILLED, "b")
    told.served(110)
    for told.ms in (200, 300):
        told.ping(A, serving=True, filling=3)
    told.view(4, A, B, cause, "c")
    told.ping(A, serving=True, filling=4)
    told.served(310)
    assert told.lost_ms(4) == 0


def test_a_switchover_costs_from_the_last_ping_that_served() -> None:
    told = served_by_a()
    told.ms = 110
    told.ping(A, serving=False, report=Report.HANDED_OVER)
    told.view(3, B, A, Cause.SWITCHOVER, "b")
    told.served(112)
    assert told.lost_ms(3) == 12


def test_a_primary_that_stays_but_holds_requests_costs_what_it_takes() -> None:
    """A class whose snapshot bars execution is not served while a backup is filled."""
    told = served_by_a()
    told.view(3, A, C, Cause.SWITCHOVER, "c")
    assert told.lost_ms(3) == 0
    told.ms = 120
    told.ping(A, serving=False, filling=3)
    assert told.lost_ms(3) is None
    told.served(900)
    assert told.lost_ms(3) == 800


def test_one_time_without_service_over_several_views_is_counted_where_it_ends() -> None:
    """With min_copies = 2 nobody is served before there is another backup."""
    told = served_by_a()
    told.ms = 150
    told.view(3, B, None, Cause.KILLED, "a")
    told.ping(B, serving=False)
    told.ms = 500
    told.view(4, B, C, Cause.NEWCOMER, "c")
    told.served(600)
    assert told.lost_ms(3) is None
    assert told.lost_ms(4) == 500


def test_what_nobody_saw_is_unknown() -> None:
    """A view server that was just started has heard of nobody."""
    told = Told(View(2, A, B))
    told.ms = 900
    told.ping(B)
    told.view(3, B, None, Cause.SILENT, "a")
    told.served(910)
    assert told.lost_ms(3) is None


def test_a_view_server_that_was_started_again_knows_who_is_primary() -> None:
    told = Told(View(1, A, None))
    told.ping(A, serving=True)
    told.view(2, A, B, Cause.NEWCOMER, "b")
    assert told.lost_ms(2) == 0


def test_a_history_is_bounded() -> None:
    told = Told()
    for number in range(1, HISTORY_MAX + 3):
        told.view(number, A, None, Cause.NEWCOMER, "a")
    entries, left = told.store.history(0, 2)
    assert [entry.number for entry in entries] == [3, 4]
    assert left == HISTORY_MAX - 2


class NoHistory(MemoryViewStore):
    """A store whose history is damaged."""

    def note(self, entry: HistoryEntry) -> None:
        raise StoreUnavailable("no room")

    def history(self, after: int, count_max: int) -> tuple[list[HistoryEntry], int]:
        raise StoreUnavailable("damaged")


def test_a_history_that_cannot_be_kept_or_read_ends_nothing(tmp_path: Path) -> None:
    """It is for people: “nothing is decided from it”."""
    topology = pbactors.load(free_topology(tmp_path, replicas=1))
    actor = ViewServerActor.start(topology, store=NoHistory(new_record()))
    try:
        with pbactors.start_node(topology, "a"), pbactors.connect(topology) as cluster:
            cluster.call(KeyValueStore.put, "k", "1", timeout_s=DEADLINE_S)
            assert ask_history(topology, timeout_s=0.2) is None
        assert actor.is_alive()
        assert "view" in pbactors.ask_nodes(topology)
    finally:
        actor.stop()

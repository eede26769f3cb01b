"""The judge can say no: to users' classes that differ between copies, and to planted bugs; and
what it says no to is made small.
"""

from __future__ import annotations

import pytest

from pbactors.machines.kv import KeyValueStore
from pbactors.protocol.view import ViewRecord
from pbactors.protocol.view_service import ViewService
from pbactors.sim import OPERATIONS, Plan, Report, minimise, simulate

from .machines import Attic, Lottery, RiggedLottery

SEEDS = range(30)


def first_broken(machine: type = KeyValueStore) -> Report:
    for seed in SEEDS:
        report = simulate(machine, seed)
        if report.violation is not None:
            return report
    raise AssertionError(f"nothing is found with {SEEDS}")


def test_a_class_that_uses_its_context_is_judged_by_the_log() -> None:
    for seed in range(6):
        assert simulate(Lottery, seed).violation is None


def test_a_class_that_is_not_deterministic_is_found() -> None:
    violation = first_broken(RiggedLottery).violation
    assert violation is not None
    assert violation.startswith(("R24: ", "R26: "))
    assert "draw(" in violation, "it names the call"


def test_a_class_that_restores_another_state_is_found() -> None:
    violation = first_broken(Attic).violation
    assert violation is not None
    assert violation.startswith("R21: ")


def test_a_planted_bug_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """R4: “A ping of that number from anyone else is no ack.”"""

    def note_ack_of_anyone(service, member, ping, out) -> None:  # type: ignore[no-untyped-def]
        if not service.acked and ping.number == service.view.number:
            service.acked = True
            out.persist(ViewRecord(service.cluster, service.view, True))

    monkeypatch.setattr(ViewService, "_note_ack", note_ack_of_anyone)
    broken = first_broken()
    smallest = minimise(KeyValueStore, broken)
    drawn = Plan.draw(broken.plan.seed)
    assert smallest.violation is not None
    assert smallest.plan.operations < OPERATIONS / 10
    assert len(smallest.plan.actions) <= 3
    again = drawn.changed(smallest.plan.changes_from(drawn))
    assert simulate(KeyValueStore, again.seed, plan=again).violation == smallest.violation


def test_minimising_ends_after_so_many_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViewService, "_stuck", lambda service: None)
    broken = simulate(KeyValueStore, 5, plan=Plan.draw(5).changed("ending=1"))
    told: list[int] = []
    smallest = minimise(KeyValueStore, broken, runs_max=4, progress=told.append)
    assert smallest.violation is not None
    assert told == [1, 2, 3, 4]

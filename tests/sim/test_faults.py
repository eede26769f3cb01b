"""What can go wrong does go wrong, and a cluster that lost its state says that it is stuck."""

from __future__ import annotations

from collections import Counter

import pytest

from pbactors.machines.kv import KeyValueStore
from pbactors.protocol.view_service import ViewService
from pbactors.sim import Mix, Plan, simulate
from pbactors.sim.actions import Fault
from pbactors.sim.campaign import COUNTED_FAULTS, COUNTED_OPERATIONS

SAMPLE = range(45)
OTHERS = {
    "loss",
    "duplicate",
    "late duplicate",
    "reordering",
    "delay",
    "cut",
    "early timer",
    "late timer",
    "spurious timer",
    "withdrawal",
}


def test_every_kind_of_fault_happens_and_most_schedules_count() -> None:
    faults: Counter[str] = Counter()
    counted = 0
    for seed in SAMPLE:
        report = simulate(KeyValueStore, seed)
        assert report.violation is None, seed
        faults.update(report.faults)
        counted += report.operations >= COUNTED_OPERATIONS and len(report.faults) >= COUNTED_FAULTS
    for seed in SAMPLE:  # what may end the last copy happens only once most calls are made
        plan = Plan.draw(seed).changed("ruthless=1 operations=1")
        report = simulate(KeyValueStore, seed, plan=plan)
        assert report.violation is None, seed
        faults.update(report.faults)
    missing = ({fault.value for fault in Fault} | OTHERS) - faults.keys()
    assert not missing
    assert counted >= 0.9 * len(SAMPLE)


def test_without_faults_everything_is_answered_from_one_view() -> None:
    plan = Plan.draw(2).changed("replicas=2 actions=none ending=0 ruthless=0 absence=0")
    quiet = simulate(KeyValueStore, 2, plan=_with_mix(plan, Mix()))
    assert quiet.violation is None
    assert quiet.outcome == "served"
    assert quiet.answered == quiet.operations
    assert not quiet.faults


def _with_mix(plan: Plan, mix: Mix) -> Plan:
    return plan.changed(" ".join(f"{name}={getattr(mix, name)}" for name in mix.__slots__))


def test_a_cluster_whose_state_is_lost_stays_stuck_and_says_so() -> None:
    """R25: “The system then stays stuck, safely, and says so.”"""
    report = simulate(KeyValueStore, 5, plan=Plan.draw(5).changed("ending=1"))
    assert report.violation is None
    assert report.outcome == "stuck"
    assert report.faults["loss of the state"] == 1


def test_a_stuck_cluster_that_does_not_say_so_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViewService, "_stuck", lambda service: None)
    report = simulate(KeyValueStore, 5, plan=Plan.draw(5).changed("ending=1"))
    assert report.violation is not None
    assert "stuck, and does not say so" in report.violation


def test_a_cluster_that_never_serves_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Liveness: a view server that takes no ack never gives the primary a backup."""
    monkeypatch.setattr(ViewService, "_note_ack", lambda service, source, ping, out: None)
    monkeypatch.setattr(ViewService, "on_get_view", lambda service, source, message, out: None)
    report = simulate(KeyValueStore, 1, operations=20)
    assert report.violation is not None
    assert report.violation.startswith("liveness: ")

"""Many seeds on the reference class: every promise holds in every one."""

from __future__ import annotations

import pytest

from pbactors.machines.kv import KeyValueStore
from pbactors.sim import Campaign, Plan, Tally, simulate

SEEDS = range(1_000)
LONG_SEEDS = range(1_000, 21_000)
JOBS = 2


def total(seeds: range) -> Tally:
    tally = Tally()
    for share in Campaign(KeyValueStore, seeds, jobs=JOBS).run():
        tally.add_all(share)
    return tally


@pytest.mark.timeout(900)
def test_no_promise_breaks_in_a_thousand_schedules() -> None:
    tally = total(SEEDS)
    assert not tally.broken
    assert tally.schedules == len(SEEDS)
    assert tally.counted >= 0.9 * len(SEEDS)
    assert tally.outcomes["served"] > tally.outcomes["stuck"] > 0


def test_a_member_dies_just_when_the_other_is_taken_for_dead() -> None:
    """R9: “A live server can be declared dead, and nothing may break then.” With two dead pings the
    primary was a little late, and its backup, promoted for it, had just died for good. The state
    is gone, as the rules have it; the simulator had claimed progress.
    """
    plan = Plan.draw(112).changed(
        "absence=1 actions=none late_timers=0.4 clients=1 operations=3 horizon_ms=40"
    )
    report = simulate(KeyValueStore, 112, plan=plan)
    assert (report.violation, report.outcome) == (None, "stuck")
    assert report.faults["absence"] == 1


def test_who_leaves_after_the_faults_have_ended_comes_back_as_everybody_does() -> None:
    """R44: a leaving primary hands over only when there is a view server again, here in calm. Its
    process ends then. It went on, idle for ever, so that nobody was left to be the second copy
    that every answer needed.
    """
    report = simulate(KeyValueStore, 3195)
    assert (report.violation, report.outcome) == (None, "served")
    assert report.faults["departure in peace"] == 1


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_no_promise_breaks_in_twenty_thousand_schedules() -> None:
    tally = total(LONG_SEEDS)
    assert not tally.broken
    assert tally.counted >= 0.9 * len(LONG_SEEDS)

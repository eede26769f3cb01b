"""A smoke test of the whole under random schedules; the simulator goes further."""

from __future__ import annotations

import pytest

from .schedules import Schedule

SEEDS = 200
STEPS = 150
FOUND: tuple[int, ...] = ()
"""Seeds that have found something once, and are run for ever."""


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_random_schedules_break_nothing(first: int) -> None:
    """All invariants after every step, every answer linearizable, and progress once it is healed
    and can be; where it cannot be, the system says that it is stuck.
    """
    served = 0
    for seed in range(first, first + 20):
        served += run(seed)
    assert served > 5, "most of these worlds can recover"


@pytest.mark.parametrize("seed", FOUND)
def test_seeds_that_found_something(seed: int) -> None:
    """Each was a failure once."""
    run(seed)


def run(seed: int) -> bool:
    """Run one seed; name it if it fails."""
    try:
        schedule = Schedule(seed)
        schedule.run(STEPS)
        return schedule.heal()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}") from error

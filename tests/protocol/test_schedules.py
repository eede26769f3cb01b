"""A smoke test of the whole under random schedules; the simulator goes further.

A seed that finds something becomes a test of its own here, and stays.
"""

from __future__ import annotations

import pytest

from .schedules import Schedule

SEEDS = 200
STEPS = 150


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_random_schedules_break_nothing(first: int) -> None:
    """All invariants after every step, every answer linearizable, and progress once it is healed
    and can be; where it cannot be, the system says that it is stuck.
    """
    served = 0
    for seed in range(first, first + 20):
        served += run(seed)
    assert served > 5, "most of these worlds can recover"


def run(seed: int) -> bool:
    """Run one seed; name it if it fails."""
    try:
        schedule = Schedule(seed)
        schedule.run(STEPS)
        return schedule.heal()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}") from error

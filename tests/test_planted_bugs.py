"""Every planted bug is found, within its budget, by the simulator or by the explorer.

A mutant that nobody finds is a hole in the checks, or shows that a rule is not needed; which of the
two is said in ``docs/testing.md``.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pbactors.protocol.view_service import ViewService
from tests.planted.hunters import SEARCHES, explored, simulated
from tests.planted.measure import BEGIN, END, table
from tests.planted.mutants import MUTANTS, SURVIVORS, Mutant
from tests.planted.planting import Change, planted

SEEDS_BEFORE, SEEDS_AFTER = 1, 12
"""The simulator's budget: so many schedules around the seed that is known to find the bug."""

STATES_FACTOR = 3
"""The explorer's budget: so many times the states that it took."""

FOUND = [mutant for mutant in MUTANTS if mutant.seed is not None or mutant.search is not None]
NAMES = [mutant.name for mutant in FOUND]
DOCUMENT = Path(__file__).parent.parent / "docs" / "testing.md"


@pytest.mark.parametrize("mutant", FOUND, ids=NAMES)
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    with planted(*mutant.changes):
        if mutant.search is not None:
            catch = explored(mutant.search, STATES_FACTOR * mutant.states)
        else:
            assert mutant.seed is not None
            first = max(0, mutant.seed - SEEDS_BEFORE)
            catch = simulated(range(first, mutant.seed + SEEDS_AFTER))
    assert catch is not None, f"nobody found it: {mutant.rule}"


@pytest.mark.parametrize("name", SEARCHES)
def test_without_a_planted_bug_the_searches_find_nothing(name: str) -> None:
    """With the simulator's seeds the same is shown by its own tests, which begin at 0 too."""
    states = max((mutant.states for mutant in FOUND if mutant.search == name), default=0)
    assert explored(name, max(STATES_FACTOR * states, 1000)) is None


def test_enough_bugs_are_planted_in_enough_places() -> None:
    assert len(FOUND) >= 40
    assert len(set(NAMES)) == len(NAMES)
    rules = Counter(mutant.rule.partition(":")[0].split(",")[0] for mutant in FOUND)
    assert len(rules) >= 20


@pytest.mark.parametrize("mutant", SURVIVORS, ids=lambda mutant: mutant.name)
def test_a_survivor_can_be_planted(mutant: Mutant) -> None:
    with planted(*mutant.changes):
        pass


def test_a_bug_is_taken_out_again() -> None:
    before = ViewService.status.__code__
    change = Change("view_service", "role=Role.VIEW_SERVER,\n            state", "role=None, state")
    with planted(change):
        assert ViewService.status.__code__ is not before
    assert ViewService.status.__code__ is before


def test_a_change_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(AssertionError, match="not exactly once"), planted(Change("view", "?!", "")):
        pass


def test_the_table_of_planted_bugs_is_in_the_document() -> None:
    """``python -m tests.planted.measure --table`` writes it."""
    text = DOCUMENT.read_text()
    shown = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert shown.strip() == table().strip()


def test_measuring_one_mutant_prints_its_row() -> None:
    command = [sys.executable, "-m", "tests.planted.measure", "ack from anyone"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.startswith("ack from anyone: schedule ")

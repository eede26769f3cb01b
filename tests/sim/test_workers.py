"""Processes that work for this one: what they return comes in order, however long each takes."""

from __future__ import annotations

from pathlib import Path

from pbactors.sim.workers import spread
from tests.processes import wait_until


def _first_waits_for_the_last(item: tuple[int, int, Path]) -> int:
    """Work on an item; the first one ends only when the last one has."""
    number, last, folder = item
    if number == 0:
        wait_until((folder / str(last)).exists, what="the end of the last item")
    (folder / str(number)).touch()
    return number


def test_results_come_in_order_so_that_the_first_broken_seed_is_always_the_same(
    tmp_path: Path,
) -> None:
    items = [(number, 6, tmp_path) for number in range(7)]
    assert list(spread(_first_waits_for_the_last, items, 3)) == list(range(7))


def _twice(number: int) -> int:
    return 2 * number


def test_nothing_to_do() -> None:
    assert list(spread(_twice, [], 3)) == []


def test_more_processes_than_items() -> None:
    assert list(spread(_twice, [5], 8)) == [10]

"""Processes that work for this one: what they return comes in order, however long each takes."""

from __future__ import annotations

import time

from pbactors.sim.workers import spread


def _slow_at_first(number: int) -> int:
    time.sleep(1.0 if number == 0 else 0)
    return number


def test_results_come_in_order_so_that_the_first_broken_seed_is_always_the_same() -> None:
    assert list(spread(_slow_at_first, range(7), 3)) == list(range(7))


def test_nothing_to_do() -> None:
    assert list(spread(_slow_at_first, [], 3)) == []


def test_more_processes_than_items() -> None:
    assert list(spread(_slow_at_first, [5], 8)) == [5]

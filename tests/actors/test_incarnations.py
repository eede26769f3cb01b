"""Incarnations: each higher than what it must exceed, whatever the clock says (R47)."""

from __future__ import annotations

import time

import pytest

from pbactors.actors.incarnations import new_incarnation
from pbactors.errors import StartError
from pbactors.protocol.view import INCARNATION_BYTES


def test_R47_incarnations_are_ordered_by_start_time() -> None:
    """“Incarnations are ordered: (start time, random).”"""
    before_ns = time.time_ns()
    first, second = new_incarnation(), new_incarnation()
    assert before_ns <= int.from_bytes(first[:8], "big") <= time.time_ns()
    assert len(first) == INCARNATION_BYTES
    assert first != second


@pytest.mark.parametrize("ahead_ns", [0, 1, 10**18])
def test_R47_a_superseded_node_takes_a_higher_one_although_its_clock_is_behind(
    ahead_ns: int,
) -> None:
    """“A node told that it is superseded takes a higher one and starts empty.”"""
    newest = (time.time_ns() + ahead_ns).to_bytes(8, "big") + b"\xff" * 8
    higher = new_incarnation(newest)
    assert higher > newest
    assert len(higher) == INCARNATION_BYTES


def test_a_forged_incarnation_that_nothing_exceeds_is_named() -> None:
    with pytest.raises(StartError, match="forged"):
        new_incarnation(b"\xff" * INCARNATION_BYTES)

"""The sums of the failover bench."""

from __future__ import annotations

import pytest
from benchmarks.gaps import bars, counted, longest_gap_ms, percentile

MS = 1_000_000


def test_the_longest_gap_is_the_one_around_or_after_the_fault() -> None:
    answered = [0, 500 * MS, 510 * MS, 590 * MS, 600 * MS]
    assert longest_gap_ms(answered, 520 * MS) == 80, "a pause before the fault is not its doing"
    assert longest_gap_ms(answered, 595 * MS) == 10


@pytest.mark.parametrize("answered", [[], [5], [20], [20, 30], [1, 2]])
def test_without_answers_on_both_sides_there_is_no_gap(answered: list[int]) -> None:
    with pytest.raises(ValueError, match="no answer"):
        longest_gap_ms(answered, 10)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.9, 90), (0.99, 99), (0.991, 100), (1.0, 100), (0, 1)]
)
def test_percentiles_are_values_that_were_measured(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected
    assert percentile([7.0], share) == 7


def test_answers_are_counted_in_bins_around_the_fault() -> None:
    fault = 1000 * MS
    answered = [
        fault - 51 * MS,
        fault - 50 * MS,
        fault - 1,
        fault,
        fault + 24 * MS,
        fault + 50 * MS,
    ]
    assert counted(answered, fault, from_ms=-50, to_ms=50, bin_ms=25) == [1, 1, 2, 0]


def test_bars_are_blank_only_where_nothing_was_answered() -> None:
    assert bars([0, 0.01, 4, 8]) == " ▁▄█"
    assert bars([]) == ""
    assert bars([0, 0]) == "  "

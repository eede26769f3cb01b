"""From the moments in which calls were answered to the time in which none was."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["bars", "counted", "longest_gap_ms", "percentile"]

_NS_PER_MS = 1_000_000
_BARS = " ▁▂▃▄▅▆▇█"


def longest_gap_ms(answered_ns: Sequence[int], fault_ns: int) -> float:
    """Return the longest time between two answers that ended after the fault.

    Args:
        answered_ns: when calls were answered, in order, by the monotonic clock. At least one was
            before the fault, and one after it.
        fault_ns: when the fault happened.
    """
    gaps = [later - earlier for earlier, later in pairwise(answered_ns) if later > fault_ns]
    if not gaps or answered_ns[0] > fault_ns:
        raise ValueError("no answer before the fault, or none after it")
    return max(gaps) / _NS_PER_MS


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least so great a share of the values does not exceed."""
    ordered = sorted(values)
    place = -(-len(ordered) * share // 1)  # rounded up
    return ordered[max(0, min(int(place), len(ordered)) - 1)]


def counted(
    answered_ns: Sequence[int], fault_ns: int, *, from_ms: int, to_ms: int, bin_ms: int
) -> list[int]:
    """Return how many calls were answered in each bin of time around the fault.

    Args:
        answered_ns: when calls were answered.
        fault_ns: when the fault happened: time 0.
        from_ms: where the first bin begins.
        to_ms: where the last one ends.
        bin_ms: how long each is.
    """
    counts = [0] * ((to_ms - from_ms) // bin_ms)
    for answer_ns in answered_ns:
        place = int(((answer_ns - fault_ns) / _NS_PER_MS - from_ms) // bin_ms)
        if 0 <= place < len(counts):
            counts[place] += 1
    return counts


def bars(counts: Sequence[float]) -> str:
    """Return one character for each number, as high as the number; blank only where it is 0."""
    most = max(counts, default=0) or 1
    steps = len(_BARS) - 1
    return "".join(_BARS[min(steps, int(-(-count * steps // most)))] for count in counts)

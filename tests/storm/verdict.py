"""What a storm's history is judged by, also long afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from pbactors.linearizability import Call, Verdict
from pbactors.workload import judge
from tests.storm.history import StormLoad

__all__ = ["judge_calls", "summary", "without_a_seen_write"]

TIME_LIMIT_S: Final = 300.0
LOAD: Final = StormLoad(rounds=0)


def judge_calls(calls: Sequence[Call]) -> Verdict:
    """Judge a history: is it linearizable, and is everything there in the end?"""
    return judge(LOAD, calls, TIME_LIMIT_S)


def summary(calls: Sequence[Call]) -> str:
    """Return how many calls there were, and the longest time without any answer."""
    ends = sorted(call.ended for call in calls if call.ended is not None)
    gap_s = max((after - before for before, after in pairwise(ends)), default=0)
    sessions = len({call.client for call in calls})
    return (
        f"{len(calls):,} calls of {sessions} workers: {len(ends):,} answered, "
        f"{len(calls) - len(ends):,} without an answer; "
        f"longest time without any answer {gap_s:.2f} s"
    )


def without_a_seen_write(calls: Sequence[Call]) -> list[Call] | None:
    """Return the history without one acknowledged append that a get saw: no judge may accept it.

    Returns None if there is no such append in it.
    """
    seen = {
        (call.operation.arguments[0], piece)
        for call in calls
        if call.operation.method == "get" and isinstance(call.result, str)
        for piece in call.result.split()
    }
    for place, call in enumerate(calls):
        if call.operation.method == "append" and call.ended is not None:
            key, piece = call.operation.arguments
            if (key, piece.strip()) in seen:
                return [*calls[:place], *calls[place + 1 :]]
    return None

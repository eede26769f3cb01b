"""The log executed once more, alone: were all outcomes those of this one sequential history?

This judges every class, also one that no sequential model describes, since a class is its own
model: given the order of its commands and their stamps, every outcome is determined. What is left
open is where each query belongs; it must fit somewhere between what was answered before it began
and what was committed when it was answered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.state_machine import StateMachine
from pbactors.protocol.operations import Kind
from pbactors.sim.callers import Made
from pbactors.sim.watched import Executed

__all__ = ["refuse_history"]


def refuse_history(
    machine: type[StateMachine],
    result_bytes_max: int,
    log: Sequence[Executed],
    calls: Sequence[Made],
    end: Hashable | None,
) -> str | None:
    """Return what the calls saw that this log does not explain, or None.

    Args:
        machine: the class.
        result_bytes_max: the limit on results, which decides outcomes.
        log: the committed operations, in order.
        calls: all calls, in the order in which they began.
        end: the frozen machine of a copy that has executed the whole log; None if there is none.
    """
    queries = [made for made in calls if made.is_query and made.ended]
    alone = ReplicatedMachine(machine, result_bytes_max)
    opening: dict[int, list[Made]] = defaultdict(list)
    for made in queries:
        opening[min(made.sees, len(log))].append(made)
    fitting: dict[Made, list[int]] = {made: [] for made in queries}
    looking: list[Made] = []
    stamp = b""
    for place in range(len(log) + 1):
        if place:
            what = log[place - 1]
            stamp = what.stamp
            _, _, _, kind, body = what.operation
            if kind == Kind.CALL and what.result is not None:
                [outcome] = alone.execute(place, stamp, [body])
                if outcome != what.result[2]:
                    return (
                        f"R26: operation {place} was {what}; executed alone it comes to "
                        f"{outcome!r}: the class is not deterministic"
                    )
        looking = [made for made in looking if made.until >= place] + opening[place]
        known: dict[bytes, bytes] = {}
        for made in looking:
            if made.body not in known:
                known[made.body] = alone.query(stamp, made.body)
            if known[made.body] == made.outcome:
                fitting[made].append(place)
    if end is not None and alone.freeze() != end:
        return "a copy that executed the whole log has another state than the log executed alone"
    return _refuse_order(calls, fitting)


def _refuse_order(calls: Sequence[Made], fitting: dict[Made, list[int]]) -> str | None:
    """Give each query the first place that fits, in the order of real time."""
    moments = [(made.began, made) for made in calls] + [
        (made.ended, made) for made in calls if made.ended
    ]
    seen = 0  # what an answer has shown so far
    least: dict[Made, int] = {}
    for moment, made in sorted(moments, key=lambda entry: entry[0]):
        if moment == made.began:
            least[made] = seen
        elif made.is_query:
            place = next((place for place in fitting[made] if place >= least[made]), None)
            if place is None:
                return (
                    f"R37: {made.invocation} of {made.client} fits nowhere from operation "
                    f"{least[made]} to {made.until}"
                )
            seen = max(seen, place)
        elif made.place <= least[made]:
            return (
                f"{made.invocation} is operation {made.place}, although an answer from before it "
                f"was called shows operation {least[made]}"
            )
        else:
            seen = max(seen, made.place)
    return None

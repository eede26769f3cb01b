"""One trace out of what several nodes recorded, each by itself.

Clocks of several hosts differ, so what a clock says is overruled by what must be: a node's moments
keep their order, and nothing arrives before it was sent.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pbactors.trace.moments import Moment, Sort, Trace
from pbactors.trace.pairing import pair

__all__ = ["merge"]


def merge(recorded: Mapping[str, Iterable[Moment]]) -> Trace:
    """Return what nodes recorded as one trace, which begins at 0 ms.

    Args:
        recorded: of each node its moments in order. In ``message`` stands a digest of the bytes,
            and in ``time_ms`` the time of the node's own clock.
    """
    ordered = _ordered({node: lane for node, lane in pair(recorded).items() if lane})
    trace = Trace()
    began_ms = ordered[0].time_ms if ordered else 0.0
    for moment in ordered:
        trace.add(moment._replace(time_ms=round(moment.time_ms - began_ms, 3)))
    return trace


class _Head(NamedTuple):
    """The next moment of a node, ordered by its time."""

    time_ms: float
    node: str
    place: int


def _ordered(lanes: Mapping[str, list[Moment]]) -> list[Moment]:
    """Return all moments by time; what arrives waits for its sending, if that was recorded."""
    unsent = {
        moment.message for lane in lanes.values() for moment in lane if moment.sort is Sort.SENT
    }
    waiting: dict[int, list[_Head]] = {}
    heads = [_Head(lane[0].time_ms, node, 0) for node, lane in lanes.items()]
    heapq.heapify(heads)
    ordered: list[Moment] = []
    now_ms = -math.inf
    while heads or waiting:
        if not heads:  # a circle, as where equal bytes were lost and repeated: go by the clock
            unsent.discard(min(waiting, key=lambda message: waiting[message][0]))
            heads = _released(waiting, unsent)
        head = heapq.heappop(heads)
        moment = lanes[head.node][head.place]
        if moment.sort is Sort.RECEIVED and moment.message in unsent:
            waiting.setdefault(moment.message, []).append(head)
            continue
        now_ms = max(now_ms, head.time_ms)  # later than its own clock says, where it had to wait
        ordered.append(moment._replace(time_ms=now_ms))
        if moment.sort is Sort.SENT:
            unsent.discard(moment.message)
            for waiter in waiting.pop(moment.message, ()):
                heapq.heappush(heads, waiter)
        if head.place + 1 < len(lanes[head.node]):
            following = lanes[head.node][head.place + 1]
            heapq.heappush(heads, _Head(following.time_ms, head.node, head.place + 1))
    return ordered


def _released(waiting: dict[int, list[_Head]], unsent: set[int]) -> list[_Head]:
    """Take out of ``waiting`` whoever waits for nothing any more."""
    free = [message for message in waiting if message not in unsent]
    return [head for message in free for head in waiting.pop(message)]

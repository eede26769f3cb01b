"""Which sending and which arrival are the same message, in what several nodes recorded.

Most messages differ in their bytes. Of equal ones some were on their way when the recording began,
and some are lost, so that counting them from the first would pair all that follow wrongly. They
keep their order between two nodes, and nothing arrives before it was sent: so each arrival, from
the last to the first, takes the latest sending that is left and was possible.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from pbactors.trace.moments import Moment, Sort

__all__ = ["pair"]


class _Way(NamedTuple):
    source: str
    target: str


class _Place(NamedTuple):
    """Where a moment stands: in whose lane, and where in it."""

    time_ms: float
    node: str
    position: int


@dataclass(slots=True)
class _Equals:
    """What went one way with the same bytes, in order."""

    sent: list[_Place] = field(default_factory=list)
    lost: list[tuple[_Place, _Place]] = field(default_factory=list)  # a sending, and its loss
    received: list[_Place] = field(default_factory=list)

    @property
    def are_unique(self) -> bool:
        """Whether there is but one, so that no clock is asked."""
        return len(self.sent) == len(self.received) == 1


_All: TypeAlias = Mapping[tuple[_Way, int], _Equals]


def pair(recorded: Mapping[str, Iterable[Moment]]) -> dict[str, list[Moment]]:
    """Return what nodes recorded, with numbers of messages in place of digests of their bytes.

    Args:
        recorded: of each node its moments in order, with the times of its own clock.
    """
    lanes = {node: list(moments) for node, moments in recorded.items()}
    messages = _sorted_out(lanes)
    delays_ms = _delays_ms(messages)
    number = 0
    for (way, _), equals in messages.items():
        back_ms = delays_ms.get(_Way(way.target, way.source), math.inf)
        ahead_ms = -math.inf if equals.are_unique else -back_ms
        for places in _matched(equals, ahead_ms):
            number += 1
            for place in places:
                lane = lanes[place.node]
                lane[place.position] = lane[place.position]._replace(message=number)
    return lanes


def _sorted_out(lanes: Mapping[str, list[Moment]]) -> _All:
    messages: dict[tuple[_Way, int], _Equals] = defaultdict(_Equals)
    for node, lane in lanes.items():
        for position, moment in enumerate(lane):
            if not moment.message:
                continue
            place = _Place(moment.time_ms, node, position)
            if moment.sort is Sort.SENT:
                messages[_Way(node, moment.peer), moment.message].sent.append(place)
                continue
            equals = messages[_Way(moment.peer, moment.node), moment.message]
            if moment.sort is Sort.RECEIVED:
                equals.received.append(place)
            elif equals.sent:  # noted by the sender, right behind the sending that it is about
                equals.lost.append((equals.sent.pop(), place))
    return messages


def _delays_ms(messages: _All) -> dict[_Way, float]:
    """Return how much later the clock of the target is at an arrival than that of the source at
    its sending, for the quick ones among the messages that are the only ones of their bytes.

    What it comes to the other way, negated, is at most how far the target's clock is ahead.
    """
    found: dict[_Way, list[float]] = defaultdict(list)
    for (way, _), equals in messages.items():
        if equals.are_unique:
            found[way].append(equals.received[0].time_ms - equals.sent[0].time_ms)
    # The quickest of all may be no pair: equal bytes of which either end was not recorded.
    return {way: sorted(delays_ms)[len(delays_ms) // 4] for way, delays_ms in found.items()}


def _matched(equals: _Equals, ahead_ms: float) -> Iterator[tuple[_Place, ...]]:
    """Yield for each message where it was sent, and where it arrived or was lost, as far as known.

    Args:
        equals: what has the same bytes.
        ahead_ms: how far the clock of the receiver is ahead, at least.
    """
    yield from equals.lost
    arrivals: dict[_Place, _Place] = {}
    left = len(equals.sent)
    for received in reversed(equals.received):
        while left and equals.sent[left - 1].time_ms + ahead_ms > received.time_ms:
            left -= 1
        if not left:
            break
        left -= 1
        arrivals[equals.sent[left]] = received
    for sent in equals.sent:
        yield (sent, arrivals[sent]) if sent in arrivals else (sent,)
    for received in equals.received[: len(equals.received) - len(arrivals)]:
        yield (received,)

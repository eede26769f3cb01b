"""Equal bytes: which arrival belongs to which sending, when some were never sent or never came.

A failover of a cluster on a busy machine was once drawn with hundreds of answers that nobody had
sent and nobody got: the first was on its way when the recording began, and put all others off.
"""

from __future__ import annotations

import pytest

from pbactors.trace import Moment, Sort
from pbactors.trace.pairing import pair

from .test_merge import received, sent

ROUNDS = 20
ANSWER = 7
"""The digest of each answer; questions count up, and each has one of its own."""


def _exchange(*, skew_ms: float = 0, lost: frozenset[int] = frozenset()) -> dict[str, list[Moment]]:
    """b asks a every 25 ms; each way takes a millisecond; b's clock is ahead."""
    lanes: dict[str, list[Moment]] = {"a": [], "b": []}
    for number in range(ROUNDS):
        asked_ms = 25.0 * number
        lanes["b"].append(sent(asked_ms + skew_ms, "b", "a", 100 + number))
        lanes["a"].append(received(asked_ms + 1, "a", "b", 100 + number))
        lanes["a"].append(sent(asked_ms + 2, "a", "b", ANSWER))
        if number not in lost:
            lanes["b"].append(received(asked_ms + 3 + skew_ms, "b", "a", ANSWER))
    return lanes


def _pairs(lanes: dict[str, list[Moment]], skew_ms: float = 0) -> list[tuple[float, float]]:
    """Return when each answer was sent and arrived, by a's clock."""
    paired = pair(lanes)
    sent_ms = {each.message: each.time_ms for each in paired["a"] if each.sort is Sort.SENT}
    return [
        (sent_ms[each.message], each.time_ms - skew_ms)
        for each in paired["b"]
        if each.sort is Sort.RECEIVED and each.message in sent_ms
    ]


SKEWS_MS = pytest.mark.parametrize("skew_ms", [0, 5000, -5000])


@SKEWS_MS
def test_one_on_its_way_at_the_beginning_puts_no_other_off(skew_ms: float) -> None:
    lanes = _exchange(skew_ms=skew_ms)
    del lanes["a"][:2]
    pairs = _pairs(lanes, skew_ms)
    assert pairs == [(25.0 * number + 2, 25.0 * number + 3) for number in range(1, ROUNDS)]
    first = next(each for each in pair(lanes)["b"] if each.sort is Sort.RECEIVED)
    assert first.message not in {each.message for each in pair(lanes)["a"]}


@SKEWS_MS
def test_one_on_its_way_at_the_end_puts_no_other_off(skew_ms: float) -> None:
    lanes = _exchange(skew_ms=skew_ms)
    del lanes["b"][-1]
    pairs = _pairs(lanes, skew_ms)
    assert pairs == [(25.0 * number + 2, 25.0 * number + 3) for number in range(ROUNDS - 1)]


@SKEWS_MS
def test_lost_ones_put_no_other_off(skew_ms: float) -> None:
    lost = frozenset({0, 3, 4, 9, 19})
    pairs = _pairs(_exchange(skew_ms=skew_ms, lost=lost), skew_ms)
    expected = sorted(set(range(ROUNDS)) - lost)
    assert pairs == [(25.0 * number + 2, 25.0 * number + 3) for number in expected]


def test_a_node_that_was_frozen_takes_all_at_once() -> None:
    lanes = _exchange()
    arrived = [each for each in lanes["b"] if each.sort is Sort.RECEIVED]
    asked = [each for each in lanes["b"] if each.sort is Sort.SENT]
    lanes["b"] = asked + [each._replace(time_ms=1000.0 + n) for n, each in enumerate(arrived)]
    assert _pairs(lanes) == [(25.0 * number + 2, 1000.0 + number) for number in range(ROUNDS)]


def test_one_that_the_sender_knows_to_be_lost_did_not_arrive() -> None:
    lost = Moment(25, "b", Sort.LOST, "Ping", 7, "a")
    lanes = {
        "a": [sent(1, "a", "b", 7), sent(25, "a", "b", 7), lost, sent(50, "a", "b", 7)],
        "b": [received(51, "b", "a", 7), received(52, "b", "a", 7)],
    }
    assert _pairs(lanes) == [(1, 51), (50, 52)]


def test_two_that_are_no_pair_though_alone_of_their_bytes_mislead_no_other() -> None:
    """One arrived whose sending is not recorded, and one was sent that never arrived."""
    lanes = _exchange()
    lanes["b"].insert(0, received(-400, "b", "a", 5))
    lanes["a"].append(sent(600, "a", "b", 5))
    expected = [(25.0 * number + 2, 25.0 * number + 3) for number in range(ROUNDS)]
    assert _pairs(lanes) == [(600, -400), *expected]


def test_without_anything_to_compare_clocks_by_the_last_are_pairs() -> None:
    lanes = {
        "a": [sent(25.0 * number, "a", "b", 7) for number in range(3)],
        "b": [received(9000, "b", "a", 7), received(9025, "b", "a", 7)],
    }
    assert _pairs(lanes) == [(25, 9000), (50, 9025)]

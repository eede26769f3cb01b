"""Schedules come from their seed; and nobody is killed who could be the last holder."""

from __future__ import annotations

from random import Random

import pytest

from pbactors.heartbeat import Record, ViewSummary
from tests.storm.cluster import HOSTS
from tests.storm.cuts import CUTS, cut_links
from tests.storm.nemeses import lacks_two_holders
from tests.storm.schedule import ALL_NEMESES, WAVE_S, draw, in_words

VIEW = ViewSummary(7, "a", "b", True)


def test_equal_seeds_give_equal_schedules_and_others_do_not() -> None:
    assert draw(7, 100, ALL_NEMESES) == draw(7, 100, ALL_NEMESES)
    assert draw(7, 100, ALL_NEMESES) != draw(8, 100, ALL_NEMESES)


def test_a_longer_storm_begins_as_a_shorter_one() -> None:
    assert draw(7, 200, ALL_NEMESES)[:3] == draw(7, 3 * WAVE_S, ALL_NEMESES)


def test_strikes_lie_within_their_waves_and_are_printed() -> None:
    waves = draw(3, 100, ALL_NEMESES)
    assert len(waves) == 7
    assert all(0 < strike.at_s < WAVE_S for wave in waves for strike in wave)
    assert in_words(waves).count("\n") == sum(map(len, waves)) + len(waves) - 1


def test_every_nemesis_strikes_and_only_those_that_were_asked_for() -> None:
    kinds = {strike.kind for wave in draw(1, 900, ALL_NEMESES) for strike in wave}
    assert kinds == {"kill", "stop", "slow", *CUTS}
    assert {strike.kind for wave in draw(1, 300, ["kills"]) for strike in wave} == {"kill"}


@pytest.mark.parametrize("kind", CUTS)
def test_cuts_are_between_different_hosts(kind: str) -> None:
    what, links = cut_links(kind, "a", "b", Random(1))
    assert what
    assert links
    assert all(source != target and {source, target} <= set(HOSTS) for source, target in links)


def record(role: str, view: ViewSummary) -> Record:
    return Record("00", "storm", role, "00", role, "", view, 0, 1, 0.0, 2, False, 0.0, 0.0)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ({"view": VIEW, "a": VIEW, "b": VIEW}, None),
        ({"a": VIEW, "b": VIEW}, "the view server does not answer"),
        ({"view": VIEW, "a": VIEW}, "b does not answer"),
        ({"view": VIEW, "a": VIEW, "b": ViewSummary(6, "a", "c", True)}, "b does not answer"),
        ({"view": ViewSummary(7, "a", "b", False), "a": VIEW, "b": VIEW}, "one sure holder"),
        ({"view": ViewSummary(7, "a", None, True), "a": VIEW}, "one sure holder"),
    ],
)
def test_two_holders_are_sure_only_if_all_three_say_so(
    views: dict[str, ViewSummary], expected: str | None
) -> None:
    why_not = lacks_two_holders({name: record(name, view) for name, view in views.items()})
    assert (why_not is None) == (expected is None)
    assert expected is None or expected in str(why_not)

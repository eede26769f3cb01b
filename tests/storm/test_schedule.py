"""Schedules come from their seed and say what they do."""

from __future__ import annotations

from random import Random

import pytest

from tests.storm.cluster import HOSTS
from tests.storm.cuts import CUTS, cut_links
from tests.storm.schedule import ALL_NEMESES, WAVE_S, draw, in_words


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

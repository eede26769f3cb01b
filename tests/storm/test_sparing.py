"""The last holder of the state is spared, and an accident is told from a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest

from pbactors.heartbeat import Record, ViewSummary
from tests.storm import sparing
from tests.storm.cuts import cut_links
from tests.storm.sparing import GONE, Sparing, lacks_two_holders, unheard

VIEW = ViewSummary(7, "a", "b", True)


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


def all_say(view: ViewSummary) -> Mapping[str, Record]:
    return {name: record(name, view) for name in ("view", "a", "b", "c")}


def test_a_member_is_not_killed_while_the_other_may_be_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spared = Sparing()
    assert spared.refuse_kill("b", all_say(VIEW)) is None
    spared.silenced({"a"})
    assert spared.refuse_kill("b", all_say(VIEW)) == "the view server may not hear a"
    assert spared.refuse_kill("c", all_say(VIEW)) is None
    spared.healed({"a"})
    assert spared.refuse_kill("b", all_say(VIEW)) == "the view server may not hear a"
    monkeypatch.setattr(sparing, "SETTLES_S", 0.0)
    spared.healed(set())
    spared.silenced({"a"})
    spared.healed({"a"})
    assert spared.refuse_kill("b", all_say(VIEW)) is None


def test_nobody_is_made_silent_while_a_view_with_a_killed_member_stands() -> None:
    spared = Sparing()
    spared.killed("b", all_say(VIEW))
    assert "was killed" in str(spared.refuse_silence({"a"}, all_say(VIEW)))
    assert "was killed" in str(spared.refuse_kill("a", all_say(VIEW)))
    assert spared.refuse_silence(set(), all_say(VIEW)) is None
    after = all_say(ViewSummary(8, "a", "c", True))
    assert spared.refuse_silence({"a"}, after) is None
    assert spared.refuse_kill("a", after) is None


def test_the_death_of_an_idle_replica_hurts_no_view() -> None:
    spared = Sparing()
    spared.killed("c", all_say(VIEW))
    assert spared.refuse_kill("a", all_say(VIEW)) is None


def test_an_accident_is_the_promotion_of_who_was_killed() -> None:
    spared = Sparing()
    spared.killed("b", all_say(VIEW))
    promoted = record("view", ViewSummary(8, "b", None, False))
    assert spared.accident(promoted) is None, "it may still come back to life"
    stuck = replace(promoted, state=f"stuck: {GONE}")
    assert "made primary of view 8" in str(spared.accident(stuck))
    assert spared.accident(replace(stuck, view=ViewSummary(8, "a", None, False))) is None
    assert spared.accident(replace(stuck, view=ViewSummary(9, "b", None, False))) is None


def test_only_links_to_the_view_server_make_silent() -> None:
    assert unheard({("a", "b"), ("b", "a"), ("client0", "a")}) == set()
    assert unheard({("a", "view")}) == unheard({("view", "a")}) == {"a"}
    _, links = cut_links("isolate", "view", None, Random(1))
    assert unheard(links) == {"a", "b", "c"}

"""A plan can be printed, changed by a short text, and told by what differs from the seed's."""

from __future__ import annotations

import pytest

from pbactors.sim import Mix, Plan

DRAWN = Plan.draw(17)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clients=1 operations=9",
        "replicas=1 horizon_ms=77",
        "loss=0 duplication=0.5 late_timers=0.25",
        "actions=1,3",
        "actions=none",
        "clients=1 ending=1 ruthless=1 actions=2",
    ],
)
def test_a_plan_is_told_by_what_differs(text: str) -> None:
    plan = DRAWN.changed(text)
    assert DRAWN.changed(plan.changes_from(DRAWN)) == plan


def test_actions_keep_their_numbers() -> None:
    kept = DRAWN.changed("actions=2,4").actions
    assert [action.number for action in kept] == [2, 4]
    assert kept == tuple(action for action in DRAWN.actions if action.number in (2, 4))


def test_a_plan_says_what_will_happen() -> None:
    text = str(DRAWN)
    assert text.startswith("seed 17: ")
    for action in DRAWN.actions:
        assert str(action) in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clients", "plan: 'clients' is no NAME=VALUE"),
        ("clients=0", "plan: clients=0. Expected a whole number from 1"),
        ("clients=two", "plan: clients=two. Expected a whole number from 1"),
        ("loss=2", "plan: loss=2. Expected a share from 0 to 1, for example loss=0"),
        ("loss=much", "plan: loss=much. Expected a share from 0 to 1"),
        ("ending=yes", "plan: ending=yes. Expected 0 or 1, for example ending=0"),
        ("actions=99", "plan: actions=99: seed 17 has no action 99"),
        ("actions=a", "plan: actions=a. Expected a whole number from 1"),
        ("color=blue", "plan: 'color' is unknown. Expected one of actions, "),
    ],
)
def test_a_mistake_is_named_with_an_example(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match="plan: ") as raised:
        DRAWN.changed(text)
    assert str(raised.value).startswith(expected)


def test_seeds_switch_different_knobs_on() -> None:
    mixes = [Plan.draw(seed).mix for seed in range(100)]
    for name in Mix.__dataclass_fields__:
        on = sum(getattr(mix, name) > 0 for mix in mixes)
        assert 10 < on < 90, name
    assert 0.2 < max(mix.loss for mix in mixes) <= 0.3
    assert 0.3 < max(mix.duplication for mix in mixes) <= 0.5

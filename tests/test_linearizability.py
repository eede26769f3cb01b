"""The checker agrees with known verdicts, with a search by brute force, and explains itself."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbactors.linearizability import SHOWN_CHARACTERS_MAX, Call, check
from tests.histories import VERDICTS, Register, judge


@pytest.mark.parametrize("name", VERDICTS)
def test_known_histories_are_judged_right(name: str) -> None:
    verdict = judge(name)
    assert verdict.linearizable is VERDICTS[name], verdict.text


def test_the_known_histories_are_of_both_kinds() -> None:
    """A checker that was never seen to say no is not trusted."""
    assert Counter(VERDICTS.values()) == {False: 43, True: 13}


# -- small histories --------------------------------------------------------------------------


def history(*rows: tuple[Any, ...]) -> list[Call]:
    """Return calls of ``(client, operation, result, began, ended)``."""
    return [Call(*row) for row in rows]


def test_a_read_may_see_a_write_that_is_under_way_or_not() -> None:
    write = ("x", ("write", 1), True, 0, 10)
    for seen in (None, 1):
        assert check(history(write, ("y", ("read",), seen, 2, 3)), Register()).linearizable


def test_a_read_must_see_a_write_that_was_answered() -> None:
    """S9: “one client writes at B, another reads at A: A cannot answer.”"""
    calls = history(("x", ("write", 1), True, 0, 1), ("y", ("read",), None, 2, 3))
    assert check(calls, Register()).linearizable is False


def test_what_was_seen_once_cannot_be_gone_again() -> None:
    write = ("x", ("write", 1), True, 0, 10)
    calls = history(write, ("y", ("read",), 1, 1, 2), ("z", ("read",), None, 3, 4))
    assert check(calls, Register()).linearizable is False


def test_a_call_without_an_answer_may_take_effect_late_or_never() -> None:
    pending = ("x", ("write", 1), None, 0, None)
    assert check(history(pending, ("y", ("read",), None, 5, 6)), Register()).linearizable
    late = history(pending, ("y", ("read",), None, 5, 6), ("y", ("read",), 1, 7, 8))
    assert check(late, Register()).linearizable
    twice = history(*late, ("y", ("read",), None, 9, 10))
    assert check(twice, Register()).linearizable is False


def test_a_call_without_an_answer_cannot_take_effect_before_it_began() -> None:
    calls = history(("y", ("read",), 1, 0, 1), ("x", ("write", 1), None, 2, None))
    assert check(calls, Register()).linearizable is False


class Alike:
    """A value that looks like every other one."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alike) and self.value == other.value

    def __hash__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return "Alike"


def test_calls_that_only_look_alike_are_different_ones() -> None:
    """Found by an attacker: pending calls of equal ``repr`` were placed in their order alone."""
    one, two = Alike(1), Alike(2)
    calls = history(
        ("x", ("write", one), None, 0, None),
        ("y", ("write", two), None, 0, None),
        ("z", ("read",), two, 1, 2),
        ("z", ("read",), one, 3, 4),
    )
    assert check(calls, Register()).linearizable


def test_parts_are_judged_apart() -> None:
    class Registers(Register):
        def step(self, state: Any, operation: Any) -> Any:
            return super().step(state, operation[1:])

    calls = history(
        ("x", ("k", "write", 1), True, 0, 1),
        ("x", ("l", "write", 2), True, 2, 3),
        ("x", ("k", "read"), 1, 4, 5),
        ("x", ("l", "read"), 1, 6, 7),
    )
    verdict = check(calls, Registers(), part_of=lambda operation: operation[0])
    assert verdict.linearizable is False
    assert verdict.text.startswith("part 'l': of 2 calls 1 can be put in an order")


def test_many_calls_without_an_answer_cost_little() -> None:
    """A client that died leaves one each time; a search that tried them first would not end."""
    pending = [Call("gone", ("write", number), None, 0, None) for number in range(40)]
    calls = [Call("x", ("write", number), True, number, number + 0.5) for number in range(100)]
    reads = [Call("y", ("read",), number, number + 0.6, number + 0.7) for number in range(100)]
    verdict = check([*pending, *calls, *reads], Register(), time_limit_s=20)
    assert verdict.linearizable, verdict.text


def test_a_limit_of_time_ends_in_no_verdict() -> None:
    crowd = [Call(number, ("write", number), True, 0, 100) for number in range(30)]
    verdict = check([*crowd, Call("y", ("read",), -1, 0, 100)], Register(), time_limit_s=0.05)
    assert verdict.linearizable is None
    assert verdict.text == "not decided within 0.05 s (31 calls)"


def test_a_report_shows_the_longest_order_and_what_cannot_follow() -> None:
    calls = history(
        ("x", ("write", 1), True, 0, 1),
        ("x", ("cas", 1, 2), True, 2, 3),
        ("y", ("read",), 1, 4, 6),
        ("x", ("write", 3), True, 5, 7),
    )
    assert check(calls, Register()).text.splitlines() == [
        "of 4 calls 3 can be put in an order, and no more:",
        "      1  x: ('write', 1) -> True    then 1",
        "      2  x: ('cas', 1, 2) -> True   then 2",
        "      3  x: ('write', 3) -> True    then 3",
        "The state is 3. Next must be one that began before 6, and:",
        "         y: ('read',) -> 1   [4 to 6] would result in 3",
    ]


def test_a_report_shows_calls_without_an_answer_that_do_not_help() -> None:
    calls = history(
        ("x", ("write", 1), True, 0, 1),
        ("z", ("write", 7), None, 0.5, None),
        ("y", ("read",), 7, 2, 3),
        ("y", ("read",), 1, 4, 5),
    )
    assert check(calls, Register()).text.splitlines() == [
        "of 4 calls 3 can be put in an order, and no more:",
        "      1  x: ('write', 1) -> True        then 1",
        "      2  z: ('write', 7) -> no answer   then 7",
        "      3  y: ('read',) -> 7              then 7",
        "The state is 7. Next must be one that began before 5, and:",
        "         y: ('read',) -> 1   [4 to 5] would result in 7",
    ]
    useless = Call("w", ("write", 9), None, 2.5, None)
    assert check([*calls, useless], Register()).text.splitlines()[-2:] == [
        "These have no answer; that they may have happened before does not help:",
        "         w: ('write', 9) -> no answer   [from 2.5]",
    ]


def test_a_report_of_a_long_history_is_short() -> None:
    writes = [Call("x", ("write", f"{number}" * 300), True, number, number) for number in range(99)]
    crowd = [Call(number, ("read",), "nothing", 100, 200) for number in range(50)]
    lines = check([*writes, *crowd], Register()).text.splitlines()
    assert lines[1] == "       ... 87 calls before ..."
    assert lines[-1] == "         ... and 38 more ..."
    assert len(lines) < 40
    assert max(map(len, lines)) < 3 * SHOWN_CHARACTERS_MAX


def test_an_empty_history_is_linearizable() -> None:
    assert check([], Register()).linearizable


# -- against brute force ----------------------------------------------------------------------

OPERATIONS = st.sampled_from(
    [("read",), ("write", "1"), ("write", "2"), ("cas", "1", "2"), ("append", "1"), ("append", "2")]
)


class Text(Register):
    """A register that can be added to."""

    def step(self, state: Any, operation: Any) -> Any:
        if operation[0] == "append":
            text = (state or "") + operation[1]
            return text, text
        return super().step(state, operation)


@st.composite
def small_histories(draw: st.DrawFn) -> list[Call]:
    """Return calls with the results of some order, which their times allow, and often one wrong."""
    calls: list[Call] = []
    state: Any = None
    for place in range(draw(st.integers(1, 6))):
        operation = draw(OPERATIONS)
        began = draw(st.integers(max(0, place - 3), place)) + 0.25
        ended = draw(st.none() | st.integers(place, place + 3).map(lambda time: time + 0.75))
        result = None
        if ended is not None or draw(st.booleans()):  # else it never took effect
            state, result = Text().step(state, operation)
        calls.append(Call(place, operation, None if ended is None else result, began, ended))
    answered = [place for place, call in enumerate(calls) if call.ended is not None]
    if answered and draw(st.booleans()):
        wrong = draw(st.sampled_from(answered))
        result = draw(st.sampled_from([None, "1", "2", "11", "12", "21", "121", True, False]))
        calls[wrong] = calls[wrong]._replace(result=result)
    return draw(st.permutations(calls))


def by_brute_force(calls: list[Call]) -> bool:
    """Try every order of every choice of the pending calls."""
    done = [call for call in calls if call.ended is not None]
    pending = [call for call in calls if call.ended is None]
    choices = (
        [call for place, call in enumerate(pending) if chosen >> place & 1]
        for chosen in range(1 << len(pending))
    )
    return any(is_right(order) for choice in choices for order in permutations([*done, *choice]))


def is_right(order: tuple[Call, ...]) -> bool:
    state: Any = None
    for place, call in enumerate(order):
        if any(later.ended is not None and later.ended < call.began for later in order[place:]):
            return False
        state, result = Text().step(state, call.operation)
        if call.ended is not None and result != call.result:
            return False
    return True


@given(small_histories())
@settings(max_examples=500)
def test_it_agrees_with_brute_force(calls: list[Call]) -> None:
    assert check(calls, Text()).linearizable is by_brute_force(calls)

"""Pieces of what a node recorded: put together without gap or repetition, and silence noted."""

from __future__ import annotations

import pytest

from pbactors.protocol.tool_messages import Moments
from pbactors.trace import Sort
from pbactors.trace.tape import SILENT_MS, Tape

LIFE, NEXT_LIFE = b"1" * 16, b"2" * 16


def piece(first: int, letters: str) -> Moments:
    lines = [f'{{"time_ms": 5000, "sort": "event", "text": "{letter}"}}\n' for letter in letters]
    return Moments(first, 0, "".join(lines).encode())


def texts(tape: Tape) -> str:
    return "".join(moment.text for moment in tape.moments)


@pytest.mark.parametrize(
    ("answers", "together", "missed"),
    [
        ([(11, "abc"), (14, "de")], "abcde", 0),
        ([(11, "abc"), (12, "bcd")], "abcd", 0),  # asked twice
        ([(11, "abc"), (11, "abc")], "abc", 0),
        ([(11, "abc"), (14, "")], "abc", 0),
        ([(11, "abc"), (17, "x")], "abcx", 3),  # the ring was too small
        ([(11, "abc"), (10**15, "x")], "abcx", 0),  # it had stopped recording
    ],
)
def test_pieces_are_put_together(
    answers: list[tuple[int, str]], together: str, missed: int
) -> None:
    tape = Tape("a", 100)
    for first, letters in answers:
        tape.take(LIFE, piece(first, letters), 1)
    assert (texts(tape), tape.missed) == (together, missed)


def test_silence_within_a_life_is_a_pause() -> None:
    tape = Tape("a", 100)
    tape.take(LIFE, piece(11, "a"), 1000)
    tape.take(LIFE, piece(12, "b"), 1001 + SILENT_MS)
    assert [(moment.sort, moment.time_ms) for moment in tape.moments] == [
        (Sort.EVENT, 5000),
        (Sort.PAUSED, 1000),
        (Sort.RESUMED, 5000),
        (Sort.EVENT, 5000),
    ]


def test_another_life_means_that_the_one_before_has_ended() -> None:
    tape = Tape("a", 100)
    tape.take(LIFE, piece(11, "a"), 1000)
    tape.take(NEXT_LIFE, piece(500, "b"), 1001)
    assert [moment.sort for moment in tape.moments][1:3] == [Sort.STOPPED, Sort.STARTED]
    assert tape.missed == 0


def test_who_is_silent_in_the_end_has_stopped() -> None:
    tape = Tape("a", 100)
    tape.end(10_000)
    assert not tape.moments, "it never answered"
    tape.take(LIFE, piece(11, "a"), 1000)
    tape.end(1001)
    assert len(tape.moments) == 1
    tape.end(1001 + SILENT_MS)
    assert tape.moments[-1].sort is Sort.STOPPED


def test_what_was_not_fetched_in_the_end_is_missed() -> None:
    tape = Tape("a", 100)
    tape.take(LIFE, Moments(1, 7, piece(1, "a").lines), 1000)
    tape.end(1001)
    assert (texts(tape), tape.missed) == ("a", 7)


def test_a_tape_is_bounded() -> None:
    tape = Tape("a", 3)
    tape.take(LIFE, piece(1, "abcdef"), 1000)
    assert texts(tape) == "def"


@pytest.mark.parametrize("lines", [b"junk", b"\xff", b'{"sort": "event"}', b"[]"])
def test_junk_is_refused_and_nothing_taken(lines: bytes) -> None:
    tape = Tape("a", 3)
    with pytest.raises(ValueError, match=r"."):
        tape.take(LIFE, Moments(1, 0, lines), 1000)
    assert tape.heard_ms is None

"""Traces as files: what is written can be read, and junk is refused with file, line and reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbactors.errors import TraceUnreadable
from pbactors.trace import Moment, Sort, Trace, file

FIRST = '{"pbactors trace": 1}\n'

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
moments = st.builds(
    Moment,
    st.floats(-1e9, 1e12),
    st.text(),
    st.sampled_from(Sort),
    st.text(),
    st.integers(0, 2**63 - 1),
    st.text(),
    st.dictionaries(st.text(), plain, max_size=4),
)


@given(moments)
def test_a_moment_comes_out_as_what_it_was(moment: Moment) -> None:
    line = file.to_line(moment)
    assert "\n" not in line
    assert file.from_line(line) == moment


def test_a_trace_comes_out_as_what_it_was(tmp_path: Path) -> None:
    trace = Trace()
    trace.add(Moment(0.5, "a", Sort.SENT, "Ping", 1, "view", {"kind": "Ping"}))
    trace.add(Moment(1, "", Sort.FAULT, "später \N{SNOWMAN}"))
    path = tmp_path / "run.jsonl"
    file.save(trace, path)
    assert list(file.load(path)) == list(trace)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", ":1: this is no trace. Expected the line"),
        ("junk\n", ":1: this is no trace"),
        ("[" * 100_000, ":1: this is no trace"),
        ('{"pbactors trace": 2}\n', ":1: this is a trace of version 2"),
        (FIRST + "junk\n", ":2: no JSON"),
        (FIRST + "\n[]\n", ":3: no JSON object"),
        (FIRST + "[" * 100_000, ":2: no JSON"),
        (FIRST + '{"time_ms": 1, "sort": "event", "when": 2}', ":2: unknown key 'when'"),
        (FIRST + '{"sort": "event"}', ":2: time_ms: expected a number, got nothing"),
        (FIRST + '{"time_ms": NaN, "sort": "event"}', ":2: no JSON: NaN is no number"),
        (FIRST + '{"time_ms": true, "sort": "event"}', ":2: time_ms: expected a number, got true"),
        (FIRST + '{"time_ms": 1e999, "sort": "event"}', ":2: no JSON: 1e999 is no number"),
        (FIRST + '{"time_ms": 1, "sort": "event", "fields": {"a": NaN}}', ":2: no JSON: NaN"),
        ('{"pbactors trace": true}\n', ":1: this is a trace of version True"),
        (FIRST + f'{{"time_ms": {10**400}, "sort": "event"}}', ":2: time_ms: expected a number"),
        (FIRST + '{"time_ms": 1, "sort": "x"}', ":2: sort: expected one of started, stopped"),
        (FIRST + '{"time_ms": 1, "sort": "event", "text": 7}', ":2: text: expected a text, got 7"),
        (FIRST + '{"time_ms": 1, "sort": "sent", "message": -1}', ":2: message: expected a number"),
        (FIRST + '{"time_ms": 1, "sort": "sent", "fields": 1}', ":2: fields: expected an object"),
        (FIRST + '"' + "x" * 2_000_000, ":2: a line of more than"),
    ],
)
def test_junk_is_refused_with_file_and_line(content: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(content)
    with pytest.raises(TraceUnreadable) as raised:
        file.load(path)
    assert f"{path}{reason}" in str(raised.value)
    assert "Expected" in str(raised.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceUnreadable):
        file.load(path)


def test_a_mark_of_the_byte_order_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    file.save(Trace(), path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(file.load(path)) == []

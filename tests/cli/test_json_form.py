"""Values as JSON and back: exactly, and readable where JSON has the value."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbactors.cli.json_form import from_json, to_json

BERLIN = ZoneInfo("Europe/Berlin")

EXACT: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (2**200, 2**200),
    ("text", "text"),
    ([1, [2.5]], [1, [2.5]]),
    ({"a": 1, "$b": 2}, {"a": 1, "$b": 2}),
    (b"hello", {"$bytes": "aGVsbG8="}),
    ((1, (2,)), {"$tuple": [1, {"$tuple": [2]}]}),
    ({"b", "a"}, {"$set": ["a", "b"]}),
    (frozenset({2, 1}), {"$frozenset": [1, 2]}),
    ({1: "one"}, {"$dict": [[1, "one"]]}),
    ({"$bytes": 1}, {"$dict": [["$bytes", 1]]}),
    (float("inf"), {"$float": "inf"}),
    (-(2**2000), {"$int": hex(-(2**2000))}),
    (datetime(2026, 1, 31, 9, 30, tzinfo=UTC), {"$datetime": "2026-01-31T09:30:00+00:00"}),
    (
        datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
        {"$datetime": "2026-10-25T02:30:00+01:00[Europe/Berlin]"},
    ),
]


@pytest.mark.parametrize(("value", "form"), EXACT)
def test_the_form_of_a_value_is_documented(value: Any, form: Any) -> None:
    assert to_json(value) == form
    assert same(from_json(json.loads(json.dumps(form, allow_nan=False))), value)


def same(one: Any, other: Any) -> bool:
    """Equal, of equal types all the way down; nan is the same as nan."""
    if type(one) is not type(other):
        return False
    if type(one) is float:
        return repr(one) == repr(other)
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is dict:
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if type(one) in (set, frozenset):
        return same(sorted(one, key=repr), sorted(other, key=repr))
    if type(one) is datetime:
        return (one.isoformat(), one.utcoffset()) == (other.isoformat(), other.utcoffset())
    return bool(one == other)


def zones() -> st.SearchStrategy[Any]:
    names = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata"]
    offsets = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
    return st.sampled_from(names).map(ZoneInfo) | st.just(UTC) | offsets


keys = (
    st.none()
    | st.integers()
    | st.text()
    | st.sampled_from(["$bytes", "$dict", "$"])
    | st.binary()
    | st.datetimes(
        min_value=datetime(1975, 1, 1),  # noqa: DTZ001
        max_value=datetime(2035, 1, 1),  # noqa: DTZ001
        timezones=zones(),
    )
)
values = st.recursive(
    keys | st.booleans() | st.floats() | st.integers(-(2**3000), 2**3000),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.sets(st.integers() | st.text())
        | st.frozensets(st.binary())
    ),
    max_leaves=20,
)


@given(values)
def test_what_goes_into_json_comes_out(value: Any) -> None:
    text = json.dumps(to_json(value), allow_nan=False)
    assert same(from_json(json.loads(text)), value)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"$byte": ""}, "is none of $bytes"),
        ({"$bytes": "a"}, "no content for '$bytes'"),
        ({"$bytes": 5}, "no content for '$bytes'"),
        ({"$tuple": {"a": 1}}, "expected a list"),
        ({"$set": [[1]]}, "no content for '$set'"),
        ({"$dict": [[1]]}, "no content for '$dict'"),
        ({"$datetime": "2026-01-31T09:30:00"}, "expected an offset"),
        ({"$datetime": "2026-01-31T09:30:00+02:00[Europe/Berlin]"}, "another offset"),
        ({"$datetime": "2026-01-31T09:30:00+02:00[Nowhere/None]"}, "no content"),
        ({"$float": "many"}, "no content for '$float'"),
        ([{"$tuple": [{"$nothing": 1}]}], "is none of"),
    ],
)
def test_what_only_looks_like_the_form_is_refused_with_a_reason(form: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        from_json(form)

"""Calls and outcomes as bytes; errors name the argument (design, 4)."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbactors.errors import MalformedMessage, MethodRaised, UnsupportedValue
from pbactors.machines.calls import (
    decode_call,
    decode_outcome,
    digest_outcomes,
    encode_call,
    encode_error,
    encode_result,
)
from pbactors.values import pack


class Shop:
    def order(self, what: str, when: object, *more: object, **notes: object) -> None:
        """A method with every kind of parameter."""


def test_a_call_comes_back_as_it_was():
    args, named = ["a", [1, (2,)], {3: {4}}], {"b": None}
    assert decode_call(encode_call("order", args, named)) == ("order", args, named)
    assert decode_call(encode_call("order", args)) == ("order", args, {})
    assert decode_call(encode_call("order", ["a", 1, None])) == ("order", ["a", 1, None], {})
    assert decode_call(encode_call("order")) == ("order", [], {})


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "place"),
    [
        (Shop.order, ("x", {"x": [1, 2, Decimal(1)]}), {}, "argument 'when', ['x'][2]: Decimal"),
        (Shop().order, ("x", Decimal(1)), {}, "argument 'when': Decimal"),
        (Shop.order, ("x", 1, 2, Decimal(1)), {}, "argument 4: Decimal"),
        (Shop.order, ("x",), {"when": [Decimal(1)]}, "argument 'when', [0]: Decimal"),
        (None, ("x", Decimal(1)), {}, "argument 2: Decimal"),
    ],
)
def test_an_argument_that_cannot_be_carried_is_named(function, args, kwargs, place):
    """UnsupportedValue at the call, naming where it stands."""
    with pytest.raises(UnsupportedValue) as error:
        encode_call("order", args, kwargs, function)
    assert str(error.value).startswith(f"{place}; supported are None, bool, int")


def test_an_argument_that_is_too_deep_only_inside_a_call_is_refused():
    deep: object = 0
    for _ in range(100):
        deep = [deep]
    pack(deep)
    with pytest.raises(UnsupportedValue, match=r"arguments, .*nested deeper"):
        encode_call("order", (deep,))


@pytest.mark.parametrize(
    "call",
    [
        1,
        [],
        ["put"],
        ("put", None),
        [b"put", None],
        [["put"], None],
        ["put", []],
        ["put", {1: 2}],
        ["put", 1],
    ],
)
def test_what_is_no_call_is_refused(call):
    with pytest.raises(MalformedMessage, match="no call"):
        decode_call(pack(call))


def test_outcomes():
    assert decode_outcome(encode_result({"x": (1,)}, "result")) == {"x": (1,)}
    with pytest.raises(MethodRaised) as error:
        decode_outcome(encode_error("KeyError", "'alice'"))
    assert (error.value.type_name, error.value.text) == ("KeyError", "'alice'")


def test_texts_of_errors_are_bounded_and_always_have_a_form():
    outcome = encode_error("E" * 10_000, "ä\ud800" * 100_000)
    assert len(outcome) < 25_000
    with pytest.raises(MethodRaised) as error:
        decode_outcome(outcome)
    assert error.value.type_name == "E" * 199 + "…"
    assert error.value.text.startswith("ä\\ud800ä")


@given(st.binary(max_size=50))
def test_junk_is_no_outcome(data):
    """Whatever the bytes are, there is a result, or one of two errors."""
    with suppress(MalformedMessage, MethodRaised):
        assert pack(decode_outcome(data))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x02\x01", b"\x01\x01", b"\x01" + pack(("x", 1))])
def test_what_is_no_outcome_is_refused(data):
    with pytest.raises(MalformedMessage):
        decode_outcome(data)


# -- digests (R50) ------------------------------------------------------------------------------


def test_a_digest_is_chained_and_of_32_bits():
    """R50: chained digests of results."""
    one, two = encode_result(1, "result"), encode_result(2, "result")
    digest = digest_outcomes(0, [one, two], b"a")
    assert digest == digest_outcomes(digest_outcomes(0, [one], b"b"), [two], b"b")
    assert digest != digest_outcomes(0, [two, one], b"a")
    assert digest != digest_outcomes(0, [two], b"a")
    assert 0 <= digest < 2**32


def test_the_text_of_an_error_is_not_in_a_digest_and_its_type_is():
    """R50: digests exclude exception texts."""
    digest = digest_outcomes(7, [encode_error("KeyError", "one text")], b"a")
    assert digest == digest_outcomes(7, [encode_error("KeyError", "another")], b"b")
    assert digest != digest_outcomes(7, [encode_error("ValueError", "one text")], b"a")
    assert digest != digest_outcomes(7, [encode_result("KeyError", "result")], b"a")


@pytest.mark.parametrize("type_name", ["RecursionError", "MemoryError"])
def test_what_strikes_at_different_points_is_never_equal(type_name):
    """R52: RecursionError and MemoryError are outcomes that count as a mismatch."""
    outcome = encode_error(type_name, "the same")
    assert digest_outcomes(7, [outcome], b"a") != digest_outcomes(7, [outcome], b"b")

"""The reference machine, through the bytes that replicas execute."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbactors.errors import MethodRaised
from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.calls import decode_outcome, encode_call
from pbactors.machines.context import next_stamp
from pbactors.machines.kv import KeyValueStore
from pbactors.machines.state_machine import interface

KINDS = interface(KeyValueStore)


class Store:
    """Calls a replicated store as a client would."""

    def __init__(self) -> None:
        self.machine = ReplicatedMachine(KeyValueStore, 1024 * 1024)
        self.op_number = 0
        self.stamp = b""

    def __call__(self, method: str, *args: object) -> object:
        body = encode_call(method, args)
        if KINDS[method] == "query":
            return decode_outcome(self.machine.query(self.stamp, body))
        self.op_number += 1
        self.stamp = next_stamp(self.stamp)
        [outcome] = self.machine.execute(self.op_number, self.stamp, [body])
        return decode_outcome(outcome)


@pytest.fixture
def call():
    return Store()


def test_DL1_basic_key_value_operations(call):
    """DL1: a script of get, put and append on four keys with exact results, and a long value.

    Get: value or not-found. Put: OK. Append: creates or extends; returns the new value.
    """
    long = "0123456789" * 100
    script = [
        ("get", ("key1",), None),
        ("put", ("key1", "value1"), None),
        ("get", ("key1",), "value1"),
        ("put", ("key1", "other"), None),
        ("get", ("key1",), "other"),
        ("append", ("key2", "new"), "new"),
        ("append", ("key2", "er"), "newer"),
        ("get", ("key2",), "newer"),
        ("get", ("key3",), None),
        ("put", ("key3", ""), None),
        ("get", ("key3",), ""),
        ("append", ("key3", "x"), "x"),
        ("append", ("key3", "x"), "xx"),
        ("append", ("key1", "-more"), "other-more"),
        ("put", ("key2", "over"), None),
        ("append", ("key2", "written"), "overwritten"),
        ("put", ("key4", long), None),
        ("get", ("key4",), long),
        ("append", ("key4", "!"), long + "!"),
        ("get", ("key1",), "other-more"),
        ("get", ("key2",), "overwritten"),
        ("get", ("key3",), "xx"),
        ("get", ("key5",), None),
    ]
    assert [call(method, *args) for method, args, _ in script] == [result for *_, result in script]


def test_a_missing_key_is_told_apart_from_an_empty_value(call):
    call("put", "empty", "")
    assert (call("get", "empty"), call("get", "missing")) == ("", None)
    assert (call("delete", "empty"), call("delete", "missing")) == (True, False)
    assert call("get", "empty") is None


def test_compare_and_set(call):
    assert call("compare_and_set", "k", "a", "b") is False
    assert call("get", "k") is None
    assert call("compare_and_set", "k", None, "") is True
    assert call("compare_and_set", "k", None, "a") is False
    assert call("compare_and_set", "k", "", "a") is True
    assert call("get", "k") == "a"


def test_increment(call):
    assert call("increment", "n") == 1
    assert call("increment", "n", 41) == 42
    assert call("increment", "n", -(10**30)) == 42 - 10**30
    assert call("get", "n") == str(42 - 10**30)


@pytest.mark.parametrize("value", ["", "x", "1.5", " 1", "1_000", "٣", "+1", "9" * 1001])
def test_what_spells_no_whole_number_is_not_incremented(call, value):
    call("put", "n", value)
    with pytest.raises(MethodRaised, match="'n' holds no whole number") as error:
        call("increment", "n")
    assert error.value.type_name == "ValueError"
    assert call("get", "n") == value


def test_keys_by_prefix(call):
    for key in ("b2", "a", "b1", "", "ba"):
        call("put", key, "x")
    assert call("keys") == ["", "a", "b1", "b2", "ba"]
    assert call("keys", "b") == ["b1", "b2", "ba"]
    assert call("keys", "c") == []


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("get", (1,)),
        ("keys", (b"x",)),
        ("put", (b"k", "x")),
        ("put", ("k", 1)),
        ("put", ("k", None)),
        ("append", ("k", b"x")),
        ("append", (None, "x")),
        ("delete", (("k",),)),
        ("compare_and_set", ("k", 1, "x")),
        ("compare_and_set", ("k", None, None)),
        ("increment", ("k", 1.5)),
        ("increment", ("k", True)),
    ],
)
def test_keys_and_values_are_texts(call, method, args):
    with pytest.raises(MethodRaised) as error:
        call(method, *args)
    assert error.value.type_name == "TypeError"
    assert call("keys") == []


def test_an_amount_out_of_all_proportion_is_refused(call):
    with pytest.raises(MethodRaised, match="3000 bits"):
        call("increment", "n", 10**1000)
    assert call("keys") == []


texts = st.text(st.sampled_from("ab1"), max_size=3)
steps = (
    st.tuples(st.just("put"), texts, texts)
    | st.tuples(st.just("append"), texts, texts)
    | st.tuples(st.just("delete"), texts)
    | st.tuples(st.just("compare_and_set"), texts, st.none() | texts, texts)
    | st.tuples(st.just("get"), texts)
    | st.tuples(st.just("keys"), texts)
)


@given(st.lists(steps, max_size=30))
@settings(max_examples=100)
def test_it_behaves_as_a_dict_does(script):
    call, model = Store(), {}
    for method, *args in script:
        result = call(method, *args)
        key = args[0]
        if method == "put":
            model[key] = args[1]
            assert result is None
        elif method == "append":
            model[key] = model.get(key, "") + args[1]
            assert result == model[key]
        elif method == "delete":
            assert result == (model.pop(key, None) is not None)
        elif method == "compare_and_set":
            assert result == (model.get(key) == args[1])
            if result:
                model[key] = args[2]
        elif method == "get":
            assert result == model.get(key)
        else:
            assert result == sorted(name for name in model if name.startswith(key))

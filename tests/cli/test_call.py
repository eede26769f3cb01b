"""``pbactors call``: arguments, results, errors, and nothing but the result on stdout."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pbactors.cli.call import value_of
from pbactors.cli.methods import usage_of
from pbactors.machines.kv import KeyValueStore
from tests.processes import PBACTORS, free_topology, running

from .shell import pbactors, result_of


def test_a_result_is_json_and_alone_on_stdout(served: Path) -> None:
    assert pbactors("call", served, "put", "call", "blue") == (0, "null\n", "")
    assert pbactors("call", served, "get", "call") == (0, '"blue"\n', "")
    assert pbactors("call", served, "append", "call", " größer") == (0, '"blue größer"\n', "")
    assert pbactors("call", served, "get", "never") == (0, "null\n", "")


def test_options_may_stand_behind_the_arguments(served: Path) -> None:
    words = ("call", served, "compare_and_set", "options", "null", "5", "--text", "--timeout", "9")
    assert result_of(*words) is False
    assert result_of("call", served, "compare_and_set", "options", "null", '"5"') is True


def test_arguments_that_begin_with_a_dash(served: Path) -> None:
    assert result_of("call", served, "increment", "dash", "-5") == -5
    assert result_of("call", served, "append", "dash-text", "--verbose=-x", "--text") == (
        "--verbose=-x"
    )
    assert result_of("call", "--text", served, "append", "dash-more", "--", "--text") == "--text"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("5", 5),
        ("-2.5", -2.5),
        ('"5"', "5"),
        ("true", True),
        ("null", None),
        ('{"a": [1]}', {"a": [1]}),
        ('{"$tuple": [1]}', (1,)),
        ("blue", "blue"),
        ("", ""),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[1", "[1"),
        ("[" * 100_000, "[" * 100_000),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_an_argument_is_json_if_it_reads_as_json(word: str, value: object) -> None:
    assert value_of(word) == value


def test_a_method_that_raises_is_exit_code_1(served: Path) -> None:
    code, stdout, stderr = pbactors("call", served, "put", "raises", "5")
    assert (code, stdout) == (1, "")
    assert stderr == "Error: TypeError: expected a str, not a int\n"


def test_an_unknown_method_names_those_there_are(served: Path) -> None:
    code, stdout, stderr = pbactors("call", served, "putt", "x")
    assert (code, stdout) == (2, "")
    assert "no command or query 'putt'; did you mean 'put'?" in stderr
    assert "append, compare_and_set, delete, get, increment, keys, put" in stderr


@pytest.mark.parametrize("words", [["put", "x"], ["get"], ["get", "x", "y"]])
def test_a_wrong_number_of_arguments_is_found_before_sending(
    words: list[str], tmp_path: Path
) -> None:
    code, stdout, stderr = pbactors("call", free_topology(tmp_path), *words)
    assert (code, stdout) == (2, "")
    assert f"Expected: {words[0]} KEY" in stderr


@pytest.mark.parametrize(
    ("method", "usage"),
    [
        (KeyValueStore.put, "put KEY VALUE"),
        (KeyValueStore.keys, "keys [PREFIX]"),
        (KeyValueStore.increment, "increment KEY [AMOUNT]"),
    ],
)
def test_usage_of_a_method(method: Callable[..., object], usage: str) -> None:
    assert usage_of(method.__name__, method) == usage


@pytest.mark.parametrize(
    ("word", "reason"), [('{"$byte": "x"}', "none of $bytes"), ("\udcff", "surrogate")]
)
def test_an_argument_that_cannot_be_sent_is_wrong_usage(
    word: str, reason: str, tmp_path: Path
) -> None:
    code, stdout, stderr = pbactors("call", free_topology(tmp_path), "get", word)
    assert (code, stdout) == (2, "")
    assert reason in stderr
    assert "Traceback" not in stderr


def test_no_answer_in_time_is_exit_code_1_and_says_what_that_means(tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    code, stdout, stderr = pbactors("call", topology, "put", "x", "y", "--timeout", "0.3")
    assert (code, stdout) == (1, "")
    assert "no answer within 0.3 s" in stderr
    assert "did not happen" in stderr
    assert "View server view does not answer at tcp://127.0.0.1:" in stderr


def test_ctrl_c_ends_a_call_at_once_with_exit_code_130(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, machine="waits:Waits")
    (tmp_path / "waits.py").write_text(
        "import sys\nfrom pbactors import StateMachine, query\n"
        "class Waits(StateMachine):\n    @query\n    def ask(self): pass\n"
        "print('imported', flush=True)\n"
    )
    with running([*PBACTORS, "call", topology, "ask", "--timeout", "1000"]) as process:
        process.wait_for("imported", stream="stderr")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stdout == ""
        assert "Traceback" not in process.stderr

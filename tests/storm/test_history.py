"""What clients write down comes back as it was, and the judge of a storm can say no."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from pathlib import Path
from random import Random

import pytest

from pbactors.linearizability import Call
from pbactors.workload import Invocation
from tests.storm.__main__ import judge
from tests.storm.history import HistoryWriter, StormLoad, answered_since, read_folder
from tests.storm.verdict import judge_calls, summary, without_a_seen_write

WORKERS = 3
TURNS = 60
ROUNDS = 2


def stored(folder: Path) -> list[Call]:
    """Write down what workers see who take turns, read it back, and return it."""
    load = StormLoad(ROUNDS)
    texts: dict[str, Hashable] = {}
    random = Random(3)
    writer = HistoryWriter(folder / "client.history")

    def call(client: str, invocation: Invocation) -> None:
        number = writer.began(client, invocation)
        key = str(invocation.arguments[0])
        texts[key], result = load.model.step(texts.get(key), invocation)
        writer.ended(number, result)

    for turn in range(TURNS):
        for worker in range(WORKERS):
            number = turn * ROUNDS // TURNS
            call(f"worker {worker}", load.invoke_in(number, random, worker, turn))
    for invocation in load.final():
        call("conductor", invocation)
    writer.close()
    return read_folder(folder)


def test_an_honest_history_is_accepted(tmp_path: Path) -> None:
    calls = stored(tmp_path)
    assert len(calls) == WORKERS * TURNS + len(StormLoad(ROUNDS).final())
    assert judge_calls(calls).linearizable is True
    assert summary(calls).startswith(f"{len(calls)} calls of {WORKERS + 1} workers")


def lose_a_write(calls: list[Call]) -> list[Call]:
    forged = without_a_seen_write(calls)
    assert forged is not None
    return forged


def test_a_history_in_which_nobody_saw_a_write_cannot_be_forged() -> None:
    assert without_a_seen_write([]) is None


def read_what_was(calls: list[Call]) -> list[Call]:
    """Let the last read of a text return what one append less would give."""
    place = next(
        place
        for place, call in reversed(list(enumerate(calls)))
        if call.operation.method == "get" and str(call.result).count(" ") > 1
    )
    older = " ".join(str(calls[place].result).split()[:-1]) + " "
    return [*calls[:place], calls[place]._replace(result=older), *calls[place + 1 :]]


def count_twice(calls: list[Call]) -> list[Call]:
    place = next(
        place
        for place, call in reversed(list(enumerate(calls)))
        if call.operation.arguments[0].startswith("counter") and call.operation.method == "get"
    )
    more = str(int(str(calls[place].result or 0)) + 1)
    return [*calls[:place], calls[place]._replace(result=more), *calls[place + 1 :]]


@pytest.mark.parametrize("corrupt", [lose_a_write, read_what_was, count_twice])
def test_a_corrupted_history_is_refused(
    tmp_path: Path, corrupt: Callable[[list[Call]], list[Call]]
) -> None:
    verdict = judge_calls(corrupt(stored(tmp_path)))
    assert verdict.linearizable is False
    assert verdict.text


def test_a_client_killed_while_it_wrote_loses_nothing_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "client.history"
    writer = HistoryWriter(path)
    put = Invocation("put", ("register0/0", "x"))
    first, second = writer.began("worker 0", put), writer.began("worker 0", put)
    writer.ended(first, None)
    whole = path.read_bytes()
    writer.ended(second, None)
    writer.close()
    cut_short = path.read_bytes()[: len(whole) + 20]
    path.write_bytes(cut_short)
    calls = read_folder(tmp_path)
    assert [call.ended is None for call in calls] == [False, True]
    assert calls[0].began == 0


def test_what_was_never_sent_is_no_call(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "client.history")
    writer.never_sent(writer.began("worker 0", Invocation("get", ("register0/0",))))
    writer.close()
    assert read_folder(tmp_path) == []


def test_only_calls_since_a_moment_that_were_answered_are_counted(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "client.history")
    get = Invocation("get", ("register0/0",))
    earlier = writer.began("worker 0", get)
    moment_ns = time.monotonic_ns()
    later, pending = writer.began("worker 0", get), writer.began("worker 0", get)
    assert pending > later
    writer.ended(earlier, None)
    assert answered_since(tmp_path, moment_ns) == 0
    writer.ended(later, None)
    writer.close()
    assert answered_since(tmp_path, moment_ns) == 1
    assert answered_since(tmp_path, 0) == 2


def test_a_folder_that_is_not_there_is_no_good_history(tmp_path: Path) -> None:
    assert judge(tmp_path / "nowhere") == 2

"""Workloads: models foresee what the classes do, ends are judged, and hints make loads."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest

import pbactors.workload
from pbactors import StateMachine, command, query
from pbactors.errors import WorkloadUnavailable
from pbactors.linearizability import Call
from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.bank import Bank
from pbactors.machines.calls import encode_call
from pbactors.machines.kv import KeyValueStore
from pbactors.machines.sets import Sets
from pbactors.machines.state_machine import interface
from pbactors.workload import (
    WORKLOADS,
    Invocation,
    Raised,
    Workload,
    from_hints,
    judge,
    judge_order,
    outcome_of,
    workload_for,
)

STAMP = bytes(7) + b"\x01" + bytes(8)


class Cluster:
    """One copy, called one after another, that can lose answers.

    Args:
        machine: the class.
    """

    def __init__(self, machine: type[StateMachine]) -> None:
        self.kinds = interface(machine)
        self.machine = ReplicatedMachine(machine, 1 << 20)
        self.calls: list[Call] = []

    def call(self, client: int, method: str, *arguments: object) -> Any:
        outcome = self.execute(method, arguments)
        time = len(self.calls)
        self.calls.append(Call(client, Invocation(method, arguments), outcome, time, time + 0.5))
        return outcome

    def execute(self, method: str, arguments: Sequence[object]) -> object:
        body = encode_call(method, arguments)
        if self.kinds[method] == "query":
            return outcome_of(self.machine.query(STAMP, body))
        [outcome] = self.machine.execute(1, STAMP, [body])
        return outcome_of(outcome)

    def lose(self, client: int, method: str, *arguments: object, happened: bool) -> None:
        if happened:
            self.execute(method, arguments)
        pending = Call(client, Invocation(method, arguments), None, len(self.calls), None)
        self.calls.append(pending)


def run(workload: Workload, seed: int, calls: int = 300, lost: float = 0.05) -> list[Call]:
    """Return the history of four clients in turn, some of whose answers were lost."""
    random = Random(seed)
    cluster = Cluster(workload.machine)
    for turn in range(calls):
        client = turn % 4
        method, arguments = workload.invoke(random, client, turn // 4)
        if random.random() < lost:
            cluster.lose(client, method, *arguments, happened=random.random() < 0.5)
        else:
            cluster.call(client, method, *arguments)
    for method, arguments in workload.final():
        cluster.call(4, method, *arguments)
    return cluster.calls


# -- the reference workloads ------------------------------------------------------------------


@pytest.mark.parametrize("name", WORKLOADS)
def test_models_foresee_what_the_classes_do(name: str) -> None:
    workload = WORKLOADS[name]
    for seed in range(10):
        verdict = judge(workload, run(workload, seed, lost=0.0))
        assert verdict.linearizable, verdict.text


@pytest.mark.parametrize("name", WORKLOADS)
def test_lost_answers_are_no_fault(name: str) -> None:
    workload = WORKLOADS[name]
    for seed in range(10):
        verdict = judge(workload, run(workload, seed), time_limit_s=20)
        assert verdict.linearizable, verdict.text


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_kind_of_call_is_made_and_often_succeeds(name: str) -> None:
    workload = WORKLOADS[name]
    calls = run(workload, 1, calls=600, lost=0.0)
    methods = set(interface(workload.machine)) - {"keys", "delete"}
    if workload.machine is KeyValueStore and name != "kv":
        methods &= {call.operation.method for call in calls}
    for method in methods:
        results = [call.result for call in calls if call.operation.method == method]
        refused = [result for result in results if isinstance(result, Raised) or result is False]
        assert len(results) > len(refused), method


@pytest.mark.parametrize("name", WORKLOADS)
def test_what_is_written_tells_who_wrote_it(name: str) -> None:
    workload = WORKLOADS[name]
    random = Random(7)
    written = [
        invocation.arguments[-1]
        for turn in range(50)
        for client in range(4)
        for invocation in [workload.invoke(random, client, turn)]
        if invocation.method in ("put", "append", "increment", "deposit", "withdraw", "transfer")
    ]
    assert len(set(written)) == len(written)


@pytest.mark.parametrize("name", WORKLOADS)
def test_equal_seeds_give_equal_loads(name: str) -> None:
    workload = WORKLOADS[name]
    once, again = Random(3), Random(3)
    for turn in range(50):
        assert workload.invoke(once, 1, turn) == workload.invoke(again, 1, turn)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_lost_command_is_found_out(name: str) -> None:
    """A checker that was never seen to say no is not trusted: here, the state goes back once."""
    workload = WORKLOADS[name]
    found = 0
    for seed in range(10):
        random = Random(seed)
        cluster = Cluster(workload.machine)
        for turn in range(100):
            if turn == 50:
                kept = cluster.machine.clone()
            if turn == 98:
                cluster.machine = kept
            cluster.call(turn % 4, *spread(workload.invoke(random, turn % 4, turn // 4)))
        for invocation in workload.final():
            cluster.call(4, *spread(invocation))
        found += judge(workload, cluster.calls).linearizable is False
    assert found == 10


def spread(invocation: Invocation) -> tuple[Any, ...]:
    return (invocation.method, *invocation.arguments)


# -- the end of a history ---------------------------------------------------------------------


def history(*rows: tuple[str, tuple[object, ...], object]) -> list[Call]:
    """Return calls one after another; those that resulted in ``...`` had no answer."""
    return [
        Call(0, Invocation(method, arguments), None, time, None)
        if result is ...
        else Call(0, Invocation(method, arguments), result, time, time + 0.5)
        for time, (method, arguments, result) in enumerate(rows)
    ]


APPENDED = [("append", ("append0", piece), None) for piece in ("0.1 ", "0.2 ")]
PAID = [("deposit", ("ann", 5), 5), ("withdraw", ("ann", 2), ...), ("deposit", ("bob", 4), ...)]


@pytest.mark.parametrize(
    ("name", "rows", "reason"),
    [
        ("register", [("put", ("register0", "0.1"), None), ("get", ("register0",), "0.1")], None),
        ("register", [("put", ("register0", "0.1"), ...), ("get", ("register0",), "0.1")], None),
        ("register", [("get", ("register0",), "0.1")], "which nobody wrote"),
        (
            "register",
            [("put", ("register0", "0.1"), None), ("get", ("register0",), None)],
            "a put was acknowledged",
        ),
        ("append", [*APPENDED, ("get", ("append0",), "0.1 0.2 ")], None),
        ("append", [*APPENDED, ("get", ("append0",), "0.2 0.1 ")], "out of order: 0.2 0.1"),
        ("append", [*APPENDED, ("get", ("append0",), "0.1 ")], "not in append0: 0.2"),
        ("append", [*APPENDED, ("get", ("append0",), "0.1 0.2 0.1 ")], "stands twice"),
        ("append", [*APPENDED, ("get", ("append0",), "0.1 0.2 9.9 ")], "nobody appended"),
        ("append", [("get", ("append0",), None), *APPENDED], None),  # no look at the end
        ("counter", [("increment", ("counter0", 3), 3), ("get", ("counter0",), "3")], None),
        ("counter", [("increment", ("counter0", 3), ...), ("get", ("counter0",), None)], None),
        ("counter", [("increment", ("counter0", 3), ...), ("get", ("counter0",), "3")], None),
        ("counter", [("increment", ("counter0", 3), ...), ("get", ("counter0",), "2")], "is 2"),
        ("counter", [("increment", ("counter0", 3), 3), ("get", ("counter0",), "6")], "is 6"),
        ("counter", [("increment", ("counter0", 3), 3), ("get", ("counter0",), None)], "is 0"),
        ("kv", [("increment", ("counter0", 3), 3), ("get", ("counter0",), "6")], "is 6"),
        ("bank", [*PAID, ("total", (), 5)], None),
        ("bank", [*PAID, ("total", (), 3)], None),
        ("bank", [*PAID, ("total", (), 9)], None),
        ("bank", [*PAID, ("total", (), 7)], None),
        ("bank", [*PAID, ("total", (), 8)], "all accounts hold 8 in the end; 5 was paid in"),
        ("bank", [("withdraw", ("ann", 2), Raised("ValueError", "")), ("total", (), 0)], None),
        ("bank", [("balance", ("ann",), -1)], "ann holds -1"),
        (
            "bank",
            [*(("balance", (name,), 1) for name in ("ann", "bob", "cid")), ("total", (), 0)],
            "but one by one",
        ),
        ("set", [("add", ("set0", "x"), True), ("members", ("set0",), ["x"])], None),
        ("set", [("add", ("set0", "x"), ...), ("members", ("set0",), [])], None),
        ("set", [("add", ("set0", "x"), True), ("members", ("set0",), [])], "was expected"),
        ("set", [("members", ("set0",), ["x"])], "holds ['x'] in the end"),
        (
            "set",
            [("add", ("set0", "x"), True), ("members", ("set0",), ["x", "x"])],
            "an item twice",
        ),
        (
            "set",
            [
                ("add", ("set0", "x"), True),
                ("remove", ("set0", "x"), ...),
                ("members", ("set0",), []),
            ],
            None,
        ),
    ],
)
def test_ends_are_judged(name: str, rows: list[Any], reason: str | None) -> None:
    found = WORKLOADS[name].refuse_end(history(*rows))
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert reason in found


def test_a_piece_without_an_answer_may_come_late() -> None:
    """The session that it was sent in may have ended, and a later one have been faster."""
    calls = history(
        ("append", ("append0", "0.1 "), ...),
        ("append", ("append0", "0.2 "), "0.2 "),
        ("get", ("append0",), "0.2 0.1 "),
    )
    assert WORKLOADS["append"].refuse_end(calls) is None


def test_queries_without_an_answer_cost_nothing() -> None:
    calls = history(*[("total", (), ...)] * 50, ("deposit", ("ann", 1), 1))
    assert judge(WORKLOADS["bank"], calls).text == "1 calls in 1 parts are linearizable"


# -- which workload a class gets ----------------------------------------------------------------


class Ledger(StateMachine):
    def __init__(self) -> None:
        self.lines: list[tuple[str, int | None]] = []
        self.seen: dict[str, datetime] = {}

    @command
    def write(
        self,
        who: str,
        amount: int | None,
        kind: Literal["in", "out"],
        tags: set[str],
        when: datetime,
        extra: dict[str, list[float]] | None = None,
        *,
        draft: bool = False,
    ) -> int:
        self.lines.append((who, amount))
        self.seen[who] = when
        return len(self.lines)

    @command
    def fold(self, pair: tuple[int, bytes], many: tuple[bool, ...], nothing: None) -> object:
        return (pair, many, nothing)

    @query
    def last(self, who: str) -> datetime | None:
        return self.seen.get(who)


def test_a_class_is_called_by_its_type_hints() -> None:
    workload = workload_for(Ledger)
    calls = run(workload, 1)
    assert {call.operation.method for call in calls} == {"write", "fold", "last"}
    assert not [call for call in calls if isinstance(call.result, Raised)]
    assert judge(workload, calls).linearizable, judge(workload, calls).text
    assert {type(call.result) for call in calls if call.operation.method == "last"} >= {datetime}
    drawn = [call.operation.arguments for call in calls if call.operation.method == "write"]
    assert {arguments[2] for arguments in drawn} == {"in", "out"}
    assert all(arguments[4].tzinfo is UTC for arguments in drawn)


def test_a_class_is_the_model_of_itself() -> None:
    workload = workload_for(Ledger)
    assert workload.model is not None
    calls = run(workload, 1)
    wrong = next(place for place, call in enumerate(calls) if call.operation.method == "write")
    calls[wrong] = calls[wrong]._replace(result=77, ended=calls[wrong].began + 0.5)
    verdict = judge(workload, calls)
    assert verdict.linearizable is False
    assert "would result in 1" in verdict.text
    assert "The state is {'lines': []" in verdict.text


def test_reference_classes_get_their_reference_workloads() -> None:
    for machine, name in ((KeyValueStore, "kv"), (Bank, "bank"), (Sets, "set")):
        assert workload_for(machine) is WORKLOADS[name]


def test_the_example_of_the_module_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pbactors.workload.__doc__ is not None
    _, _, indented = pbactors.workload.__doc__.partition("::\n\n")
    text = "\n".join(line[4:] for line in indented.splitlines())
    (tmp_path / "shop.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    workload = workload_for(importlib.import_module("shop").Shop)
    calls = run(workload, 1)
    assert judge(workload, calls).linearizable
    assert {workload.part_of(call.operation) for call in calls} > {"a", "b"}
    added = [call.operation.arguments[1] for call in calls if call.operation.method == "add"]
    assert set(added) == {1, 2, 5}


# -- what nobody foresees -------------------------------------------------------------------------


class Leases(StateMachine):
    def __init__(self) -> None:
        self.until: dict[str, datetime] = {}

    @command
    def take(self, name: str) -> bool:
        self.until[name] = self.context.now
        return True

    @query
    def held(self, name: str) -> bool:
        return name in self.until


class Rarely(StateMachine):
    def __init__(self) -> None:
        self.count = 0

    @command
    def step(self) -> int:
        self.count += 1
        return self.count if self.count < 1000 else self.context.random.randrange(5)


def test_results_that_depend_on_the_context_have_no_model() -> None:
    """R26: “Choices that are not deterministic … are made by the primary and sent along.”"""
    workload = workload_for(Leases)
    assert workload.model is None
    assert workload.why_no_model is not None
    assert "reads self.context, which no model foresees" in workload.why_no_model
    verdict = judge(workload, run(workload, 1))
    assert (verdict.linearizable, verdict.text) == (None, workload.why_no_model)


def test_a_context_that_is_read_late_is_noticed_too() -> None:
    workload = workload_for(Rarely)
    assert workload.model is not None
    assert workload.why_no_model is None
    verdict = judge_order(workload, run(workload, 1, calls=1100, lost=0.0))
    assert verdict.linearizable is None
    assert verdict.text == "step() reads self.context, which no model foresees"


# -- mistakes ---------------------------------------------------------------------------------


class Bare(StateMachine):
    @command
    def put(self, key, value: int) -> None:  # type: ignore[no-untyped-def]
        pass


class Odd(StateMachine):
    @command
    def put(self, value: set[list[int]]) -> None:
        pass


class Named(StateMachine):
    @command
    def put(self, *, value: int) -> None:
        pass


class Lost(StateMachine):
    @command
    def put(self, value: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass


class Empty(StateMachine):
    pass


class Wants(StateMachine):
    def workload(self) -> None:
        pass


class Gives(StateMachine):
    @staticmethod
    def workload() -> int:
        return 3


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (Bare, "Bare.put: argument 'key' has no type hint. Expected one, for example key: int"),
        (Odd, "Odd.put: argument 'value' is a set[list[int]], and nobody knows values for that"),
        (Named, "Named.put: argument 'value' must be given by name; give a workload() of your own"),
        (Lost, "Lost.put: its type hints cannot be read: NameError: name 'Nowhere'"),
        (Empty, "Empty has no command or query to call"),
        (Wants, "Wants.workload wants an object. Expected a class method, for example"),
        (Gives, "Gives.workload() returned 3. Expected a Workload, for example"),
    ],
)
def test_a_mistake_is_named(machine: type[StateMachine], expected: str) -> None:
    with pytest.raises(WorkloadUnavailable) as caught:
        workload_for(machine)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("partition", "pools", "expected"),
    [
        ("key", {}, "partition='key', but fold, last, write has no such argument"),
        ("who", {}, "partition='who', but fold has no such argument"),
        (None, {"whom": [1]}, "Ledger: pools['whom']: no argument has that name. Expected one of"),
        (None, {"who": []}, "Ledger: pools['who'] is empty. Expected values, for example"),
    ],
)
def test_a_mistake_in_from_hints_is_named(
    partition: str | None, pools: Mapping[str, Sequence[object]], expected: str
) -> None:
    with pytest.raises(WorkloadUnavailable) as caught:
        from_hints(Ledger, partition=partition, pools=pools)
    assert expected in str(caught.value)


def test_values_for_an_argument_without_a_hint_can_be_given() -> None:
    workload = from_hints(Bare, pools={"key": ["only"]})
    assert workload.invoke(Random(1), 0, 0).arguments[0] == "only"


def test_a_command_may_be_called_workload() -> None:
    class Factory(StateMachine):
        @command
        def workload(self, hours: int) -> int:
            return hours

    assert workload_for(Factory).invoke(Random(1), 0, 0).method == "workload"


# -- what attackers found ---------------------------------------------------------------------


def test_equal_arguments_name_one_part() -> None:
    """1 and 1.0 are one key of a dict, and so are equal frozensets, however they are written."""

    class Prices(StateMachine):
        @command
        def put(self, key: int | float, value: int) -> None: ...

    load = from_hints(Prices, partition="key")
    assert load.part_of(Invocation("put", (1, 0))) == load.part_of(Invocation("put", (1.0, 0)))
    sets = [frozenset([0, 8]), frozenset([8, 0])]
    assert len({load.part_of(Invocation("put", (key, 0))) for key in sets}) == 1
    hash(load.part_of(Invocation("put", (([1],), 0))))  # no part could be told from it otherwise


def test_an_unanswered_command_may_take_effect_between_the_last_reads() -> None:
    def reads(total: int, *balances: int) -> list[Call]:
        names = ("ann", "bob", "cid")
        asked = [Invocation("balance", (name,)) for name in names]
        asked.append(Invocation("total", ()))
        return [
            Call(1, what, result, 2 * place, 2 * place + 1)
            for place, (what, result) in enumerate(zip(asked, (*balances, total), strict=True), 1)
        ]

    sure = Call(1, Invocation("deposit", ("bob", 1)), 1, 0, 1)
    unsure = Call(0, Invocation("deposit", ("ann", 5)), None, 0, None)
    bank = WORKLOADS["bank"]
    assert bank.refuse_end([sure, unsure, *reads(6, 0, 1, 0)]) is None
    assert bank.refuse_end([sure, *reads(6, 0, 1, 0)]) is not None


@pytest.mark.parametrize(
    ("name", "command_", "query_", "result"),
    [
        ("counter", ("increment", "counter0", 1), ("get", "counter0"), Raised("Odd", "no")),
        ("set", ("add", "set0", "x"), ("members", "set0"), [["a"]]),
        ("bank", ("deposit", "ann", 1), ("balance", "ann"), Raised("Odd", "no")),
    ],
)
def test_an_odd_result_is_a_finding(
    name: str, command_: tuple[Any, ...], query_: tuple[Any, ...], result: object
) -> None:
    calls = [
        Call(0, Invocation(command_[0], command_[1:]), 1, 0, 1),
        Call(0, Invocation(query_[0], query_[1:]), result, 2, 3),
    ]
    assert WORKLOADS[name].refuse_end(calls) is not None


def test_a_workload_of_another_class_is_refused() -> None:
    class Other(StateMachine):
        @command
        def go(self) -> None: ...

        @classmethod
        def workload(cls) -> Workload:
            return WORKLOADS["bank"]

    with pytest.raises(
        WorkloadUnavailable, match=r"Other\.workload\(\) calls Bank\. Expected Other"
    ):
        workload_for(Other)

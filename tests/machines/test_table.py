"""A table is a dict, and a snapshot of it stays that of the moment when it began (R20, R33)."""

from __future__ import annotations

import copy
import gc
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import tee

import pytest

from pbactors.errors import MethodRaised, UnsupportedValue
from pbactors.machines import StateMachine, Table, command, query
from pbactors.machines.adapter import (
    SMALL_BYTES_MAX,
    SMALL_VALUES_MAX,
    ReplicatedMachine,
    contents_of,
)
from pbactors.machines.bank import Bank
from pbactors.machines.calls import decode_outcome, encode_call
from pbactors.machines.kv import KeyValueStore
from pbactors.machines.sets import Sets
from pbactors.machines.table import Walk

STAMP = (10**18).to_bytes(8, "big") + b"entropy!"
PIECE_BYTES = 64
"""As small as pieces get, so that a snapshot has many."""


class Everything(StateMachine):
    """Does to a table what can be done to a dict; most of its values can change."""

    def __init__(self) -> None:
        self.before = 1
        self.table: Table[object, object] = Table()
        self.small: list[object] = [[1], {"k": {2}}]
        self.other: Table[str, list[str]] = Table()

    @command
    def act(self, seed: int) -> object:
        choice = random.Random(seed)
        action = choice.choice(ACTIONS)
        result = action(self.table, choice)
        return dict(result) if type(result) is Table else result

    @command
    def touch_the_rest(self, seed: int) -> None:
        self.before = seed
        self.small.append(seed)
        self.other.setdefault(str(seed % 7), []).append("x" * (seed % 100))

    @query
    def look(self) -> object:
        return [list(self.table.items()), list(self.other.items()), list(self.small), self.before]


def some_key(choice: random.Random) -> object:
    if choice.random() < 0.2:
        return choice.choice(["a", "b", 3, (4, "tuple"), frozenset({5})])
    return f"key {choice.randrange(40)}"


def move_to_the_end(table: Table[object, object], choice: random.Random) -> None:
    key = some_key(choice)
    if key in table:
        table[key] = table.pop(key)


def some_value(choice: random.Random) -> object:
    makers: list[Callable[[], object]] = [
        lambda: choice.randrange(-(2**70), 2**70),
        lambda: "ü" * choice.randrange(100),
        lambda: bytes(choice.randrange(300)),
        lambda: [1, [2, [choice.random()]]],
        lambda: {choice.randrange(9) for _ in range(choice.randrange(40))},
        lambda: {"list": [[choice.randrange(5)] for _ in range(choice.randrange(30))]},
        lambda: ("tuple", [choice.randrange(3)]),
    ]
    return choice.choice(makers)()


def change(value: object) -> None:
    """Change a value where it stands, as deep as it goes."""
    if type(value) is list:
        change(value[-1])
        value.append(len(value))
    elif type(value) is set:
        value.add(len(value) + 100)
    elif type(value) is dict:
        change(value["list"])
    elif type(value) is tuple:
        change(value[-1])


ACTIONS: list[Callable[[Table[object, object], random.Random], object]] = [
    lambda table, choice: table.__setitem__(some_key(choice), some_value(choice)),
    lambda table, choice: table.__setitem__(some_key(choice), some_value(choice)),
    lambda table, choice: table.update({some_key(choice): some_value(choice), "a": [1]}),
    lambda table, choice: change(table.setdefault(some_key(choice), some_value(choice))),
    lambda table, choice: change(table.get(some_key(choice))),
    lambda table, choice: change(table[some_key(choice)]),
    lambda table, choice: change(table.pop(some_key(choice), None)),
    lambda table, choice: table.pop(some_key(choice)),
    lambda table, choice: table.__delitem__(some_key(choice)),
    lambda table, choice: change(table.popitem()),
    lambda table, choice: [change(value) for value in table.values()],
    lambda table, choice: [change(value) for _, value in table.items()],
    lambda table, choice: (
        (key := some_key(choice)) in table and table.update({key: table.pop(key)})
    ),
    lambda table, choice: choice.random() < 0.1 and table.clear(),
    lambda table, choice: copy.copy(table),
    lambda table, choice: dict(table) == table,
]


def machine(factory: type[StateMachine]) -> ReplicatedMachine:
    return ReplicatedMachine(factory, 1_000_000)


def run(target: ReplicatedMachine, method: str, *args: object) -> bytes:
    [outcome] = target.execute(1, STAMP, [encode_call(method, args)])
    return outcome


def loaded(blank: ReplicatedMachine, pieces: Iterator[bytes]) -> ReplicatedMachine:
    for piece in pieces:
        blank.load(piece)
    blank.loaded()
    return blank


def everything(seed: int, commands: int = 60) -> ReplicatedMachine:
    filled = machine(Everything)
    for step in range(commands):
        run(filled, "act", seed * 1000 + step)
        run(filled, "touch_the_rest", seed * 1000 + step)
    return filled


# -- snapshots while commands execute ---------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("piece_bytes", [PIECE_BYTES, 1000, 100_000])
def test_a_snapshot_stays_what_it_was_while_commands_execute(seed, piece_bytes):
    """R20: a command is wholly in a snapshot or wholly behind it; R33: they execute meanwhile."""
    original = everything(seed)
    assert original.executes_during_snapshot()
    twin, before = original.clone(), original.freeze()
    snapshot = original.snapshot(piece_bytes)
    blank, choice = original.blank(), random.Random(seed)
    pieces: list[bytes] = []
    while True:
        for _ in range(choice.randrange(4)):
            number = choice.randrange(10**9)
            method = choice.choice(["act", "act", "touch_the_rest"])
            # Whether a snapshot is under way must not show in an outcome: copies would differ.
            assert run(original, method, number) == run(twin, method, number)
            assert original.freeze() == twin.freeze()
        piece = next(snapshot, None)
        if piece is None:
            break
        pieces.append(piece)
        blank.load(piece)
    blank.loaded()
    assert blank.freeze() == before
    assert type(vars(blank)["_instance"].table) is Table
    assert list(vars(vars(blank)["_instance"])) == ["before", "table", "small", "other"]


@pytest.mark.parametrize(
    ("factory", "calls"),
    [
        (KeyValueStore, [("put", "k", "v"), ("append", "k", "v"), ("delete", "k")]),
        (Bank, [("deposit", "k", 10**25), ("withdraw", "k", 1), ("transfer", "k", "l", 2)]),
        (Sets, [("add", "k", "v"), ("add", "k", "w"), ("remove", "k", "v")]),
    ],
)
def test_the_reference_machines_execute_during_a_snapshot(factory, calls):
    choice = random.Random(7)
    original = machine(factory)

    def step() -> None:
        method, *args = choice.choice(calls)
        renamed = [f"{a}{choice.randrange(200)}" if type(a) is str else a for a in args]
        run(original, method, *renamed)

    for _ in range(2000):
        step()
    assert original.executes_during_snapshot()
    before = original.freeze()
    snapshot, blank = original.snapshot(PIECE_BYTES), original.blank()
    for piece in snapshot:
        blank.load(piece)
        step()
    blank.loaded()
    assert blank.freeze() == before
    assert original.freeze() != before


def test_a_snapshot_is_that_of_the_call_and_not_of_its_first_piece():
    original = machine(KeyValueStore)
    run(original, "put", "k", "before")
    before = original.freeze()
    snapshot = original.snapshot(PIECE_BYTES)
    run(original, "put", "k", "after")
    run(original, "put", "l", "after")
    assert loaded(original.blank(), snapshot).freeze() == before


def test_several_snapshots_at_once_and_halves_of_them():
    """A copy of a world goes on with a snapshot that the original has dropped."""
    original = everything(1)
    first = original.freeze()
    one, other = tee(original.snapshot(PIECE_BYTES))
    half = [next(one) for _ in range(5)]
    for number in range(50):
        run(original, "act", number)
    second = original.freeze()
    later = original.snapshot(PIECE_BYTES)
    del one
    for number in range(50, 100):
        run(original, "act", number)
    pieces = list(other)
    assert pieces[:5] == half
    assert loaded(original.blank(), iter(pieces)).freeze() == first
    assert loaded(original.blank(), later).freeze() == second


@pytest.mark.parametrize("how", ["unused", "used", "closed", "exhausted"])
def test_a_snapshot_that_is_over_costs_nothing_any_more(how):
    original = everything(2)
    table = vars(original)["_instance"].table
    snapshot = original.snapshot(PIECE_BYTES)
    assert len(table._walks) == 1
    if how != "unused":
        next(snapshot)
    if how == "closed":
        snapshot.close()
    elif how == "exhausted":
        for _ in snapshot:
            pass
    else:
        del snapshot
    gc.collect()
    assert table._walks == []


def test_a_clone_has_no_part_in_a_snapshot():
    original = everything(3)
    snapshot = original.snapshot(PIECE_BYTES)
    clone = original.clone()
    assert vars(clone)["_instance"].table._walks == []
    before = original.freeze()
    run(clone, "touch_the_rest", 1)
    assert original.freeze() == before
    assert loaded(original.blank(), snapshot).freeze() == before


def test_tables_that_init_does_not_make_are_restored():
    class Changing(StateMachine):
        def __init__(self) -> None:
            self.first: Table[str, int] = Table()
            self.plain: dict[str, int] = {}

        @command
        def swap(self) -> None:
            del self.first
            self.plain, self.late = {"k": 1}, Table({"l": [2]})

    original = machine(Changing)
    assert decode_outcome(run(original, "swap")) is None
    copied = vars(loaded(original.blank(), original.snapshot(PIECE_BYTES)))["_instance"]
    assert [*map(type, vars(copied).values())] == [dict, Table]
    assert vars(copied) == {"plain": {"k": 1}, "late": {"l": [2]}}
    assert contents_of(original.snapshot(PIECE_BYTES)) == [{"plain": {"k": 1}, "late": {"l": [2]}}]


# -- which classes execute during a snapshot ----------------------------------------------------


def with_attributes(**attributes: object) -> ReplicatedMachine:
    class Holding(StateMachine):
        def __init__(self) -> None:
            vars(self).update(attributes)

    return machine(Holding)


@pytest.mark.parametrize(
    ("attributes", "answer"),
    [
        ({}, True),
        ({"a": Table(enumerate(range(10_000))), "b": "x" * 10_000, "c": 5}, True),
        ({"a": list(range(900)), "b": set(range(90))}, True),
        ({"a": list(range(900)), "b": set(range(200))}, False),
        ({"a": dict.fromkeys(range(SMALL_VALUES_MAX))}, False),
        ({"a": ([list(range(SMALL_VALUES_MAX))],)}, False),
        ({"a": bytes(SMALL_BYTES_MAX)}, True),
        ({"a": bytes(SMALL_BYTES_MAX), "b": {"c": "d"}}, False),
    ],
)
def test_a_class_executes_during_a_snapshot_if_all_but_tables_is_small(attributes, answer):
    assert with_attributes(**attributes).executes_during_snapshot() is answer


def test_a_class_with_its_own_snapshot_does_not_execute_during_one():
    class Own(StateMachine):
        def snapshot_pieces(self) -> Iterator[object]:
            yield 1

        def restore_piece(self, piece: object) -> None: ...

    assert not machine(Own).executes_during_snapshot()


# -- what cannot be copied ------------------------------------------------------------------------

SHARED = [1]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"t": Table({"k": Decimal(1)})}, r"attributes of Holding, \['t'\]\['k'\]: Decimal"),
        ({"t": Table({"k": [{"l": Decimal(1)}]})}, r", \['t'\]\['k'\]\[0\]\['l'\]: Decimal"),
        ({"t": Table({Decimal(1): 2})}, r", \['t'\], a key: Decimal"),
        ({"t": Table({"k": "\ud800"})}, r", \['t'\]\['k'\]: a str with a lone surrogate"),
        ({"t": Table({"\ud800": "v"})}, r", \['t'\], a key: a str with a lone surrogate"),
        ({"t": Table({"k": SHARED, "l": SHARED})}, r", \['t'\]\['l'\]: a list that the state"),
        ({"a": SHARED, "t": Table({"k": [SHARED]})}, r", \['t'\]\['k'\]\[0\]: a list that the "),
        ({"t": Table({1: SHARED}), "u": Table({2: SHARED})}, r", \['u'\]\[2\]: a list that the "),
        ({"a": [Table()]}, r"\['a'\]\[0\]: Table, a mapping but no dict; make it one: dict\(tabl"),
        ({"t": Table({"k": Table()})}, r"\['t'\]\['k'\]: Table, a mapping but no dict"),
        ({"a": Decimal(1)}, r"attributes of Holding, \['a'\]: Decimal"),
    ],
)
@pytest.mark.parametrize("rest", [0, 1000])
def test_what_cannot_be_copied_is_named_when_the_iteration_reaches_it(attributes, reason, rest):
    filler = Table((number, [number]) for number in range(rest))
    target = with_attributes(filler=filler, **attributes)
    snapshot = target.snapshot(1000)  # raises nothing yet
    with pytest.raises(UnsupportedValue, match=reason):
        list(snapshot)


def test_values_that_go_and_come_back_are_not_taken_for_shared_ones():
    """The memory of a value that is gone may belong to the next: that is no sharing."""
    original = machine(Everything)
    table = vars(original)["_instance"].table
    table.update((number, [number]) for number in range(1000))
    snapshot, blank = original.snapshot(PIECE_BYTES), original.blank()
    for number, piece in enumerate(snapshot):
        blank.load(piece)
        table.pop(number, None)
        table[number] = [number, "new"]
    blank.loaded()
    assert vars(blank)["_instance"].table == {number: [number] for number in range(1000)}


def test_what_cannot_be_copied_is_no_error_of_the_method_that_gets_it():
    """R52: outcomes are equal on the copy that is being read and on the others."""
    loop: list[object] = []
    loop.append(loop)
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    generator = (i for i in ())
    original = machine(Everything)
    table = vars(original)["_instance"].table
    table.update({1: loop, 2: deep, 3: [generator]})
    snapshot = original.snapshot(PIECE_BYTES)
    assert table[1] is loop
    assert table[2] is deep
    assert table[3] == [generator]
    with pytest.raises(UnsupportedValue):
        list(snapshot)


class Careless(StateMachine):
    def __init__(self) -> None:
        self.table: Table[str, object] = Table({"k": 1})

    @query
    def whole(self) -> object:
        return self.table

    @query
    def grow(self) -> None:
        self.table["new"] = 1

    @command
    def nest(self) -> None:
        self.table["k"] = [Table()]

    @command
    def spoil(self, value: str) -> None:
        self.table[value] = Decimal(value)


def test_a_table_is_no_result_and_no_value_of_anything():
    careless = machine(Careless)
    with pytest.raises(MethodRaised, match=r"result of Careless\.whole: Table, .*dict\(table\)"):
        decode_outcome(careless.query(STAMP, encode_call("whole", ())))
    with pytest.raises(UnsupportedValue, match=r"argument 1: Table, a mapping but no dict"):
        encode_call("put", (Table(),))
    with pytest.raises(MethodRaised, match=r"attributes of Careless, \['table'\]\['k'\]\[0\]: Tab"):
        decode_outcome(run(careless, "nest"))


def test_the_first_run_of_a_command_looks_into_tables():
    """R52: refused at the first command, not at the first failover."""
    careless = machine(Careless)
    with pytest.raises(MethodRaised, match=r"\['table'\]\['1'\]: Decimal"):
        decode_outcome(run(careless, "spoil", "1"))


def test_a_query_that_makes_a_table_grow_is_found_out():
    careless = machine(Careless)
    with pytest.raises(MethodRaised, match="changed the attribute 'table'"):
        decode_outcome(careless.query(STAMP, encode_call("grow", ())))


# -- a table is a dict ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("walked", [False, True])
def test_a_table_behaves_as_a_dict_does(seed, walked):
    table: Table[object, object] = Table()
    model: dict[object, object] = {}
    walk = Walk(table) if walked else None
    for step in range(150):
        action = random.Random(seed * 1000 + step).choice(ACTIONS[:-2])
        results = []
        for target in (table, model):
            choice = random.Random(step)
            try:
                results.append((action(target, choice), list(target.items())))  # type: ignore[arg-type]
            except KeyError as error:
                results.append((type(error), list(target.items())))
        assert results[0] == results[1]
        assert (len(table), list(table), list(table.values())) == (
            len(model),
            list(model),
            list(model.values()),
        )
        assert list(reversed(table)) == list(reversed(model))
        assert table == model
    assert repr(table) == f"Table({model!r})"
    assert walk is None or walk.keys == []


@pytest.mark.parametrize("walked", [False, True])
def test_a_table_that_shrinks_while_it_is_iterated_fails_as_a_dict_does(walked):
    """Also clear: a method must end alike, whether the table is being read or not."""
    table = Table({1: 1})
    walk = Walk(table) if walked else None
    keys = iter(table)
    assert next(keys) == 1
    table.clear()
    with pytest.raises(RuntimeError, match="changed size"):
        next(keys)
    assert walk is None or walk.read([1]) == [1]

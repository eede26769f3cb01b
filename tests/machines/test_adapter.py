"""A user's class as the core sees it: outcomes, checks, snapshots (R26, R27, R51, R52)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbactors.errors import (
    InvariantViolated,
    MalformedMessage,
    MethodRaised,
    PbactorsError,
    UnsupportedValue,
)
from pbactors.machines import StateMachine, command, query
from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.calls import decode_outcome, encode_call
from pbactors.machines.context import next_stamp
from pbactors.machines.kv import KeyValueStore
from pbactors.values import Splitter, pack

RESULT_BYTES_MAX = 10_000
STAMP = (10**18).to_bytes(8, "big") + b"entropy!"


def machine(factory: type[StateMachine]) -> ReplicatedMachine:
    return ReplicatedMachine(factory, RESULT_BYTES_MAX)


def execute(target: ReplicatedMachine, method: str, *args: object, **kwargs: object) -> object:
    [outcome] = target.execute(1, STAMP, [encode_call(method, args, kwargs)])
    return decode_outcome(outcome)


def ask(target: ReplicatedMachine, method: str, *args: object) -> object:
    return decode_outcome(target.query(STAMP, encode_call(method, args)))


def copy_of(source: ReplicatedMachine, piece_bytes_max: int = 1000) -> ReplicatedMachine:
    copy = source.blank()
    for piece in source.snapshot(piece_bytes_max):
        copy.load(piece)
    copy.loaded()
    return copy


class OddError(Exception):
    def __str__(self) -> str:
        raise KeyError("no text")


class Bank(StateMachine):
    """Does everything a user's class may do, and much that it should not."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.log: list[object] = []

    @command
    def deposit(self, account: str, amount: int) -> int:
        self.balances[account] = self.balances.get(account, 0) + amount
        if amount < 0:
            raise ValueError(f"{amount} is negative")
        return self.balances[account]

    @command
    def keep(self, value: object) -> object:
        self.log.append(value)
        return value

    @command
    def give(self, kind: str) -> object:
        return {"x": [1, Decimal(1)]} if kind == "nested" else "x" * 20_000

    @command
    def fail(self, how: str) -> None:
        if how == "recursion":
            self.fail(how)
        raise {
            "memory": MemoryError("no memory"),
            "odd": OddError(),
            "long": KeyError("x" * 100_000),
            "exit": SystemExit(3),
            "interrupt": KeyboardInterrupt(),
        }[how]

    @command
    def draw(self) -> list[object]:
        context = self.context
        return [context.now, context.random.random(), context.new_id(), context.new_id()]

    @command
    def spoil(self, how: str) -> str:
        if how == "attribute":
            self.rate = Decimal("1.5")
        elif how == "nested":
            self.log.append({"rate": Decimal("1.5")})
        elif how == "shared":
            self.log.append(self.balances)
        return "done"

    @command
    def mend(self) -> None:
        self.__dict__.pop("rate", None)
        self.log.clear()

    @query
    def balance(self, account: str) -> int | None:
        return self.balances.get(account)

    @query
    def when(self) -> datetime:
        return self.context.now

    @query
    def meddle(self, how: str) -> str:
        if how == "bind":
            self.balances = dict(self.balances)
        elif how == "grow":
            self.log.append(1)
        elif how == "add":
            self.extra = 1
        elif how == "remove":
            del self.log
        return "done"


@pytest.fixture
def bank() -> ReplicatedMachine:
    return machine(Bank)


# -- outcomes ------------------------------------------------------------------------------------


def test_commands_and_queries(bank):
    assert execute(bank, "deposit", "alice", 10) == 10
    assert execute(bank, "deposit", account="alice", amount=5) == 15
    assert ask(bank, "balance", "alice") == 15
    assert ask(bank, "balance", "bob") is None


def test_an_exception_is_an_outcome_and_what_was_changed_stays(bank):
    """R52: an Exception out of a command is an outcome; the state stays as the method left it."""
    with pytest.raises(MethodRaised) as error:
        execute(bank, "deposit", "alice", -3)
    assert (error.value.type_name, error.value.text) == ("ValueError", "-3 is negative")
    assert ask(bank, "balance", "alice") == -3


@pytest.mark.parametrize(
    ("how", "type_name", "text"),
    [
        ("recursion", "RecursionError", "recursion"),
        ("memory", "MemoryError", "no memory"),
        ("odd", "OddError", "(its text cannot be made: KeyError)"),
        ("long", "KeyError", "'xxx"),
    ],
)
def test_unusual_exceptions_are_outcomes_with_bounded_texts(bank, how, type_name, text):
    [outcome] = bank.execute(1, STAMP, [encode_call("fail", (how,))])
    assert len(outcome) < 3000
    with pytest.raises(MethodRaised) as error:
        decode_outcome(outcome)
    assert error.value.type_name == type_name
    assert text in error.value.text


@pytest.mark.parametrize(
    ("how", "passed"), [("exit", SystemExit), ("interrupt", KeyboardInterrupt)]
)
def test_what_is_no_exception_passes_through(bank, how, passed):
    """R52: other BaseExceptions stop the node before it confirms or answers."""
    with pytest.raises(passed):
        execute(bank, "fail", how)
    assert execute(bank, "deposit", "alice", 1) == 1


@pytest.mark.parametrize(
    ("body", "type_name", "text"),
    [
        (encode_call("nothing"), "AttributeError", "Bank has no command or query 'nothing'"),
        (encode_call("__init__"), "AttributeError", "Bank has no command or query '__init__'"),
        (encode_call("context"), "AttributeError", "Bank has no command or query 'context'"),
        (encode_call("balance", ("x",)), "TypeError", "is a query; it was sent as a command"),
        (encode_call("deposit", ("x",)), "TypeError", "missing 1 required positional argument"),
        (encode_call("mend", (1,)), "TypeError", "takes 1 positional argument but 2 were given"),
        (encode_call("mend", (), {"self": 1}), "TypeError", "multiple values"),
        (encode_call("give", ("nested",)), "UnsupportedValue", "result of Bank.give, ['x'][1]: De"),
        (encode_call("give", ("large",)), "UnsupportedValue", "result of Bank.give: 20"),
        (b"junk", "MalformedMessage", "no value"),
        (pack(("deposit", 1, 2)), "MalformedMessage", "no call"),
    ],
)
def test_whatever_is_wrong_with_a_call_is_an_outcome(bank, body, type_name, text):
    [outcome] = bank.execute(1, STAMP, [body])
    assert machine(Bank).execute(1, STAMP, [body]) == [outcome]
    with pytest.raises(MethodRaised) as error:
        decode_outcome(outcome)
    assert error.value.type_name == type_name
    assert text in error.value.text


def test_a_command_is_not_taken_as_a_query(bank):
    with pytest.raises(MethodRaised, match=r"Bank\.deposit is a command; it was sent as a query"):
        ask(bank, "deposit", "alice", 1)
    assert ask(bank, "balance", "alice") is None


def test_a_result_of_just_the_allowed_size_is_carried():
    [outcome] = machine(Bank).execute(1, STAMP, [encode_call("keep", ("x",))])
    exact = ReplicatedMachine(Bank, len(outcome))
    assert execute(exact, "keep", "x") == "x"
    with pytest.raises(MethodRaised, match="more than result_bytes_max"):
        execute(exact, "keep", "xy")


def test_what_a_method_returned_is_encoded_at_once(bank):
    """The result is a copy, though the state holds the same list and changes it later."""
    [first] = bank.execute(1, STAMP, [encode_call("keep", ([1],))])
    execute(bank, "mend")
    assert decode_outcome(first) == [1]


# -- context -------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_two_copies_with_equal_stamps_do_the_same(gaps):
    """R26, R27: copies execute the same commands with the same stamps, and nothing else differs."""
    one, other, stamp = machine(Bank), machine(Bank), b""
    times = []
    for op_number, gap in enumerate(gaps, start=1):
        stamp = next_stamp(stamp)
        body = encode_call("draw", ())
        [outcome] = one.execute(op_number, stamp, [body])
        assert other.execute(op_number, stamp, [body]) == [outcome]
        times.append(decode_outcome(outcome)[0])
        stamp = (int.from_bytes(stamp[:8], "big") + gap).to_bytes(8, "big") + stamp[8:]
    assert times == sorted(times)
    assert one.freeze() == other.freeze()


def test_commands_of_one_batch_draw_differently(bank):
    """R51: a batch has one stamp; the op number tells its commands apart."""
    body = encode_call("draw")
    first, second = map(decode_outcome, bank.execute(1, STAMP, [body, body]))
    assert first[0] == second[0]
    assert len({*first[1:], *second[1:]}) == 6


def test_a_query_sees_the_time_of_the_last_command(bank):
    assert ask(bank, "when") == execute(bank, "draw")[0]
    assert decode_outcome(bank.query(b"", encode_call("when"))).year == 1970


# -- what is checked when ------------------------------------------------------------------------


class BadFromTheStart(StateMachine):
    def __init__(self) -> None:
        self.rates = {"x": [Decimal(1)]}

    @command
    def touch(self) -> None: ...


class SharedFromTheStart(StateMachine):
    def __init__(self) -> None:
        self.one: list[int] = []
        self.other = self.one

    @command
    def touch(self) -> None: ...


def test_a_state_that_does_not_round_trip_is_refused_at_the_first_command():
    """R52: at the first command, not at the first failover, and at each one until it is mended."""
    for _ in range(2):
        with pytest.raises(MethodRaised) as error:
            execute(machine(BadFromTheStart), "touch")
        assert error.value.type_name == "UnsupportedValue"
        assert "attributes of BadFromTheStart, ['rates']['x'][0]: Decimal" in error.value.text
    with pytest.raises(MethodRaised, match=r"\['other'\]: a list that the state holds elsewhere"):
        execute(machine(SharedFromTheStart), "touch")


@pytest.mark.parametrize("how", ["attribute", "nested", "shared"])
def test_the_first_run_of_each_command_is_checked_in_full(bank, how):
    """R52: the command that spoils the state is the one whose outcome says so."""
    execute(bank, "deposit", "alice", 1)
    with pytest.raises(MethodRaised, match=r"attributes of Bank, \['"):
        execute(bank, "spoil", how)
    execute(bank, "mend")
    assert execute(bank, "deposit", "alice", 1) == 2
    copy_of(bank)


def test_later_runs_are_checked_for_the_types_of_attributes(bank):
    execute(bank, "spoil", "nothing")
    with pytest.raises(MethodRaised, match=r"attributes of Bank, \['rate'\]: Decimal"):
        execute(bank, "spoil", "attribute")
    with pytest.raises(MethodRaised, match=r"attributes of Bank, \['rate'\]: Decimal"):
        execute(bank, "deposit", "alice", 1)
    execute(bank, "mend")
    assert execute(bank, "deposit", "alice", 1) == 2


def test_what_is_only_found_when_the_state_is_copied_is_named_and_changes_nothing(bank):
    execute(bank, "spoil", "nothing")
    assert execute(bank, "spoil", "nested") == "done"
    with pytest.raises(UnsupportedValue) as error:
        list(bank.snapshot(1000))
    assert str(error.value).startswith("attributes of Bank, ['log'][0]['rate']: Decimal")
    with pytest.raises(UnsupportedValue):
        bank.freeze()
    execute(bank, "mend")
    assert execute(copy_of(bank), "deposit", "alice", 1) == 1


def test_a_copy_checks_what_the_original_checks(bank):
    """What is checked decides outcomes, so it must be the same on both copies."""
    execute(bank, "spoil", "nothing")
    copy = copy_of(bank)
    for method, args in [
        ("spoil", ("nested",)),
        ("deposit", ("alice", -1)),
        ("deposit", ("alice", 1)),
        ("mend", ()),
        ("deposit", ("alice", 1)),
    ]:
        body = encode_call(method, args)
        assert bank.execute(1, STAMP, [body]) == copy.execute(1, STAMP, [body])
    assert bank.freeze() == copy.freeze()


@pytest.mark.parametrize(
    ("how", "attribute"),
    [("bind", "balances"), ("grow", "log"), ("add", "extra"), ("remove", "log")],
)
def test_a_query_that_changes_the_state_is_found_out(bank, how, attribute):
    assert ask(bank, "meddle", "not") == "done"
    with pytest.raises(MethodRaised) as error:
        ask(bank, "meddle", how)
    assert error.value.type_name == "InvariantViolated"
    assert error.value.text == (
        f"query Bank.meddle changed the attribute '{attribute}'; only commands may"
    )


# -- snapshots -----------------------------------------------------------------------------------

calls = st.tuples(st.just("deposit"), st.text("ab", max_size=2), st.integers(-5, 5)) | st.tuples(
    st.just("keep"), st.recursive(st.none() | st.text("xyä"), lambda v: st.lists(v, max_size=3))
)


@given(st.lists(calls, max_size=15), st.lists(calls, max_size=5), st.sampled_from([1, 100, 10**5]))
@settings(max_examples=100)
def test_a_restored_copy_goes_on_as_the_original_does(before, after, piece_bytes_max):
    """Replicas that executed the same commands have equal snapshots, also behind a transfer."""
    original = machine(Bank)
    for method, *args in before:
        original.execute(1, STAMP, [encode_call(method, args)])
    copy = copy_of(original, piece_bytes_max)
    assert copy.freeze() == original.freeze()
    for method, *args in after:
        body = encode_call(method, args)
        assert copy.execute(1, STAMP, [body]) == original.execute(1, STAMP, [body])
    assert list(copy.snapshot(piece_bytes_max)) == list(original.snapshot(piece_bytes_max))


def test_a_large_state_travels_in_many_bounded_pieces():
    """A single large dict splits into many pieces."""
    original = machine(KeyValueStore)
    for number in range(100_000):
        original._instance.put(f"key {number}", f"value {number}")
    pieces = list(original.snapshot(16 * 1024))
    assert len(pieces) > 100
    assert max(map(len, pieces)) <= 16 * 1024 + 32
    copy = copy_of(original, 16 * 1024)
    assert ask(copy, "get", "key 99999") == "value 99999"
    assert copy.freeze() == original.freeze()


def test_attributes_come_back_as_they_were_and_no_others():
    class Wandering(StateMachine):
        def __init__(self) -> None:
            self.first = 1

        @command
        def move(self) -> None:
            del self.first
            self.second = (1, {2})

        @query
        def attributes(self) -> dict[str, object]:
            return vars(self)

    original = machine(Wandering)
    execute(original, "move")
    assert ask(copy_of(original), "attributes") == {"second": (1, {2})}


class Ledger(StateMachine):
    """Keeps its state in a form of its own."""

    def __init__(self) -> None:
        self.entries: dict[int, Decimal] = {}
        self.cached: Decimal | None = None

    @command
    def book(self, number: int, amount: str) -> None:
        self.entries[number] = Decimal(amount)

    @query
    def total(self) -> str:
        self.cached = sum(self.entries.values(), Decimal(0))
        return str(self.cached)

    def snapshot_pieces(self) -> Iterator[object]:
        for number, amount in self.entries.items():
            yield [number, [str(amount)]]

    def restore_piece(self, piece: list[object]) -> None:
        number, (amount,) = piece
        self.entries[number] = Decimal(amount)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_a_class_may_give_its_own_snapshot(count):
    original = machine(Ledger)
    for number in range(count):
        execute(original, "book", number, f"{number}.5")
    pieces = list(original.snapshot(200))
    assert len(pieces) > count // 20
    copy = copy_of(original, 200)
    assert ask(copy, "total") == ask(original, "total")
    assert copy.freeze() == original.freeze()


def test_its_own_snapshot_is_restored_piece_by_piece():
    original = machine(Ledger)
    for number in range(1000):
        execute(original, "book", number, "1")
    copy = original.blank()
    seen = []
    for piece in original.snapshot(200):
        copy.load(piece)
        seen.append(len(copy._instance.entries))
    assert seen == sorted(seen)
    assert len(set(seen)) > 50


class Faulty(Ledger):
    def snapshot_pieces(self) -> Iterator[object]:
        yield from super().snapshot_pieces()
        if self.entries.get(0) == 0:
            yield {"x": Decimal(1)}
        if self.entries.get(0) == 1:
            raise KeyError("nothing")

    def restore_piece(self, piece: list[object]) -> None:
        raise LookupError("not mine")


def test_faults_of_its_own_snapshot_are_named():
    faulty = machine(Faulty)
    execute(faulty, "book", 0, "0")
    with pytest.raises(UnsupportedValue, match=r"snapshot of Faulty, \['x'\]: Decimal"):
        list(faulty.snapshot(100))
    execute(faulty, "book", 0, "1")
    with pytest.raises(UnsupportedValue, match=r"Faulty\.snapshot_pieces raised KeyError: 'nothi"):
        list(faulty.snapshot(100))
    execute(faulty, "book", 0, "2")
    with pytest.raises(MalformedMessage, match=r"Faulty\.restore_piece raised LookupError: not m"):
        copy_of(faulty)


class OtherStore(KeyValueStore):
    pass


def test_a_snapshot_of_another_class_is_refused():
    (piece,) = machine(KeyValueStore).snapshot(1000)
    with pytest.raises(PbactorsError, match=r"another class than .*:OtherStore"):
        machine(OtherStore).blank().load(piece)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["x"], "no snapshot that this version reads"),
        ([(1, "IDENTITY", (), ())], "no snapshot that this version reads"),
        ([(2, "IDENTITY", ())], "no snapshot that this version reads"),
        ([(2, "IDENTITY", 5, ())], "no snapshot that this version reads"),
        ([(2, "IDENTITY", ([],), ())], "no snapshot that this version reads"),
        ([(2, "IDENTITY", (), (1,))], "no snapshot that this version reads"),
        ([(2, "IDENTITY", (), ()), "x"], "attributes are a dict"),
        ([(2, "IDENTITY", (), ()), {1: 2}], "attributes are a dict"),
        ([(2, "IDENTITY", (), ())], "without its attributes"),
        ([(2, "IDENTITY", (), ()), {}, {}], "without its attributes"),
        ([(2, "IDENTITY", (), ("t",)), {"t": None}], "without its attributes"),
        ([(2, "IDENTITY", (), ("t",)), {"t": None}, []], "no table 't' among the attributes"),
        ([(2, "IDENTITY", (), ("t",)), {"t": 5}, {}], "no table 't' among the attributes"),
        ([(2, "IDENTITY", (), ("t",)), {}, {}], "no table 't' among the attributes"),
        ([(2, "IDENTITY", (), ("t",)), {"t": None}, {}, {}], "without its attributes"),
    ],
)
def test_what_is_no_snapshot_is_refused(bank, values, reason):
    splitter = Splitter(1000)
    for value in values:
        header = type(value) is tuple
        list(splitter.add((value[0], bank.identity, *value[2:]) if header else value))
    copy = bank.blank()

    def load() -> None:
        copy.load(splitter.finish())
        copy.loaded()

    with pytest.raises(MalformedMessage, match=reason):
        load()


def test_missing_pieces_are_noticed(bank):
    for number in range(100):
        execute(bank, "deposit", f"account {number}", 1)
    pieces = list(bank.snapshot(100))
    for wrong in ([], pieces[:1], pieces[:-1]):
        copy = bank.blank()
        for piece in wrong:
            copy.load(piece)
        with pytest.raises(MalformedMessage, match="missing"):
            copy.loaded()
    with pytest.raises(MalformedMessage):
        bank.blank().load(pieces[1])


def test_only_a_blank_machine_loads(bank):
    (piece,) = bank.snapshot(10_000)
    for target in (bank, copy_of(bank)):
        with pytest.raises(InvariantViolated):
            target.load(piece)
        with pytest.raises(InvariantViolated):
            target.loaded()


# -- copies for simulation -----------------------------------------------------------------------


def test_a_clone_is_equal_and_independent(bank):
    execute(bank, "deposit", "alice", 1)
    execute(bank, "keep", [1, {2}])
    clone = bank.clone()
    assert clone.freeze() == bank.freeze()
    execute(clone, "deposit", "alice", 1)
    assert (ask(bank, "balance", "alice"), ask(clone, "balance", "alice")) == (1, 2)
    assert clone.freeze() != bank.freeze()


def test_a_machine_that_is_being_loaded_can_be_cloned(bank):
    for number in range(100):
        execute(bank, "deposit", f"account {number}", number)
    pieces = list(bank.snapshot(100))
    half = bank.blank()
    for piece in pieces[:10]:
        half.load(piece)
    twin = half.clone()
    for target in (half, twin):
        for piece in pieces[10:]:
            target.load(piece)
        target.loaded()
        assert target.freeze() == bank.freeze()


def test_freeze_tells_states_apart_by_type_and_order():
    frozen = set()
    for values in ([1], [True], [1.0], ["1"], [[]], [()], [1, 2], [2, 1], []):
        target = machine(Bank)
        execute(target, "keep", values)
        frozen.add(target.freeze())
    assert len(frozen) == 9


def test_a_class_that_is_no_state_machine_is_refused():
    with pytest.raises(TypeError, match="no subclass of StateMachine"):
        ReplicatedMachine(dict, 1000)

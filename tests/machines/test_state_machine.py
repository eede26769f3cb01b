"""What is refused when a class is defined, and what a user may write."""

from __future__ import annotations

import functools

import pytest

from pbactors.machines import StateMachine, command, query
from pbactors.machines.kv import KeyValueStore
from pbactors.machines.state_machine import interface, kind_of


def test_the_interface_of_a_class():
    assert interface(KeyValueStore) == {
        "append": "command",
        "compare_and_set": "command",
        "delete": "command",
        "get": "query",
        "increment": "command",
        "keys": "query",
        "put": "command",
    }


def test_only_a_state_machine_has_an_interface():
    for stranger in (dict, KeyValueStore(), 3):
        with pytest.raises(TypeError, match="no subclass of StateMachine"):
            interface(stranger)


def test_the_kind_of_a_method():
    assert kind_of(KeyValueStore.put) == "command"
    assert kind_of(KeyValueStore().get) == "query"
    with pytest.raises(TypeError, match=r"no command or query; give one of the replicated class"):
        kind_of(KeyValueStore.restore_piece)


def test_methods_are_inherited_and_overridden_with_their_mark():
    class Loud(KeyValueStore):
        @command
        def append(self, key: str, suffix: str) -> str:
            return super().append(key, suffix.upper())

    assert interface(Loud) == interface(KeyValueStore)
    assert Loud().append("a", "b") == "B"


def test_a_wrapper_around_a_command_is_one():
    def logged(method):
        @functools.wraps(method)
        def wrapper(self, *args):
            return method(self, *args)

        return wrapper

    class Wrapped(StateMachine):
        @logged
        @command
        def put(self, key):
            return key

    assert interface(Wrapped) == {"put": "command"}


def both():
    class Machine(StateMachine):
        @command
        @query
        def put(self): ...


def asynchronous():
    class Machine(StateMachine):
        @command
        async def put(self): ...


def asynchronous_generator():
    class Machine(StateMachine):
        @query
        async def put(self):
            yield 1


def generator():
    class Machine(StateMachine):
        @query
        def keys(self):
            yield 1


def private():
    class Machine(StateMachine):
        @command
        def _put(self): ...


def private_alias():
    class Machine(StateMachine):
        @command
        def put(self): ...

        _put = put


def static():
    class Machine(StateMachine):
        @command
        @staticmethod
        def put(): ...


def of_a_property():
    class Machine(StateMachine):
        @query
        @property
        def size(self): ...


def context_taken():
    class Machine(StateMachine):
        @query
        def context(self): ...


def context_attribute():
    class Machine(StateMachine):
        context = None


def snapshot_command():
    class Machine(StateMachine):
        @command
        def snapshot_pieces(self): ...

        def restore_piece(self, piece): ...


def half_a_snapshot():
    class Machine(StateMachine):
        def snapshot_pieces(self):
            yield 1


def slots():
    class Machine(StateMachine):
        __slots__ = ("values",)


def mark_lost():
    class Machine(KeyValueStore):
        def put(self, key, value): ...


def mark_changed():
    class Machine(KeyValueStore):
        @query
        def put(self, key, value): ...


def state_of_the_class():
    class Machine(StateMachine):
        values = {}  # noqa: RUF012


@pytest.mark.parametrize(
    ("define", "reason"),
    [
        (both, "is a query already"),
        (asynchronous, "is async"),
        (asynchronous_generator, "is async"),
        (generator, "is a generator"),
        (private, "private by its name"),
        (private_alias, "_put is private by its name"),
        (static, "not staticmethod"),
        (of_a_property, "not property"),
        (context_taken, "context is StateMachine's own"),
        (context_attribute, "context is StateMachine's own"),
        (snapshot_command, "snapshot_pieces is StateMachine's own"),
        (half_a_snapshot, "snapshot_pieces without restore_piece"),
        (slots, "__slots__"),
        (mark_lost, "put is a command in KeyValueStore; mark it @command here too"),
        (mark_changed, "put is a command in KeyValueStore"),
        (state_of_the_class, "the attribute values belongs to the class"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_defined(define, reason):
    with pytest.raises(TypeError, match=reason):
        define()


def test_constants_of_a_class_are_fine():
    class Shop(StateMachine):
        PRICES = {"tea": 3}  # noqa: RUF012

        @query
        def price(self, what: str) -> int:
            return self.PRICES[what]

    assert Shop().price("tea") == 3


def test_there_is_a_context_only_while_a_method_runs():
    class Careless(StateMachine):
        def __init__(self):
            self.started = self.context.now

    for use in (Careless, lambda: KeyValueStore().context):
        with pytest.raises(RuntimeError, match="only while a command or a query runs"):
            use()

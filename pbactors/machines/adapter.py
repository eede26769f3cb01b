"""Makes a user's class what the core replicates: a :class:`~pbactors.protocol.machine.Machine`.

Everything that can go wrong in a call is an outcome, the same on every copy: an unknown method,
wrong arguments, an exception, a result that cannot be carried or is too large. Only what is no
``Exception`` (``SystemExit``, ``KeyboardInterrupt``) passes through, and stops the node (R52).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from pbactors.errors import InvariantViolated, MalformedMessage, UnsupportedValue
from pbactors.machines.calls import (
    NOTHING,
    decode_call,
    digest_outcomes,
    encode_error,
    encode_result,
    returned,
)
from pbactors.machines.context import Context
from pbactors.machines.state_machine import Kind, StateMachine, interface, overrides
from pbactors.machines.table import Table, Walk, items_of, table_of
from pbactors.protocol.machine import Machine
from pbactors.values import SUPPORTED_TYPES, Assembler, Splitter, check_state, holds_at_most

__all__ = [
    "CHECKED_VALUES_MAX",
    "SMALL_BYTES_MAX",
    "SMALL_VALUES_MAX",
    "ReplicatedMachine",
    "contents_of",
]

CHECKED_VALUES_MAX: Final = 100_000
"""How many values a full check of the state looks at; the same on every node."""

SMALL_VALUES_MAX: Final = 1000
SMALL_BYTES_MAX: Final = 1024 * 1024
"""What attributes that are no tables may hold together, to be packed when a snapshot begins: so
many values, and so many characters and bytes in them."""

_SNAPSHOT_FORMAT: Final = 2
_HEADER: Final = [int, str, tuple, tuple]
_FREEZE_PIECE_BYTES: Final = 64 * 1024
_SIZED: Final = frozenset({list, dict, set, Table})
_ATTRIBUTE_TYPES: Final = SUPPORTED_TYPES | {Table}
_NOTHING: Final = object()


@dataclass(frozen=True, slots=True)  # no tuple: its fields take longer to read
class _Method:
    kind: Kind
    function: Callable[..., object]
    label: str
    what: str


def _method(factory: type[StateMachine], name: str, kind: Kind) -> _Method:
    label = f"{factory.__name__}.{name}"
    return _Method(kind, getattr(factory, name), label, f"result of {label}")


class ReplicatedMachine(Machine):
    """One instance of a user's class, driven by encoded calls. Not thread-safe.

    Args:
        factory: the class; it is called without arguments.
        result_bytes_max: the largest encoded outcome of a method that returned. It decides
            outcomes, so it must be the same on every node.

    Attributes:
        identity: ``module:Class``, carried by snapshots; another class's snapshot is refused.

    Raises:
        TypeError: the class is no ``StateMachine``, or its ``__init__`` wants arguments.
    """

    def __init__(self, factory: type[StateMachine], result_bytes_max: int) -> None:
        self._factory = factory
        self._result_bytes_max = result_bytes_max
        self.identity = f"{factory.__module__}:{factory.__qualname__}"
        self._methods = {
            name: _method(factory, name, kind) for name, kind in interface(factory).items()
        }
        self._checks_attributes = not overrides(factory, "snapshot_pieces")
        self._instance = factory()
        # After which commands the whole state was found sound: part of the state, since it decides
        # what is checked, and so outcomes.
        self._checked: set[str] = set()
        self._assembler: Assembler | None = None
        self._tables_due: list[str] | None = None  # None before the header
        self._restored = 0

    # -- calls ------------------------------------------------------------------------------------

    def execute(self, first: int, stamp: bytes, bodies: Sequence[bytes]) -> list[bytes]:
        """Execute commands; see :class:`~pbactors.protocol.machine.Machine`."""
        return [
            self._run("command", self.new_context(stamp, op_number), body)
            for op_number, body in enumerate(bodies, first)
        ]

    def query(self, stamp: bytes, body: bytes) -> bytes:
        """Execute one query; see :class:`~pbactors.protocol.machine.Machine`."""
        return self._run("query", self.new_context(stamp, 0), body)

    def new_context(self, stamp: bytes, op_number: int) -> Context:
        """Return what one call sees as ``self.context``; to be overridden by who watches its use.

        Args:
            stamp: see :class:`~pbactors.machines.context.Context`.
            op_number: as well.
        """
        return Context(stamp, op_number)

    def _run(self, kind: Kind, context: Context, body: bytes) -> bytes:
        try:
            name, args, named = decode_call(body)
        except MalformedMessage as error:
            return _raised(error)
        method = self._methods.get(name)
        if method is None or method.kind != kind:
            return self._refuse_method(name, kind)
        if kind == "command":
            outcome = self._call(method, context, args, named)
            return self._refuse_state(name, outcome) or outcome
        before = self._fingerprint() if self._checks_attributes else None
        outcome = self._call(method, context, args, named)
        return (before is not None and self._refuse_change(method, before)) or outcome

    def _refuse_method(self, name: str, kind: Kind) -> bytes:
        cls = self._factory.__name__
        method = self._methods.get(name)
        if method is None:
            return encode_error("AttributeError", f"{cls} has no command or query {name[:100]!r}")
        text = f"{method.label} is a {method.kind}; it was sent as a {kind}"
        return encode_error("TypeError", text)

    def _call(
        self, method: _Method, context: Context, args: list[Any], named: dict[str, Any]
    ) -> bytes:
        instance = self._instance
        instance._context = context
        try:
            # Most calls name no argument, and to pass an empty dict takes as long as to call.
            result = (
                method.function(instance, *args, **named)
                if named
                else method.function(instance, *args)
            )
            if result is None:  # as of most commands
                return NOTHING
            outcome = encode_result(result, method.what)
        except Exception as error:  # noqa: BLE001 - whatever a user's method raises is its outcome
            return _raised(error)
        finally:
            instance._context = None
        if len(outcome) > self._result_bytes_max:
            text = (
                f"{method.what}: {len(outcome)} bytes, more than result_bytes_max "
                f"({self._result_bytes_max}); return less"
            )
            return encode_error("UnsupportedValue", text)
        return outcome

    # -- what a method left behind ----------------------------------------------------------------

    def _refuse_state(self, name: str, outcome: bytes) -> bytes | None:
        """Return the outcome that says what no snapshot could carry, or None."""
        if not self._checks_attributes:
            return None
        attributes = vars(self._instance)
        mark = name if outcome is NOTHING or returned(outcome) else f"{name} raised"
        if mark in self._checked:
            # Mostly there are few, and then a loop is faster than sets are.
            for value in attributes.values():
                if type(value) not in _ATTRIBUTE_TYPES:
                    break
            else:
                return None
        try:
            check_state(_as_dicts(attributes), self._what(), CHECKED_VALUES_MAX)
        except UnsupportedValue as error:
            return _raised(error)
        self._checked.add(mark)
        return None

    def _fingerprint(self) -> list[tuple[str, object, int]]:
        """Return what a query must leave as it is: the attributes and how many items they hold."""
        return [(name, value, _items(value)) for name, value in vars(self._instance).items()]

    def _refuse_change(
        self, method: _Method, before: list[tuple[str, object, int]]
    ) -> bytes | None:
        """Return the outcome that says what a query changed, or None."""
        attributes = vars(self._instance)
        for name, value, size in before:
            if attributes.get(name, _NOTHING) is not value or _items(value) != size:
                break
        else:
            if len(attributes) == len(before):
                return None
            name = next(iter(attributes.keys() - {name for name, _, _ in before}))
        text = f"query {method.label} changed the attribute {name!r}; only commands may"
        return encode_error("InvariantViolated", text)

    # -- copies -----------------------------------------------------------------------------------

    def snapshot(self, piece_bytes_max: int) -> Iterator[bytes]:
        """Yield the whole state in pieces; see :class:`~pbactors.protocol.machine.Machine`.

        Raises:
            UnsupportedValue: something in the state cannot be carried, or ``snapshot_pieces`` of
                the class raised. The state is as it was.
        """
        splitter = Splitter(piece_bytes_max)
        walks = {name: Walk(table) for name, table in self._tables()}
        header = (_SNAPSHOT_FORMAT, self.identity, tuple(sorted(self._checked)), tuple(walks))
        first = self._first_pieces(splitter, header)
        if self.executes_during_snapshot():
            first = _at_once(first)
        return self._pieces(first, splitter, walks)

    def _pieces(
        self, first: Iterator[bytes], splitter: Splitter, walks: dict[str, Walk]
    ) -> Iterator[bytes]:
        yield from first
        for name in list(walks):
            walk = walks.pop(name)  # the table keeps nothing more for it when its turn is over
            yield from splitter.add_items(name, walk.keys, walk.read, self._what())
        yield splitter.finish()

    def _first_pieces(self, splitter: Splitter, header: object) -> Iterator[bytes]:
        """Yield what comes before the tables; in the attributes None stands for each of them."""
        yield from splitter.add(header)
        for value in self._instance_values():
            yield from splitter.add(value, self._what())

    def _instance_values(self) -> Iterator[object]:
        if self._checks_attributes:
            attributes = vars(self._instance)
            yield {name: _no_table(value) for name, value in attributes.items()}
            return
        try:
            yield from self._instance.snapshot_pieces()
        except Exception as error:
            text = f"{self._factory.__name__}.snapshot_pieces raised {_describe(error)}"
            raise UnsupportedValue(text) from error

    def executes_during_snapshot(self) -> bool:
        """See :class:`~pbactors.protocol.machine.Machine`.

        It does where all attributes are tables or small: up to ``SMALL_VALUES_MAX`` values in all,
        and ``SMALL_BYTES_MAX`` in them.
        """
        if not self._checks_attributes:
            return False
        others = [value for value in vars(self._instance).values() if type(value) is not Table]
        return holds_at_most(others, SMALL_VALUES_MAX, SMALL_BYTES_MAX)

    def _tables(self) -> list[tuple[str, Table[Any, Any]]]:
        if not self._checks_attributes:
            return []
        attributes = vars(self._instance)
        return [(name, value) for name, value in attributes.items() if type(value) is Table]

    def _what(self) -> str:
        kind = "attributes" if self._checks_attributes else "snapshot"
        return f"{kind} of {self._factory.__name__}"

    def digest(self, before: int, outcomes: Sequence[bytes], copy: bytes) -> int:
        """See :class:`~pbactors.protocol.machine.Machine`."""
        return digest_outcomes(before, outcomes, copy)

    def blank(self) -> Self:
        """Return a machine of the same class, to ``load`` a snapshot into."""
        blank = type(self)(self._factory, self._result_bytes_max)
        blank._assembler = Assembler()
        return blank

    def load(self, piece: bytes) -> None:
        """Take the next piece; see :class:`~pbactors.protocol.machine.Machine`.

        Raises:
            MalformedMessage: it is no piece of this class's snapshot, or not the next, or
                ``restore_piece`` of the class raised. The machine is of no use afterwards.
            InvariantViolated: the machine is not blank.
        """
        for value in self._loading().add(piece):
            if self._tables_due is None:
                self._take_header(value)
            else:
                self._restore(value)

    def loaded(self) -> None:
        """Finish after the last piece; see :class:`~pbactors.protocol.machine.Machine`.

        Raises:
            MalformedMessage: pieces are missing.
            InvariantViolated: the machine is not blank.
        """
        self._loading().finish()
        if self._checks_attributes and (self._restored != 1 or self._tables_due):
            raise MalformedMessage("a snapshot without its attributes")
        self._assembler = None

    def _loading(self) -> Assembler:
        if self._assembler is None:
            raise InvariantViolated("a snapshot is loaded into a machine that is not blank")
        return self._assembler

    def _take_header(self, header: object) -> None:
        if type(header) is not tuple or [type(part) for part in header] != _HEADER:
            raise MalformedMessage("no snapshot that this version reads")
        version, identity, checked, tables = header
        if version != _SNAPSHOT_FORMAT or {str}.union(map(type, checked + tables)) != {str}:
            raise MalformedMessage("no snapshot that this version reads")
        if identity != self.identity:
            raise MalformedMessage(f"a snapshot of another class than {self.identity}")
        self._checked = set(checked)
        self._tables_due = list(reversed(tables))

    def _restore(self, value: object) -> None:
        if self._restored and self._tables_due:
            self._restore_table(self._tables_due.pop(), value)
            return
        try:
            self._instance.restore_piece(value)
        except MalformedMessage:
            raise
        except Exception as error:
            text = f"{self._factory.__name__}.restore_piece raised {_describe(error)}"
            raise MalformedMessage(text) from error
        self._restored += 1

    def _restore_table(self, name: str, items: object) -> None:
        attributes = vars(self._instance)
        if type(items) is not dict or attributes.get(name, items) is not None:
            raise MalformedMessage(f"no table {name[:100]!r} among the attributes")
        attributes[name] = table_of(items)

    def clone(self) -> Self:
        """Return an independent copy, also of a machine that is being loaded.

        The instance is deep-copied; a class with attributes that cannot be gives a
        ``__deepcopy__``.
        """
        twin = copy.copy(self)
        twin._instance, twin._assembler = copy.deepcopy((self._instance, self._assembler))
        twin._checked = set(self._checked)
        twin._tables_due = None if self._tables_due is None else list(self._tables_due)
        return twin

    def freeze(self) -> Hashable:
        """Return the bytes of the snapshot: equal exactly where states are.

        Raises:
            UnsupportedValue: as ``snapshot`` does.
        """
        return b"".join(self.snapshot(_FREEZE_PIECE_BYTES))


def contents_of(snapshot: Iterable[bytes]) -> list[object]:
    """Return what the pieces of a snapshot say of the object, without their header."""
    assembler = Assembler()
    header, *contents = [value for piece in snapshot for value in assembler.add(piece)]
    tables: tuple[str, ...] = header[3]  # type: ignore[index]
    if tables:
        attributes, *items = contents
        return [attributes | dict(zip(tables, items, strict=True))]  # type: ignore[operator]
    return contents


def _items(value: Any) -> int:
    return len(value) if type(value) in _SIZED else 0


def _as_dicts(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: items_of(value) if type(value) is Table else value
        for name, value in attributes.items()
    }


def _no_table(value: object) -> object:
    return None if type(value) is Table else value


def _at_once(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Make all pieces now; what goes wrong comes out of the iteration all the same."""
    made: list[bytes] = []
    try:
        made.extend(pieces)
    except UnsupportedValue as error:
        return _then_raise(made, error)
    return iter(made)


def _then_raise(pieces: list[bytes], error: UnsupportedValue) -> Iterator[bytes]:
    yield from pieces
    raise error


def _raised(error: Exception) -> bytes:
    return encode_error(type(error).__name__, _text(error))


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {_text(error)[:200]}"


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 - the text of a user's exception is user code too
        return f"(its text cannot be made: {type(second).__name__})"

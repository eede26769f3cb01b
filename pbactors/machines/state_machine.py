"""What a user's class is made of: ``StateMachine``, ``@command`` and ``@query``.

What makes no sense is refused when the class is defined, with a ``TypeError`` that says what to
write instead, so that importing the class is enough to find it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypeVar

from pbactors.errors import MalformedMessage
from pbactors.machines.context import Context

__all__ = ["Kind", "StateMachine", "command", "interface", "kind_of", "overrides", "query"]

Kind: TypeAlias = Literal["command", "query"]

Method = TypeVar("Method", bound=Callable[..., object])

_MARK: Final = "_pbactors_kind"


def command(method: Method) -> Method:
    """Mark a method as a command: ordered, and executed exactly once on every copy.

    It may change the attributes. Whatever it raises (any ``Exception``) is its outcome, and what
    it changed before stays changed, on every copy (R52). Time, randomness and ids come from
    ``self.context`` alone.

    Raises:
        TypeError: the method cannot be one.
    """
    return _mark(method, "command")


def query(method: Method) -> Method:
    """Mark a method as a query: executed by the primary alone, so it must change nothing.

    A query that changes the state makes the copies differ. One that binds an attribute anew, or
    changes how many items one holds, is found out: its outcome is an error that names it. Deeper
    changes are not noticed.

    Raises:
        TypeError: the method cannot be one.
    """
    return _mark(method, "query")


def _mark(method: Method, kind: Kind) -> Method:
    if not inspect.isfunction(method):
        raise TypeError(f"@{kind} marks a plain method, not {type(method).__name__}")
    name = method.__qualname__
    already = getattr(method, _MARK, None)
    if already is not None:
        raise TypeError(f"{name} is a {already} already; a method is one command or one query")
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        raise TypeError(f"{name} is async; a {kind} runs to its end at once: use a plain def")
    if inspect.isgeneratorfunction(method):
        raise TypeError(f"{name} is a generator; a {kind} returns a value: return a list")
    if method.__name__.startswith("_"):
        raise TypeError(f"{name} is private by its name; a {kind} is called from outside")
    setattr(method, _MARK, kind)
    return method


class StateMachine:
    """Base of every replicated class.

    Its attributes are its state. They are plain values: None, bool, int, float, str, bytes, list,
    tuple, dict, set, frozenset and aware datetime, and no list, dict or set is held in two places,
    because a copy of the state would hold two of them. ``__init__`` takes no arguments, needs no
    ``super().__init__()`` and has no context; it must do the same on every host. A dict keeps its
    order in every copy. A set has none to rely on: sort it before its order can show. An attribute
    with much in it is a :class:`~pbactors.machines.table.Table`, so that commands go on executing
    while the state is copied.

    **What is checked when** (R52). The whole state, up to 100,000 values of it, after the first
    run of each command that returns and after the first that raises. After every other command,
    the types of the attributes themselves. What is wrong becomes the outcome of that command,
    naming the attribute and the place; the change stays. What a later run puts deep inside is
    noticed when the state is copied: the copy is refused with ``UnsupportedValue``, which names
    the place, and the state goes on as it is.

    A class that keeps its state otherwise gives both :meth:`snapshot_pieces` and
    :meth:`restore_piece`; its attributes are its own business then, and are not checked.
    """

    __slots__ = ("_context",)
    _context: Context | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        reason = _refuse_class(cls)
        if reason is not None:
            raise TypeError(f"{cls.__qualname__}: {reason}")

    @property
    def context(self) -> Context:
        """Time, randomness and new ids of the command or query that runs now.

        Raises:
            RuntimeError: none runs now.
        """
        context: Context | None = getattr(self, "_context", None)
        if context is None:
            raise RuntimeError("self.context is there only while a command or a query runs")
        return context

    def snapshot_pieces(self) -> Iterator[object]:
        """Yield the whole state as plain values, each of any size.

        It is iterated while nothing is executed. Values may be made on the way; large ones are
        split further by themselves.
        """
        yield vars(self)

    def restore_piece(self, piece: Any) -> None:
        """Take the next value that ``snapshot_pieces`` yielded, on a newly made instance.

        Called once for each, in order. It should cost time in proportion to the piece, because
        the node does nothing else meanwhile.
        """
        if type(piece) is not dict or not all(type(name) is str for name in piece):
            raise MalformedMessage("attributes are a dict with names as keys")
        vars(self).clear()
        vars(self).update(piece)


_OWN_NAMES: Final = frozenset(name for name in vars(StateMachine) if not name.startswith("__"))
_SNAPSHOT_NAMES: Final = frozenset({"snapshot_pieces", "restore_piece"})


def _refuse_class(cls: type[StateMachine]) -> str | None:
    """Return why this class cannot be replicated, or None."""
    for name in sorted((_OWN_NAMES - _SNAPSHOT_NAMES) & vars(cls).keys()):
        return f"{name} is StateMachine's own; choose another name"
    own = [name for name in sorted(_SNAPSHOT_NAMES) if overrides(cls, name)]
    if len(own) == 1:
        missing = min(_SNAPSHOT_NAMES - set(own))
        return f"{own[0]} without {missing}; a class gives both of them, or none"
    if any(vars(base).get("__slots__") for base in cls.__mro__ if base is not StateMachine):
        return "__slots__ hides attributes from the snapshot; leave it out"
    return _refuse_methods(cls) or _refuse_class_attributes(cls)


def overrides(cls: type[StateMachine], name: str) -> bool:
    """Tell whether the class gives its own version of one of ``StateMachine``'s methods."""
    return getattr(cls, name) is not getattr(StateMachine, name)


def _refuse_methods(cls: type[StateMachine]) -> str | None:
    for name, member in vars(cls).items():
        kind = getattr(member, _MARK, None)
        if kind is not None and name in _SNAPSHOT_NAMES:
            return f"{name} is StateMachine's own; it cannot be a {kind}"
        if kind is not None and name.startswith("_"):
            return f"{name} is private by its name; a {kind} is called from outside"
        for base in cls.__mro__[1:]:
            before = getattr(vars(base).get(name), _MARK, kind)
            if before != kind:
                return f"{name} is a {before} in {base.__qualname__}; mark it @{before} here too"
    return None


def _refuse_class_attributes(cls: type[StateMachine]) -> str | None:
    for name, value in vars(cls).items():
        if type(value) in (list, dict, set) and not name.isupper() and not name.startswith("__"):
            return (
                f"the attribute {name} belongs to the class, so it is not part of the state; set "
                "it in __init__, or spell it in capitals if it is a constant"
            )
    return None


def kind_of(method: Callable[..., object]) -> Kind:
    """Return whether a method is a command or a query.

    Raises:
        TypeError: it is neither.
    """
    kind: Kind | None = getattr(method, _MARK, None)
    if kind is None:
        raise TypeError(
            f"{method!r} is no command or query; give one of the replicated class, "
            "for example KeyValueStore.put"
        )
    return kind


def interface(cls: type[StateMachine]) -> Mapping[str, Kind]:
    """Return the names of a class's commands and queries, sorted, and which is which.

    Raises:
        TypeError: it is no subclass of ``StateMachine``.
    """
    if not (isinstance(cls, type) and issubclass(cls, StateMachine)):
        raise TypeError(f"{cls!r} is no subclass of StateMachine")
    kinds = {name: getattr(getattr(cls, name), _MARK, None) for name in sorted(dir(cls))}
    return MappingProxyType({name: kind for name, kind in kinds.items() if kind is not None})

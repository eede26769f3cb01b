"""A dict whose state at one moment can be read while it goes on changing (R33)."""

from __future__ import annotations

import copy
from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, Final, TypeVar, overload
from weakref import ref

from pbactors.values import DEPTH_MAX

__all__ = ["Table", "Walk", "items_of", "table_of"]

K = TypeVar("K")
V = TypeVar("V")
Default = TypeVar("Default")

_CHANGEABLE: Final = frozenset({list, dict, set, tuple})
"""Values that change in place, or hold such a value: a frozenset and a key cannot."""

_ABSENT: Final = object()
_REQUIRED: Final[Any] = object()


class Table(MutableMapping[K, V]):
    """A dict for an attribute of a :class:`~pbactors.StateMachine` with much in it.

    It behaves as a dict does and keeps the order of insertion, and a new backup is filled from it
    while commands execute. For that, the first change of a key in that time keeps the old value,
    and handing out a value that is a list, dict, set or tuple keeps a copy of it. One such value
    is copied, and packed, in one go: many small ones are better than one large one.

    It stands directly in an attribute, and nowhere else: arguments, results and other values hold
    ``dict(table)``. Not thread-safe.

    Args:
        items: a mapping or pairs, as ``dict`` takes them.
    """

    __slots__ = ("_items", "_walks")

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = (), /) -> None:
        self._items: dict[K, V] = dict(items)
        # Weak: a walk that nobody goes on with is forgotten, and costs nothing any more.
        self._walks: list[ref[Walk]] = []

    # -- looking ----------------------------------------------------------------------------------

    def __getitem__(self, key: K) -> V:
        value = self._items[key]
        if self._walks:
            self._lend(key, value)
        return value

    @overload
    def get(self, key: K, default: None = None, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V | Default, /) -> V | Default: ...
    def get(self, key: K, default: Any = None, /) -> Any:
        """Return the value of a key, or ``default``."""
        value = self._items.get(key, default)
        if self._walks:
            self._lend(key, value)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __reversed__(self) -> Iterator[K]:
        return reversed(self._items)

    def values(self) -> ValuesView[V]:
        """Return a view of the values."""
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        """Return a view of keys and values."""
        return _Items(self)

    def __repr__(self) -> str:
        return f"Table({self._items!r})"

    # -- changing ---------------------------------------------------------------------------------

    def __setitem__(self, key: K, value: V) -> None:
        if self._walks:
            self._keep(key)
        self._items[key] = value

    def __delitem__(self, key: K) -> None:
        if self._walks:
            self._keep(key)
        del self._items[key]

    @overload
    def pop(self, key: K, /) -> V: ...
    @overload
    def pop(self, key: K, default: V | Default, /) -> V | Default: ...
    def pop(self, key: K, default: Any = _REQUIRED, /) -> Any:
        """Remove a key and return its value, or ``default``.

        Raises:
            KeyError: there is no such key, and no default.
        """
        if default is not _REQUIRED and key not in self._items:
            return default
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[K, V]:
        """Remove and return the key that was added last, and its value.

        Raises:
            KeyError: there is none.
        """
        for key in reversed(self._items):
            return key, self.pop(key)
        raise KeyError("popitem(): the table is empty")

    def clear(self) -> None:
        """Remove everything."""
        for walk in self._going_on():
            walk.leave()
        self._walks.clear()
        self._items.clear()

    # -- copies -----------------------------------------------------------------------------------

    def __copy__(self) -> Table[K, V]:
        return Table(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Table[K, V]:
        return table_of(copy.deepcopy(self._items, memo))

    # -- for walks --------------------------------------------------------------------------------

    def _going_on(self) -> list[Walk]:
        return [walk for reference in self._walks if (walk := reference()) is not None]

    def _keep(self, key: K) -> None:
        """Keep what a key is before it changes: nobody holds the value who could change it."""
        for walk in self._going_on():
            walk.kept.setdefault(key, self._items.get(key, _ABSENT))

    def _lend(self, key: K, value: object) -> None:
        """Keep a copy of what whoever gets the value may change."""
        if type(value) in _CHANGEABLE and key in self._items:
            for walk in self._going_on():
                if key not in walk.kept:
                    walk.kept[key] = _copied(value, DEPTH_MAX, {})


class _Values(ValuesView[V]):
    """The values of a table; each is lent as it is reached."""

    _mapping: Table[Any, V]

    def __iter__(self) -> Iterator[V]:
        table = self._mapping
        return super().__iter__() if table._walks else iter(table._items.values())


class _Items(ItemsView[K, V]):
    """Keys and values of a table; each value is lent as it is reached."""

    _mapping: Table[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        table = self._mapping
        return super().__iter__() if table._walks else iter(table._items.items())


class Walk:
    """Reads a table as it was when the walk began, for as long as somebody holds the walk.

    Args:
        table: to be read. Any number of walks may read one at a time.

    Attributes:
        keys: of that moment, in order.
        kept: what changed since, as it was then.
    """

    __slots__ = ("__weakref__", "_items", "kept", "keys")

    def __init__(self, table: Table[Any, Any]) -> None:
        self._items = table._items
        self.keys = list(table._items)
        self.kept: dict[Any, Any] = {}
        table._walks.append(ref(self, table._walks.remove))

    def read(self, keys: list[Any]) -> list[Any]:
        """Return the values that some of ``keys`` had. Only until the next command they are."""
        items, kept = self._items, self.kept
        if kept:
            return [kept[key] if key in kept else items[key] for key in keys]
        return [items[key] for key in keys]

    def leave(self) -> None:
        """Go on without the table, which is about to lose everything."""
        self._items = dict(self._items)


def items_of(table: Table[K, V]) -> dict[K, V]:
    """Return the dict of a table itself, to look at and not to change."""
    return table._items


def table_of(items: dict[K, V]) -> Table[K, V]:
    """Return a table around this very dict, which is the table's from now on."""
    table: Table[K, V] = Table()
    table._items = items
    return table


def _copied(value: Any, room: int, copies: dict[int, object]) -> Any:
    """Return a copy that changes of the value do not reach.

    What no snapshot can carry stays as it is, for the snapshot to refuse: here nothing is raised,
    because a method must end alike on a copy of the state that is not being read.

    Args:
        value: the value.
        room: how many containers may stand inside each other.
        copies: by the identity of what they are of, so that what is held twice shows in the copy.
    """
    kind = type(value)
    if kind not in _CHANGEABLE or room == 0:
        return value
    if id(value) in copies:
        return copies[id(value)]
    room -= 1
    if kind is set:  # what stands in it is hashable, so it does not change
        made: Any = set(value)
    elif kind is tuple:
        made = tuple([_copied(item, room, copies) for item in value])
    elif kind is list:
        made = copies[id(value)] = []
        made.extend(_copied(item, room, copies) for item in value)
    else:
        made = copies[id(value)] = {}
        made.update((key, _copied(item, room, copies)) for key, item in value.items())
    copies[id(value)] = made
    return made

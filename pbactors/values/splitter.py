"""Turns values into pieces, lazily; ``pieces.py`` says what those are."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, Final

from pbactors.values.packing import (
    CONTAINERS_FREE,
    FROZENSET,
    SET,
    TUPLE,
    RefusedError,
    Shape,
    packed,
    plain,
)
from pbactors.values.pieces import END, OPEN
from pbactors.values.supported import ATOMS, CONTAINERS, DEPTH_MAX, MUTABLE, unsupported

__all__ = ["Splitter", "split"]

_PIECE_BYTES_MIN: Final = 64
_TOKEN_BYTES: Final = 8
_TEXT_WEIGHT: Final = 5
"""About what a text or bytes take besides their content."""

_RUN_ITEMS: Final = 128
"""So many items of a table are looked at together."""

_SIZED_ATOMS: Final = frozenset({str, bytes})


class _LargeError(Exception):
    """A value weighs more than one piece: it is opened instead."""


class Splitter:
    """Turns values, one after another, into bounded pieces, in one pass and lazily.

    Equal values (same types, same order of insertion) give equal pieces. A large set is sorted
    when it is reached, so its elements are packed twice; nothing else is looked at ahead.

    Args:
        piece_bytes_max: about the size of a piece; below 64 it counts as 64.
    """

    def __init__(self, piece_bytes_max: int) -> None:
        self._limit = max(piece_bytes_max, _PIECE_BYTES_MIN)
        # So that no piece holds more containers than a reader takes, however large pieces are.
        self._container_weight = max(_TOKEN_BYTES, self._limit // CONTAINERS_FREE + 1)
        self._index = 0
        self._checksum = 0
        self._tokens: list[Any] = []
        self._batch: list[Any] = []
        self._filled = 0
        self._weight = 0
        # By identity. The objects are held, so that no other takes the place of one that is gone.
        self._seen: dict[int, object] = {}
        self._fresh: dict[int, object] = {}

    def add(self, value: object, what: str = "value") -> Iterator[bytes]:
        """Yield the pieces that are full. The value must not change meanwhile.

        Args:
            value: anything that ``check_state`` takes.
            what: the leading words of the error.

        Raises:
            UnsupportedValue: naming the place. The splitter is of no use afterwards.
        """
        self._seen.clear()
        try:
            yield from self._walk((value,), DEPTH_MAX)
        except (RefusedError, UnicodeEncodeError):
            raise unsupported(value, what, sharing=False) from None

    def add_items(
        self, name: str, keys: list[Any], read: Callable[[list[Any]], list[Any]], what: str
    ) -> Iterator[bytes]:
        """Yield the pieces that are full of a dict that may change between them (R33).

        A value is read when it is packed, and packed in one go, however many pieces that makes.
        What the last ``add`` was given counts as held together with it.

        Args:
            name: of the attribute that the dict stands in.
            keys: of the dict, in order.
            read: returns the values of some of the keys.
            what: the leading words of the error.

        Raises:
            UnsupportedValue: naming the place. The splitter is of no use afterwards.
        """
        self._token(OPEN[dict])
        for start in range(0, len(keys), _RUN_ITEMS):
            run = keys[start : start + _RUN_ITEMS]
            values = read(run)
            weight = self._run_weight(run, values)
            if weight is None:
                for key in run:
                    (value,) = read([key])
                    yield from self._item(name, key, value, what)
                continue
            if self._filled + weight > self._limit:
                yield self._piece(last=False)
            self._batch += chain.from_iterable(zip(run, values, strict=True))
            self._filled += weight
        self._token(END)

    def _run_weight(self, keys: list[Any], values: list[Any]) -> int | None:
        """Return the weight of items that go into one piece as they are, or None."""
        weight = 0
        for column in (keys, values):
            kinds = set(map(type, column))
            if not kinds <= ATOMS:
                return None
            if kinds <= _SIZED_ATOMS and sum(map(len, column)) > self._limit:
                return None
            if kinds == {str} and "".join(column).isascii():
                weight += _TEXT_WEIGHT * len(column) + sum(map(len, column))
                continue
            try:
                weight += sum(map(self._atom_weight, column))
            except UnicodeEncodeError:
                return None
        return weight if weight <= self._limit else None

    def _item(self, name: str, key: Any, value: Any, what: str) -> Iterator[bytes]:
        before = len(self._seen)
        try:
            # The attributes and the dict are two containers around it.
            pieces = self._walk((key, value), DEPTH_MAX - 2)
            yield from pieces if type(value) in ATOMS else list(pieces)
        except (RefusedError, UnicodeEncodeError):
            seen = set(islice(self._seen, before))
            raise unsupported({name: {key: value}}, what, sharing=False, seen=seen) from None

    def finish(self) -> bytes:
        """Return the last piece."""
        return self._piece(last=True)

    def _walk(self, values: tuple[Any, ...], depth_max: int) -> Iterator[bytes]:
        open_values: list[Iterator[Any]] = [iter(values)]
        while open_values:
            for child in open_values[-1]:
                self._weight = 0
                try:
                    arranged = self._small(child, depth_max + 1 - len(open_values))
                except _LargeError:
                    self._fresh.clear()
                    self._token(OPEN[type(child)])
                    open_values.append(self._parts(child, depth_max + 1 - len(open_values)))
                    break
                if self._fresh:
                    self._seen.update(self._fresh)
                    self._fresh.clear()
                if self._filled + self._weight > self._limit:
                    yield self._piece(last=False)
                self._batch.append(arranged)
                self._filled += self._weight
            else:
                open_values.pop()
                if open_values:
                    self._token(END)

    def _token(self, shape: Shape) -> None:
        self._end_batch()
        self._tokens.append(shape.extension)
        self._filled += _TOKEN_BYTES

    def _end_batch(self) -> None:
        if self._batch:
            self._tokens.append(self._batch)
            self._batch = []

    def _piece(self, *, last: bool) -> bytes:
        self._end_batch()
        piece = packed((self._index, self._checksum, last, self._tokens))
        self._index += 1
        self._checksum = zlib.crc32(piece, self._checksum)
        self._tokens = []
        self._filled = 0
        return piece

    def _small(self, value: Any, room: int) -> Any:
        """Return the value as ``plain`` does, if it weighs no more than a piece."""
        kind = type(value)
        if kind in ATOMS:
            self._weigh(self._atom_weight(value))
            return value
        if kind not in CONTAINERS:
            self._weigh(_PIECE_BYTES_MIN // 2)
            return plain(value, room)
        self._enter(value, room)
        self._weigh(self._container_weight)
        if len(value) > self._limit - self._weight:  # no item weighs less than a byte
            raise _LargeError
        room -= 1
        small = self._small
        if kind is dict:
            return {small(key, room): small(item, room) for key, item in value.items()}
        arranged = [small(item, room) for item in value]
        if kind is list:
            return tuple(arranged)
        if kind is tuple:
            return (TUPLE.extension, *arranged)
        shape = SET if kind is set else FROZENSET
        return (shape.extension, *sorted(arranged, key=packed))

    def _atom_weight(self, value: Any) -> int:
        """Return about the packed size in bytes, never too little."""
        kind = type(value)
        if kind is str:
            # Encoding also finds lone surrogates, at the value that has them.
            fits = len(value) <= self._limit and not value.isascii()
            return _TEXT_WEIGHT + len(value.encode() if fits else value)
        if kind is bytes:
            return _TEXT_WEIGHT + len(value)
        if kind is int:
            return 6 + int(value.bit_length()) // 8
        return 9

    def _weigh(self, size_bytes: int) -> None:
        self._weight += size_bytes
        if self._weight > self._limit:
            raise _LargeError

    def _enter(self, value: object, room: int) -> None:
        if type(value) in MUTABLE:
            if id(value) in self._seen or id(value) in self._fresh:
                raise RefusedError
            self._fresh[id(value)] = value
        if room == 0:
            raise RefusedError

    def _parts(self, value: Any, room: int) -> Iterator[Any]:
        """Iterate over what stands inside an opened value, in the order of the stream."""
        kind = type(value)
        if kind in MUTABLE:
            self._seen[id(value)] = value
        if kind is dict:
            return chain.from_iterable(value.items())
        if kind in (set, frozenset):
            return iter(sorted(value, key=lambda item: packed(plain(item, room - 1))))
        if kind in (list, tuple):
            return iter(value)
        if kind is int:
            value = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
        step = self._limit - _TOKEN_BYTES
        if kind is str and not value.isascii():
            step //= 4
        return (value[start : start + step] for start in range(0, len(value), step))


def split(value: object, piece_bytes_max: int, what: str = "value") -> Iterator[bytes]:
    """Yield a value of any size as pieces of about ``piece_bytes_max`` bytes at most.

    Large containers, str, bytes and int are split at any depth; work is done as pieces are asked
    for, in steps that the size of a piece bounds (but for the sorting of a large set).

    Raises:
        UnsupportedValue: as ``check_state`` does, when the iteration reaches the place.
    """
    splitter = Splitter(piece_bytes_max)
    yield from splitter.add(value, what)
    yield splitter.finish()

"""Builds values again from pieces; ``pieces.py`` says what those are."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

from pbactors.errors import MalformedMessage
from pbactors.values.packing import Reader, Shape, read_integer, reason_of, refuse_deep
from pbactors.values.pieces import END, OPEN, OPEN_CONTAINERS, STREAM_SHAPES
from pbactors.values.supported import DEPTH_MAX, short

__all__ = ["Assembler"]


class _Sequence:
    """An open list, or anything that is made of a list of parts at its end."""

    def __init__(self, end: Callable[[list[Any]], object]) -> None:
        self._items: list[Any] = []
        self._end = end

    def take(self, items: list[Any]) -> None:
        self._items += items

    def end(self) -> object:
        return self._end(self._items)


class _Set:
    """An open set or frozenset."""

    def __init__(self, end: Callable[[set[Any]], object]) -> None:
        self._items: set[Any] = set()
        self._end = end

    def take(self, items: list[Any]) -> None:
        expected = len(self._items) + len(items)
        self._items.update(items)
        if len(self._items) != expected:
            raise MalformedMessage("the same element twice")

    def end(self) -> object:
        return self._end(self._items)


class _Dict:
    """An open dict. Items alternate between key and value, whatever batches they come in."""

    def __init__(self) -> None:
        self._items: dict[Any, Any] = {}
        self._key: list[Any] = []

    def take(self, items: list[Any]) -> None:
        flat = self._key + items
        whole = len(flat) // 2 * 2
        self._key = flat[whole:]
        expected = len(self._items) + whole // 2
        self._items.update(zip(flat[0:whole:2], flat[1:whole:2], strict=True))
        if len(self._items) != expected:
            raise MalformedMessage("the same key twice")

    def end(self) -> object:
        if self._key:
            raise MalformedMessage("a key without a value")
        return self._items


def _join_integer(parts: list[Any]) -> int:
    return read_integer(b"".join(parts))


_OPENED: Final[dict[Shape, Callable[[], _Sequence | _Set | _Dict]]] = {
    OPEN[list]: lambda: _Sequence(lambda items: items),
    OPEN[tuple]: lambda: _Sequence(tuple),
    OPEN[set]: lambda: _Set(lambda items: items),
    OPEN[frozenset]: lambda: _Set(frozenset),
    OPEN[dict]: _Dict,
    OPEN[str]: lambda: _Sequence("".join),
    OPEN[bytes]: lambda: _Sequence(b"".join),
    OPEN[int]: lambda: _Sequence(_join_integer),
}


class Assembler:
    """Builds values again from the pieces of a :class:`Splitter`, in order.

    A piece costs time in proportion to its size, but for two things that go at the speed of copying
    memory: now and then the table of a large dict or set grows, and where a large tuple, frozenset
    or text ends, its parts are copied once more.
    """

    def __init__(self) -> None:
        self._index = 0
        self._checksum = 0
        self._ended = False
        self._refused = False
        self._open: list[_Sequence | _Set | _Dict] = []
        self._done: list[object] = []
        self._value: object = None
        self._completed = 0

    def add(self, piece: bytes) -> list[object]:
        """Take the next piece and return the values that it completes.

        Raises:
            MalformedMessage: the piece is not the one that follows. The assembler takes no more.
        """
        if self._refused:
            raise MalformedMessage("a piece after one that was refused")
        self._refused = True
        reader = Reader(STREAM_SHAPES)
        tokens = self._take_header(piece, reader.read(piece))
        self._done = []
        try:
            for token in tokens:
                self._take(token, reader)
        except TypeError as error:  # unhashable, or a part of the wrong type
            raise MalformedMessage(f"no piece: {reason_of(error)}") from None
        if reader.loose:
            raise MalformedMessage("a shape where none can stand")
        self._refused = False
        return self._done

    def finish(self) -> object:
        """Return the value; the last one, if the splitter was given several.

        Raises:
            MalformedMessage: pieces are missing, or one was refused.
        """
        if self._refused or not self._ended or not self._completed:
            raise MalformedMessage("pieces are missing")
        return self._value

    def _take_header(self, piece: bytes, content: object) -> list[Any]:
        if type(content) is not list or len(content) != 4:
            raise MalformedMessage("no piece of a value")
        index, checksum, last, tokens = content
        if type(index) is not int or type(last) is not bool or type(tokens) is not list:
            raise MalformedMessage("no piece of a value")
        if self._ended or index != self._index:
            raise MalformedMessage(f"piece {short(index)} where {self._index} is expected")
        if checksum != self._checksum:
            raise MalformedMessage(f"piece {index} follows other pieces than these")
        self._index += 1
        self._checksum = zlib.crc32(piece, self._checksum)
        self._ended = last
        return tokens

    def _take(self, token: object, reader: Reader) -> None:
        if type(token) is list:
            # The list around the items is one level more; a text stands below the last container.
            refuse_deep(token, reader.containers, max(1, DEPTH_MAX + 1 - len(self._open)))
            self._fill(token)
        elif token is END:
            reader.loose -= 1
            if not self._open:
                raise MalformedMessage("an end of nothing")
            value = self._open.pop().end()
            self._fill([value])
        elif isinstance(token, Shape) and token in _OPENED:
            reader.loose -= 1
            if len(self._open) >= DEPTH_MAX + (token not in OPEN_CONTAINERS):
                raise MalformedMessage(f"nested deeper than {DEPTH_MAX} levels")
            self._open.append(_OPENED[token]())
        else:
            raise MalformedMessage("no token of a piece")

    def _fill(self, items: list[Any]) -> None:
        if self._open:
            self._open[-1].take(items)
        else:
            self._done += items
            self._completed += len(items)
            self._value = items[-1] if items else self._value

"""One value as bytes, and back.

The form is msgpack. What msgpack lacks is added inside ordinary arrays or as an extension:

=================== ================================================================================
list                array
tuple               array that begins with the shape ``t``; alike ``s`` (set), ``f`` (frozenset)
set, frozenset      their elements stand in the order of their bytes
int over 64 bits    extension 2: two's complement, big-endian, as short as possible
aware datetime      extension 3: ``year(2) month day hour minute second microsecond(4) flags``, then
                    the offset in microseconds (8), or the key of the time zone; flag 1 is the fold,
                    flag 2 says that a key follows
shape               extension 1: one byte
=================== ================================================================================

Shapes stand inside the array, not around it, so that nothing is packed or copied twice and depth
in bytes is depth in Python. A timestamp of msgpack's own is read as a datetime in UTC.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgpack  # type: ignore[import-untyped]

from pbactors.errors import MalformedMessage, UnsupportedValue
from pbactors.values.supported import (
    ATOMS,
    CONTAINERS,
    DEPTH_MAX,
    refuse_datetime,
    unsupported,
    zone_of_key,
)

__all__ = [
    "CONTAINERS_FREE",
    "FROZENSET",
    "SET",
    "SHAPES",
    "TUPLE",
    "Reader",
    "RefusedError",
    "Shape",
    "holds_at_most",
    "pack",
    "pack_atoms",
    "packed",
    "plain",
    "read_integer",
    "reason_of",
    "refuse_deep",
    "unpack",
    "unpack_atoms",
]

_SHAPE, _INTEGER, _DATETIME = 1, 2, 3
_MOMENT: Final = struct.Struct(">HBBBBBIB")
_OFFSET: Final = struct.Struct(">q")
_FOLD, _NAMED = 1, 2
_MICROSECOND: Final = timedelta(microseconds=1)

# An empty map is one byte and 64 bytes of memory. Few containers are never a problem; many must
# bring bytes with them, or one message of a megabyte would become a hundred.
CONTAINERS_FREE: Final = 65_536
_BYTES_PER_CONTAINER: Final = 8


def _containers_max(size_bytes: int) -> int:
    return CONTAINERS_FREE + size_bytes // _BYTES_PER_CONTAINER


class RefusedError(Exception):
    """Somewhere in the value is something unsupported; ``unsupported`` finds where."""


class Shape:
    """What an array is, or a token of a stream. Compared by identity."""

    __slots__ = ("extension", "letter")

    def __init__(self, letter: bytes) -> None:
        self.letter = letter
        self.extension = msgpack.ExtType(_SHAPE, letter)


TUPLE, SET, FROZENSET = Shape(b"t"), Shape(b"s"), Shape(b"f")
SHAPES: Final = {shape.letter: shape for shape in (TUPLE, SET, FROZENSET)}


# -- packing ------------------------------------------------------------------------------------


def _pack_integer(value: int) -> Any:
    """Carry what msgpack has no room for: after ``plain`` that can only be a large int."""
    size_bytes = value.bit_length() // 8 + 1
    return msgpack.ExtType(_INTEGER, value.to_bytes(size_bytes, "big", signed=True))


def _pack_datetime(value: datetime) -> Any:
    if refuse_datetime(value) is not None:
        raise RefusedError
    zone = value.tzinfo
    if isinstance(zone, ZoneInfo):
        flags, suffix = value.fold | _NAMED, zone.key.encode()
    else:
        offset = value.utcoffset() or timedelta(0)
        flags, suffix = value.fold, _OFFSET.pack(offset // _MICROSECOND)
    clock = (value.hour, value.minute, value.second, value.microsecond)
    moment = _MOMENT.pack(value.year, value.month, value.day, *clock, flags)
    return msgpack.ExtType(_DATETIME, moment + suffix)


class _Packing(threading.local):
    """Each thread's packer: making one costs more than packing a few arguments.

    It calls no Python while it packs, so no signal handler can come in between and pack as well.
    """

    def __init__(self) -> None:
        self.pack = msgpack.Packer().pack


_packing = _Packing()


def packed(arranged: object) -> bytes:
    """Return the bytes of what ``plain`` returned."""
    data: bytes
    try:
        data = _packing.pack(arranged)
    except OverflowError:
        data = msgpack.packb(arranged, default=_pack_integer)
    return data


def plain(value: Any, room: int) -> Any:
    """Return the value in types that msgpack packs.

    Arrays become tuples: they are hashable where they stand as keys.

    Args:
        value: the value.
        room: how many containers may stand inside each other.

    Raises:
        RefusedError: something in it is unsupported; a lone surrogate is left to the packer.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind in CONTAINERS:
        if room == 0:
            raise RefusedError
        room -= 1
        if kind is tuple:
            return (TUPLE.extension, *[plain(item, room) for item in value])
        if kind is dict:
            if ATOMS.issuperset(map(type, value)) and ATOMS.issuperset(map(type, value.values())):
                return value
            return {plain(key, room): plain(item, room) for key, item in value.items()}
        if kind is list:
            if ATOMS.issuperset(map(type, value)):
                return value
            return tuple([plain(item, room) for item in value])
        shape = SET if kind is set else FROZENSET
        return (shape.extension, *sorted([plain(item, room) for item in value], key=packed))
    if kind is datetime:
        return _pack_datetime(value)
    raise RefusedError


def pack(value: object, what: str = "value") -> bytes:
    """Return the bytes of a value that fits one message.

    Args:
        value: anything supported. A mutable object may occur twice; it comes back as two.
        what: the leading words of the error, for example ``"argument 'when'"``.

    Raises:
        UnsupportedValue: naming the place and what to do: ``argument 'when', ['x'][2]: Decimal``.
    """
    try:
        arranged = value if type(value) in ATOMS else plain(value, DEPTH_MAX)
        data = packed(arranged)
    except (RefusedError, ValueError, OverflowError):
        raise unsupported(value, what, sharing=True) from None
    if len(data) > CONTAINERS_FREE:
        count = sum(len(level) for level in _levels(arranged))
        if count > _containers_max(len(data)):
            reason = f"{count} containers in {len(data)} bytes; use fewer and larger ones"
            raise UnsupportedValue(f"{what}: {reason}")
    return data


def pack_atoms(values: list[Any]) -> bytes | None:
    """Return what ``pack`` returns of this list, or None where it may hold more than atoms.

    The usual arguments of a call are atoms, and this takes a fifth of the time.
    """
    if not ATOMS.issuperset(map(type, values)):
        return None
    try:
        return packed(values)
    except ValueError:  # a lone surrogate
        return None


def _levels(value: object) -> Iterator[list[Any]]:
    """Yield the containers of a value, level by level."""
    level = [value] if type(value) in CONTAINERS else []
    while level:
        yield level
        level = [item for box in level for item in _items(box) if type(item) in CONTAINERS]


def _items(box: Any) -> Any:
    return chain(box, box.values()) if type(box) is dict else box


def holds_at_most(value: object, values_max: int, bytes_max: int) -> bool:
    """Tell whether the containers of a value hold so many items in all, and texts and bytes of so
    many characters and bytes; a dict counts its keys.
    """
    for level in _levels(value):
        values_max -= sum(map(len, level))
        if values_max < 0:
            return False
        for container in level:
            items = container.values() if type(container) is dict else container
            bytes_max -= sum(len(item) for item in items if type(item) in (str, bytes))
    return bytes_max >= 0


# -- unpacking ----------------------------------------------------------------------------------


_DECODING_ERRORS: Final = (ValueError, TypeError, OverflowError, RecursionError)


class Reader:
    """Builds one value from untrusted bytes.

    Attributes:
        loose: shapes that began no array. Each must be a token that the caller counts.
        containers: how many were read.
    """

    __slots__ = ("_containers_left", "_shapes", "containers", "loose")

    def __init__(self, shapes: dict[bytes, Shape]) -> None:
        self._shapes = shapes
        self.loose = 0
        self.containers = 0
        self._containers_left = 0

    def read(self, data: bytes) -> Any:
        """Return the value. What it is nested in, and ``loose``, are left to the caller."""
        self._containers_left = allowed = _containers_max(len(data))
        try:
            _skim(data)
            value = msgpack.unpackb(
                data,
                ext_hook=self._extension,
                list_hook=self._array,
                object_pairs_hook=self._map,
                strict_map_key=False,
                timestamp=3,
            )
        except (*_DECODING_ERRORS, msgpack.UnpackException) as error:
            raise MalformedMessage(f"no value: {reason_of(error)}") from None
        self.containers = allowed - self._containers_left
        return value

    def _count(self) -> None:
        self._containers_left -= 1
        if self._containers_left < 0:
            raise MalformedMessage("too many containers for so few bytes")

    def _array(self, items: list[Any]) -> Any:
        self._count()
        if not items:
            return items
        shape = items[0]
        if shape is TUPLE:
            self.loose -= 1
            return tuple(items[1:])
        if shape is SET or shape is FROZENSET:
            self.loose -= 1
            built = set(items[1:]) if shape is SET else frozenset(items[1:])
            if len(built) != len(items) - 1:
                raise MalformedMessage("the same element twice")
            return built
        return items

    def _map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self._count()
        built = dict(pairs)
        if len(built) != len(pairs):
            raise MalformedMessage("the same key twice")
        return built

    def _extension(self, code: int, data: bytes) -> object:
        if code == _SHAPE and data in self._shapes:
            self.loose += 1
            return self._shapes[data]
        if code == _INTEGER:
            return read_integer(data)
        if code == _DATETIME:
            return _read_datetime(data)
        raise MalformedMessage(f"no extension {code} with {len(data)} bytes")


def _skim(data: bytes) -> None:
    """Refuse incomplete data without building anything.

    Otherwise the decoder would make room for every array as soon as it reads a length, before it
    finds that the items are missing: a thousand times for nested ones.
    """
    if len(data) > 256:
        unpacker = msgpack.Unpacker(max_buffer_size=len(data))
        unpacker.feed(data)
        unpacker.skip()


def reason_of(error: Exception) -> str:
    """Return a bounded text for a refusal."""
    return str(error)[:200] or type(error).__name__


def read_integer(data: bytes) -> int:
    """Return an int that is too large for msgpack's own.

    Raises:
        MalformedMessage: these are not the bytes that packing would have written.
    """
    value = int.from_bytes(data, "big", signed=True)
    if -(2**63) <= value < 2**64 or len(data) != value.bit_length() // 8 + 1:
        raise MalformedMessage("an integer that is not in its shortest form")
    return value


def _read_datetime(data: bytes) -> datetime:
    if len(data) < _MOMENT.size:
        raise MalformedMessage("a datetime that is cut short")
    year, month, day, hour, minute, second, microsecond, flags = _MOMENT.unpack_from(data)
    suffix = data[_MOMENT.size :]
    zone: timezone | ZoneInfo | None
    if flags & _NAMED:
        zone = zone_of_key(suffix.decode())
        if zone is None:
            raise MalformedMessage("a datetime in a time zone that is not known here")
    elif len(suffix) == _OFFSET.size:
        zone = timezone(timedelta(microseconds=_OFFSET.unpack(suffix)[0]))
    else:
        raise MalformedMessage("a datetime with an offset of the wrong length")
    if flags & ~(_FOLD | _NAMED):
        raise MalformedMessage("a datetime with unknown flags")
    fold = flags & _FOLD
    return datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


_UNPACKED_ALONE_BYTES_MAX: Final = 2048
"""What so few bytes can claim to hold costs some megabytes at worst, and only for a moment."""


def unpack(data: bytes) -> object:
    """Return the value of bytes that may come from anyone.

    Raises:
        MalformedMessage: the bytes are not exactly one supported value, are nested deeper than
            ``DEPTH_MAX``, or would take much more memory than their length suggests.
    """
    if len(data) <= _UNPACKED_ALONE_BYTES_MAX:
        try:
            alone: object = msgpack.unpackb(data)
        except (*_DECODING_ERRORS, msgpack.UnpackException):
            alone = ()
        if type(alone) in ATOMS:  # what most methods return
            return alone
    reader = Reader(SHAPES)
    value: object = reader.read(data)
    if reader.loose:
        raise MalformedMessage("a shape outside of an array's beginning")
    refuse_deep(value, reader.containers, DEPTH_MAX)
    return value


def unpack_atoms(data: bytes) -> list[Any] | None:
    """Return what ``unpack`` does, if that is a list of atoms; None where it may be anything else.

    The usual arguments of a call are atoms, and this takes a fifth of the time.
    """
    if len(data) > _UNPACKED_ALONE_BYTES_MAX:
        return None
    try:
        values = msgpack.unpackb(data)
    except (*_DECODING_ERRORS, msgpack.UnpackException):
        return None
    if type(values) is not list:
        return None
    for value in values:  # they are few, and then a loop is faster than sets are
        if type(value) not in ATOMS:
            return None
    return values


def refuse_deep(value: object, containers: int, room: int) -> None:
    """Refuse more than ``room`` containers inside each other, of ``containers`` in all.

    Raises:
        MalformedMessage: there are more.
    """
    if containers > room:  # fewer containers cannot be that deep, and most values have fewer
        for depth, _ in enumerate(_levels(value), start=1):
            if depth > room:
                raise MalformedMessage(f"nested deeper than {DEPTH_MAX} levels")

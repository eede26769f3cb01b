"""Messages to bytes and back: the one file that knows both.

A message is one msgpack array (``docs/protocol.md`` is the specification)::

    [version, cluster, node, incarnation, tag, [field, ...]]

The fields stand in the order of the message's dataclass. Operations, queries, results and answers
are the tuples that msgpack makes; they are checked and never wrapped again.

``decode`` believes nothing: version, arity, exact types, ranges, lengths and counts are checked,
then the message judges its own fields. Whatever is wrong becomes ``MalformedMessage`` with a reason
and nothing else ever comes out. What one body may allocate is bounded before and while it is
decoded. How a field is checked follows from its annotation, once, when this module is imported: a
new message needs no change here, and one whose field types are unknown fails the import.

Both functions may be called on any thread; what they remember of headers changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial, reduce
from operator import attrgetter, itemgetter, or_
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, get_type_hints

import msgpack  # type: ignore[import-untyped]

from pbactors.config import Limits
from pbactors.errors import MalformedMessage
from pbactors.protocol.message import CLUSTER_BYTES, REGISTRY
from pbactors.protocol.messages import Message
from pbactors.protocol.operations import (
    Answer,
    Kind,
    Operation,
    Query,
    Result,
    invalid_operation,
)
from pbactors.protocol.view import INCARNATION_BYTES, Incarnation, Member, View

__all__ = [
    "ARRAY_ITEMS_MAX",
    "BODY_ITEMS_MAX",
    "NAME_CHARACTERS_MAX",
    "TEXT_CHARACTERS_MAX",
    "VERSION",
    "VIEW_TOPIC",
    "Header",
    "decode",
    "encode",
]

VERSION: Final = 1
"""The version of the protocol that this module speaks."""

VIEW_TOPIC: Final = b"view"
"""The topic under which the view server publishes each new view, as a ``ViewReply``."""

NAME_CHARACTERS_MAX: Final = 64
"""The longest name of a node."""

TEXT_CHARACTERS_MAX: Final = 4096
"""The longest text in a message."""

ARRAY_ITEMS_MAX: Final = 128 * 1024
"""The most operations, queries, results or answers in one message; who has more sends several."""

BODY_ITEMS_MAX: Final = 8 * ARRAY_ITEMS_MAX
"""The most items in all arrays of one message together."""

_UNSKIMMED_BYTES_MAX: Final = 1024
_UNCOUNTED_BYTES_MAX: Final = 256 * 1024
_MESSAGE_BYTES_MAX: Final = Limits().message_bytes_max
_HEADER_ITEMS: Final = 6
_CALL: Final = int(Kind.CALL)
_USUAL_BEGINNING: Final = bytes([0x90 | _HEADER_ITEMS, VERSION])
_HEADERS_MAX: Final = 1024


class Header(NamedTuple):
    """Who says it, as the sender claims.

    Attributes:
        version: the protocol version; always ``VERSION`` after ``decode``.
        cluster: the cluster id of 16 bytes, or empty from a node that knows none yet (R46).
        node: the name of the sending node; empty for a client.
        incarnation: which life of the sender, 16 bytes (R47).
    """

    version: int
    cluster: bytes
    node: str
    incarnation: Incarnation


_HEADERS: Final[dict[tuple[Any, ...], Header]] = {}
"""Headers that were checked, each by itself. Whoever speaks has spoken before: to look one up takes
0.3 us, to check it 1.3. What is looked up begins with ``_USUAL_BEGINNING``, so the version is that
number and no other that is equal to it, and the rest can be equal to bytes and texts only if it is.
"""


def encode(cluster: bytes, member: Member, message: Message) -> bytes:
    """Return the bytes of ``message``.

    Args:
        cluster: the sender's cluster id, or empty if it knows none yet.
        member: the sender; a client has the empty name.
        message: an instance of a registered class, within the limits that ``decode`` enforces.
    """
    fields_of = _CODECS[message.tag].fields_of
    envelope = (VERSION, cluster, member.name, member.incarnation, message.tag, fields_of(message))
    packed: bytes = msgpack.packb(envelope)
    return packed


def decode(body: bytes, message_bytes_max: int = _MESSAGE_BYTES_MAX) -> tuple[Header, Message]:
    """Return header and message of ``body``.

    Args:
        body: one frame, as received.
        message_bytes_max: the largest body that is looked at.

    Raises:
        MalformedMessage: it is no message of this protocol version; the text says why. Nothing
            else is ever raised.
    """
    if len(body) > message_bytes_max:
        raise MalformedMessage(f"{len(body)} bytes; at most {message_bytes_max} are read")
    if body.startswith(_USUAL_BEGINNING):
        envelope = _unpack(body)
        header = _HEADERS.get(envelope[:4]) or _header(envelope)
    else:
        _refuse_other_version(body)
        envelope = _unpack(body)
        header = _header(envelope)
    tag, values = envelope[4:]
    codec = _CODECS.get(tag) if type(tag) is int else None
    if codec is None:
        raise MalformedMessage(f"unknown tag: {tag if type(tag) is int else _what(tag)}")
    return header, codec.message_of(values)


# -- the envelope -----------------------------------------------------------------------------


def _refuse_other_version(body: bytes) -> None:
    """Name a version that is not ours, even where the rest of it could not be understood.

    Every version of the protocol begins with a short array whose first item is its number.
    """
    if len(body) >= 2 and body[0] & 0xF0 == 0x90 and body[1] < 0x80 and body[1] != VERSION:
        raise MalformedMessage(
            f"protocol version {body[1]}; this node speaks version {VERSION} alone"
        )


def _refuse(what: str, *_: object) -> NoReturn:
    raise MalformedMessage(f"{what} in a message")


_unpackb: Final = partial(
    msgpack.unpackb,
    use_list=False,
    raw=False,
    # An empty map costs 64 bytes for one on the wire: the hook refuses the first one.
    object_pairs_hook=partial(_refuse, "a map"),
    max_map_len=0,
    ext_hook=partial(_refuse, "an extension type"),
    max_ext_len=0,
    # One wide character makes a whole text four times as large in memory.
    max_str_len=4 * TEXT_CHARACTERS_MAX,
)


def _unpack(body: bytes) -> Any:
    """Turn bytes into tuples and plain values, within memory in proportion to the body.

    msgpack opens up to 1024 arrays inside each other and makes room for all items of each as soon
    as it reads their number. So a body must have the items it claims: one that is not small is
    skimmed first, which builds nothing, and in a small one an array may claim no more than the
    length allows, as no item of a large array takes fewer than four bytes. Small arrays by the
    million are counted, but only in a large body: in others they can do no harm.
    """
    array_items_max = min(ARRAY_ITEMS_MAX, 64 + len(body) // 4)
    count = _counter() if len(body) > _UNCOUNTED_BYTES_MAX else None
    try:
        if len(body) > _UNSKIMMED_BYTES_MAX:
            skimmer = msgpack.Unpacker(max_buffer_size=len(body))
            skimmer.feed(body)
            skimmer.skip()
        return _unpackb(body, max_array_len=array_items_max, list_hook=count)
    except msgpack.ExtraData as error:
        raise MalformedMessage(f"{len(error.extra)} bytes after the end of the message") from error
    # The fallback of msgpack in pure Python recurses where the compiled one counts.
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"no msgpack: {type(error).__name__}: {error}") from error


def _counter() -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    left = BODY_ITEMS_MAX

    def count(items: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal left
        left -= len(items) + 1
        if left < 0:
            raise MalformedMessage(f"more than {BODY_ITEMS_MAX} items in all arrays together")
        return items

    return count


def _header(envelope: Any) -> Header:
    """Return the header of a message, and remember it."""
    if type(envelope) is not tuple or len(envelope) != _HEADER_ITEMS:
        raise MalformedMessage(f"expected an array of {_HEADER_ITEMS} items, got {_what(envelope)}")
    version, cluster, node, incarnation, _, _ = envelope
    if type(version) is not int or version != VERSION:
        found = version if type(version) is int else _what(version)
        raise MalformedMessage(
            f"protocol version {found}; this node speaks version {VERSION} alone"
        )
    if type(cluster) is not bytes or len(cluster) not in (0, CLUSTER_BYTES):
        raise MalformedMessage(
            f"cluster: expected {CLUSTER_BYTES} bytes or none, got {_what(cluster)}"
        )
    if type(node) is not str or len(node) > NAME_CHARACTERS_MAX:
        raise MalformedMessage(
            f"node: expected a text of at most {NAME_CHARACTERS_MAX} characters, got {_what(node)}"
        )
    if type(incarnation) is not bytes or len(incarnation) != INCARNATION_BYTES:
        raise MalformedMessage(
            f"incarnation: expected {INCARNATION_BYTES} bytes, got {_what(incarnation)}"
        )
    if len(_HEADERS) >= _HEADERS_MAX:
        _HEADERS.clear()
    header = Header(VERSION, cluster, node, incarnation)
    _HEADERS[header] = header
    return header


def _what(value: object) -> str:
    """Describe a value without repeating it: it came from a stranger and may be huge."""
    if isinstance(value, bytes | str | tuple):
        return f"{type(value).__name__} of length {len(value)}"
    return "nil" if value is None else type(value).__name__


# -- fields, by their type --------------------------------------------------------------------

Check: TypeAlias = Callable[[Any], Any]
"""Takes what msgpack made, returns what the dataclass takes, or raises ``MalformedMessage``."""


def _expected(field: str, what: str, value: object) -> MalformedMessage:
    return MalformedMessage(f"{field}: expected {what}, got {_what(value)}")


def _number(field: str) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int:
            raise _expected(field, "a number", value)
        if value >> 63:  # zero exactly for 0 <= value < 2**63
            raise MalformedMessage(f"{field}: {value} is not in the range from 0 below 2**63")
        return value

    return check


def _truth(field: str) -> Check:
    def check(value: Any) -> bool:
        if type(value) is not bool:
            raise _expected(field, "true or false", value)
        return value

    return check


def _bytes(field: str) -> Check:
    def check(value: Any) -> bytes:
        if type(value) is not bytes:
            raise _expected(field, "bytes", value)
        return value

    return check


def _text(field: str) -> Check:
    def check(value: Any) -> str:
        if type(value) is not str or len(value) > TEXT_CHARACTERS_MAX:
            raise _expected(field, f"a text of at most {TEXT_CHARACTERS_MAX} characters", value)
        return value

    return check


def _view(field: str) -> Check:
    check_number = _number(f"{field} number")

    def member(value: Any) -> Member | None:
        if value is None:
            return None
        if type(value) is not tuple or len(value) != 2:
            raise _expected(field, "a member of 2 items, or nil", value)
        name, incarnation = value
        if type(name) is not str or not 0 < len(name) <= NAME_CHARACTERS_MAX:
            raise _expected(field, f"a name of 1 to {NAME_CHARACTERS_MAX} characters", name)
        if type(incarnation) is not bytes or len(incarnation) != INCARNATION_BYTES:
            raise _expected(field, f"an incarnation of {INCARNATION_BYTES} bytes", incarnation)
        return Member(name, incarnation)

    def check(value: Any) -> View:
        if type(value) is not tuple or len(value) != 3:
            raise _expected(field, "a view of 3 items", value)
        number, primary, backup = value
        return View(check_number(number), member(primary), member(backup))

    return check


# Four loops that look alike, unrolled: here thousands of operations pass in one message, and one
# general loop over the numbers of a row takes four times as long. ``(a | b) >> 63`` is zero exactly
# where both are in the range from 0 below 2**63.


def _operations(field: str) -> Check:
    def check(rows: Any) -> tuple[Operation, ...]:
        for row in _array(field, rows):
            if type(row) is tuple and len(row) == 5:
                a, b, c, d, body = row
                if type(a) is type(b) is type(c) is type(d) is int and type(body) is bytes:
                    if d == _CALL and 0 < c <= b and a and not (a | b) >> 63:
                        continue  # as nearly all are: to ask a function takes twice as long
                    if not (a | b | c | d) >> 63:
                        _refuse_operation(field, row)
                        continue
            raise _bad_row(field, 4, row)
        return rows  # type: ignore[no-any-return]

    return check


def _refuse_operation(field: str, row: Operation) -> None:
    reason = invalid_operation(row)
    if reason is not None:
        raise MalformedMessage(f"{field}: {reason}")


def _queries(field: str) -> Check:
    def check(rows: Any) -> tuple[Query, ...]:
        for row in _array(field, rows):
            if type(row) is tuple and len(row) == 4:
                a, b, c, body = row
                right = type(a) is type(b) is type(c) is int and type(body) is bytes
                if right and not (a | b | c) >> 63:
                    continue
            raise _bad_row(field, 3, row)
        return rows  # type: ignore[no-any-return]

    return check


def _results(field: str) -> Check:
    def check(rows: Any) -> tuple[Result, ...]:
        for row in _array(field, rows):
            if type(row) is tuple and len(row) == 3:
                a, b, body = row
                if type(a) is type(b) is int and type(body) is bytes and not (a | b) >> 63:
                    continue
            raise _bad_row(field, 2, row)
        return rows  # type: ignore[no-any-return]

    return check


def _answers(field: str) -> Check:
    def check(rows: Any) -> tuple[Answer, ...]:
        for row in _array(field, rows):
            if type(row) is tuple and len(row) == 2:
                a, body = row
                if type(a) is int and type(body) is bytes and not a >> 63:
                    continue
            raise _bad_row(field, 1, row)
        return rows  # type: ignore[no-any-return]

    return check


def _array(field: str, rows: Any) -> tuple[Any, ...]:
    if type(rows) is not tuple:
        raise _expected(field, "an array", rows)
    return rows


def _bad_row(field: str, numbers: int, row: Any) -> MalformedMessage:
    short = type(row) is tuple and len(row) <= 5
    items = [_what(item) for item in row] if short else _what(row)
    return MalformedMessage(
        f"{field}: expected arrays of {numbers} numbers from 0 below 2**63 and bytes, got {items}"
    )


_CHECKS: Final[dict[Any, tuple[type, Callable[[str], Check]]]] = {
    int: (int, _number),
    bool: (bool, _truth),
    bytes: (bytes, _bytes),
    str: (str, _text),
    View: (tuple, _view),
    tuple[Operation, ...]: (tuple, _operations),
    tuple[Query, ...]: (tuple, _queries),
    tuple[Result, ...]: (tuple, _results),
    tuple[Answer, ...]: (tuple, _answers),
}
"""By the annotation of a field: what msgpack makes of it, and what is checked."""


# -- messages, by their class -----------------------------------------------------------------


class _Codec:
    """How one class of message is taken apart and put together.

    Attributes:
        fields_of: returns the fields of a message, in order.
    """

    __slots__ = ("_checks", "_kind", "_numbers", "_others", "_types", "fields_of")

    def __init__(self, kind: type[Message]) -> None:
        hints = get_type_hints(kind)
        names = [field.name for field in fields(kind)]
        for name in names:
            if hints[name] not in _CHECKS:
                raise TypeError(
                    f"{kind.__name__}.{name}: the wire knows no check for {hints[name]}"
                )
        of_types = [_CHECKS[hints[name]] for name in names]
        self._kind = kind
        self._types = tuple(plain for plain, _ in of_types)
        self._checks = [
            make(f"{kind.__name__}.{name}") for name, (_, make) in zip(names, of_types, strict=True)
        ]
        checked = list(enumerate(zip(self._types, self._checks, strict=True)))
        self._numbers = _numbers_of([index for index, (plain, _) in checked if plain is int])
        self._others = [(index, one) for index, (plain, one) in checked if plain in (str, tuple)]
        self.fields_of = _getter(names)

    def message_of(self, values: Any) -> Message:
        """Return the message with these fields.

        Raises:
            MalformedMessage: they are no fields of this class, or make no sense together.
        """
        # All types at once, then all numbers: those of a confirmation take 1.0 us so; one by one,
        # each check a call, 2.0. No bit above the 63rd is set in numbers from 0 below 2**63 alone.
        if type(values) is not tuple or tuple(map(type, values)) != self._types:
            self._refuse(values)
        if reduce(or_, self._numbers(values), 0) >> 63:
            self._refuse(values)
        if self._others:
            values = list(values)
            for index, check in self._others:
                values[index] = check(values[index])
        message = self._kind(*values)
        reason = message.invalid()
        if reason is not None:
            raise MalformedMessage(f"{self._kind.__name__}: {reason}")
        return message

    def _refuse(self, values: Any) -> None:
        """Say which field is wrong."""
        if type(values) is not tuple or len(values) != len(self._types):
            what = f"an array of {len(self._types)} fields"
            raise _expected(self._kind.__name__, what, values)
        for check, value in zip(self._checks, values, strict=True):
            check(value)


def _numbers_of(places: list[int]) -> Callable[[tuple[Any, ...]], tuple[int, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


def _getter(names: list[str]) -> Callable[[Message], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda message: tuple(getattr(message, name) for name in names)


_CODECS: Final = {tag: _Codec(kind) for tag, kind in REGISTRY.items()}

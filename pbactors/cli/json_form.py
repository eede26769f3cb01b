"""Every value as JSON and back, exactly.

What JSON has is written as it is. Anything else is an object with one key that begins with ``$``::

    {"$bytes": "aGVsbG8="}                          base64
    {"$tuple": [1, 2]}   {"$set": [1, 2]}   {"$frozenset": [1, 2]}
    {"$datetime": "2026-01-31T09:30:00+01:00"}      ISO 8601 with the offset;
    {"$datetime": "2026-01-31T09:30:00+01:00[Europe/Berlin]"}    in a time zone as in RFC 9557
    {"$float": "nan"}                               or "inf", "-inf"
    {"$int": "0xff"}                                an int of more than 1024 bits
    {"$dict": [[1, "one"], [2, "two"]]}             a dict whose keys are not all texts

A dict that would look like one of these is written as ``$dict`` too.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

__all__ = ["from_json", "to_json"]

_INT_BITS_MAX: Final = 1024
"""Python refuses to read and write far larger ones in decimal, since that takes too long."""


def to_json(value: Any) -> Any:
    """Return a value that a method can return as one that ``json.dumps`` can write."""
    kind = type(value)
    if kind is list:
        return [to_json(item) for item in value]
    if kind is dict:
        return _dict_to_json(value)
    if kind is tuple:
        return {"$tuple": [to_json(item) for item in value]}
    if kind in (set, frozenset):  # in an order that is always the same
        return {f"${kind.__name__}": sorted(map(to_json, value), key=json.dumps)}
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    if kind is datetime:
        zone = f"[{value.tzinfo.key}]" if isinstance(value.tzinfo, ZoneInfo) else ""
        return {"$datetime": value.isoformat() + zone}
    if kind is float and not math.isfinite(value):
        return {"$float": str(value)}
    if kind is int and value.bit_length() > _INT_BITS_MAX:
        return {"$int": hex(value)}
    return value


def _dict_to_json(value: dict[Any, Any]) -> dict[str, Any]:
    plain = all(type(key) is str for key in value)
    if plain and not (len(value) == 1 and next(iter(value)).startswith("$")):
        return {key: to_json(item) for key, item in value.items()}
    return {"$dict": [[to_json(key), to_json(item)] for key, item in value.items()]}


def from_json(value: Any) -> Any:
    """Return the value that ``to_json`` made this of.

    Args:
        value: what ``json.loads`` returned.

    Raises:
        ValueError: an object looks like one in the form above and is not; the text says why.
    """
    if type(value) is list:
        return [from_json(item) for item in value]
    if type(value) is not dict:
        return value
    tag = next(iter(value), "")
    if len(value) != 1 or not tag.startswith("$"):
        return {key: from_json(item) for key, item in value.items()}
    read = _READERS.get(tag)
    if read is None:
        raise ValueError(
            f"{tag!r} is none of {', '.join(_READERS)}; "
            f'a dict with this key is written {{"$dict": [["{tag}", ...]]}}'
        )
    try:
        return read(value[tag])
    except (ValueError, TypeError, AttributeError, LookupError, OSError) as error:
        raise ValueError(f"no content for {tag!r}: {error}") from None


def _pairs(content: list[list[Any]]) -> dict[Any, Any]:
    return {from_json(key): from_json(item) for key, item in content}


def _items(content: object) -> list[Any]:
    if type(content) is not list:
        raise ValueError(f"expected a list, not {content!r}")
    return [from_json(item) for item in content]


def _datetime(content: str) -> datetime:
    text, _, zone = content.partition("[")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("expected an offset at its end, for example +00:00")
    if not zone:
        return moment
    for fold in (0, 1):  # when clocks are set back the same time of day comes twice
        local = moment.replace(tzinfo=ZoneInfo(zone.removesuffix("]")), fold=fold)
        if local.utcoffset() == moment.utcoffset():
            return local
    raise ValueError("the time zone has another offset then")


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "$bytes": lambda content: base64.b64decode(content, validate=True),
    "$tuple": lambda content: tuple(_items(content)),
    "$set": lambda content: set(_items(content)),
    "$frozenset": lambda content: frozenset(_items(content)),
    "$datetime": _datetime,
    "$float": float,
    "$int": lambda content: int(content, 16),
    "$dict": _pairs,
}

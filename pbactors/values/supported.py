"""What is supported, and where in a value something is not.

This is the slow twin of packing. It runs when packing failed, to find the place, and to check a
state without packing it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Final
from zoneinfo import ZoneInfo

from pbactors.errors import UnsupportedValue

__all__ = [
    "ATOMS",
    "CONTAINERS",
    "DEPTH_MAX",
    "MUTABLE",
    "SUPPORTED_TYPES",
    "check_state",
    "refuse_datetime",
    "short",
    "unsupported",
    "zone_of_key",
]

DEPTH_MAX: Final = 100
"""Containers inside containers; the same on every node, since it decides outcomes."""

ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})
MUTABLE: Final = frozenset({list, dict, set})
CONTAINERS: Final = MUTABLE | {tuple, frozenset}
SUPPORTED_TYPES: Final = ATOMS | CONTAINERS | {datetime}

_SUPPORTED: Final = (
    "supported are None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset "
    "and aware datetime"
)


class _Inspector:
    """Finds the first place of a value that cannot be carried.

    Args:
        sharing: whether a mutable object may be reachable twice, as in an argument.
        values_max: how many values to look at.
        seen: the identities of mutable objects that were reached before.
    """

    __slots__ = ("_left", "_seen")

    def __init__(
        self, *, sharing: bool, values_max: float = float("inf"), seen: Iterable[int] = ()
    ) -> None:
        self._seen: set[int] | None = None if sharing else set(seen)
        self._left = values_max

    def fault(self, value: object, room: int = DEPTH_MAX) -> tuple[str, str] | None:
        """Return ``(path, reason)``, or None where all is well."""
        self._left -= 1
        if self._left < 0:
            return None
        kind = type(value)
        if kind not in CONTAINERS:
            reason = _refuse_plain(value)
            return None if reason is None else ("", reason)
        reason = self._refuse_container(value, room)
        if reason is not None:
            return "", reason
        for segment, key, child in _children(value):
            found = self.fault(child, room - 1)
            if found is not None:
                return segment.format(short(key)) + found[0], found[1]
        return None

    def _refuse_container(self, value: object, room: int) -> str | None:
        if self._seen is not None and type(value) in MUTABLE:
            if id(value) in self._seen:
                return (
                    f"a {type(value).__name__} that the state holds elsewhere too, or that holds "
                    "itself; a copy of the state would not keep that: store a copy of it instead"
                )
            self._seen.add(id(value))
        if room == 0:
            return f"nested deeper than {DEPTH_MAX} levels, or inside itself"
        return None


def _children(value: Any) -> Iterator[tuple[str, object, object]]:
    """Yield ``(how the way to it is written, its key, child)``."""
    if type(value) is dict:
        for key, item in value.items():
            yield ", a key", None, key
            yield "[{}]", key, item
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            yield "[{}]", index, item
    else:
        for item in value:
            yield ", an element", None, item


def short(key: object) -> str:
    """Return a bounded text of a dict key or an index."""
    if isinstance(key, str | bytes):
        return repr(key[:40]) + ("…" if len(key) > 40 else "")
    if isinstance(key, int) and key.bit_length() > 128:  # CPython refuses to print huge ones
        return "a large int"
    if type(key) in ATOMS:
        return repr(key)
    return f"a {type(key).__name__}"


def _refuse_plain(value: object) -> str | None:
    """Return why something that is no container cannot be carried, or None."""
    kind = type(value)
    if kind is str:
        return _refuse_text(value)  # type: ignore[arg-type]
    if kind in ATOMS:
        return None
    if isinstance(value, datetime) and kind is datetime:
        return refuse_datetime(value)
    name = kind.__name__[:100]
    if kind in (bytearray, memoryview):
        return f"{name}; make it bytes"
    for base in (*CONTAINERS, *ATOMS, datetime):
        if base is not type(None) and isinstance(value, base):
            return f"{name}, a subclass of {base.__name__}; make it a plain {base.__name__}"
    if isinstance(value, Mapping):
        return f"{name}, a mapping but no dict; make it one: dict({name.lower()})"
    return f"{name}; {_SUPPORTED}"


def _refuse_text(value: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "a str with a lone surrogate, which has no UTF-8 form; carry bytes instead"
    return None


def refuse_datetime(value: datetime) -> str | None:
    """Return why this datetime would not come back as it is, or None."""
    zone = value.tzinfo
    if zone is None:
        return "a datetime without a time zone; give it one, for example timezone.utc"
    if type(zone) is timezone:
        if zone.tzname(None) == timezone(zone.utcoffset(None)).tzname(None):
            return None
        return "a datetime in a fixed time zone with a name of its own; use one without a name"
    # Only what its key gives again is carried: datetimes compare and subtract by zone identity.
    if type(zone) is ZoneInfo and zone.key is not None and zone_of_key(zone.key) is zone:
        return None
    name = type(zone).__name__[:100]
    return f"a datetime in a time zone ({name}) that no key gives again; use timezone or ZoneInfo"


def zone_of_key(key: str) -> ZoneInfo | None:
    """Return the time zone of that key in this host's database, or None."""
    try:
        return ZoneInfo(key)
    except (KeyError, ValueError, OSError):  # unknown, not a key, a folder of the database
        return None


def unsupported(
    value: object, what: str, *, sharing: bool, seen: Iterable[int] = ()
) -> UnsupportedValue:
    """Return the error that names the first place of a value that could not be carried.

    Args:
        value: what could not be packed.
        what: the leading words.
        sharing: whether a mutable object may be reachable twice, as in an argument.
        seen: the identities of mutable objects that stand elsewhere; only without ``sharing``.
    """
    fault = _Inspector(sharing=sharing, seen=seen).fault(value)
    return _error(what, *(fault or ("", "too large to carry")))


def _error(what: str, path: str, reason: str) -> UnsupportedValue:
    place = path if path.startswith(",") or not path else f", {path}"
    return UnsupportedValue(f"{what}{place}: {reason}")


def check_state(value: object, what: str = "state", values_max: int | None = None) -> None:
    """Refuse a state that would not come back from a snapshot as it is, without packing it.

    Besides unsupported values these are mutable objects that are reachable twice, and cycles: a
    copy would hold two objects where there was one.

    Args:
        value: the state.
        what: the leading words of the error.
        values_max: look at that many values only, in their order; all of them if None.

    Raises:
        UnsupportedValue: naming the first place.
    """
    limit = float("inf") if values_max is None else values_max
    found = _Inspector(sharing=False, values_max=limit).fault(value)
    if found is not None:
        raise _error(what, *found)

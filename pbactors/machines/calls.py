"""How a call and its outcome travel: the bytes that are opaque to the core.

A call is the packed list ``[method, named arguments or None, argument, ...]``. An outcome is one
byte, 0 or 1, and then the packed result, or the packed ``(type name, text)`` of what the method
raised.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pbactors.errors import MalformedMessage, MethodRaised, UnsupportedValue
from pbactors.values import pack, pack_atoms, unpack, unpack_atoms

__all__ = [
    "NOTHING",
    "decode_call",
    "decode_outcome",
    "digest_outcomes",
    "encode_call",
    "encode_error",
    "encode_result",
    "returned",
]

NAME_CHARACTERS_MAX = 200
TEXT_CHARACTERS_MAX = 2000

_RESULT, _RAISED = b"\x00", b"\x01"

NOTHING: Final = _RESULT + pack(None)
"""The outcome of a method that returned None."""

_NEVER_EQUAL: Final = frozenset({"RecursionError", "MemoryError"})


def encode_call(
    method: str,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    function: Callable[..., object] | None = None,
) -> bytes:
    """Return the bytes of a call.

    Args:
        method: the name of the method.
        args: positional arguments, without ``self``.
        kwargs: keyword arguments.
        function: the method itself, where it is known: errors then name its parameters.

    Raises:
        UnsupportedValue: naming the argument and the place:
            ``argument 'when', ['x'][2]: Decimal``.
    """
    named = dict(kwargs) if kwargs else None
    call = [method, named, *args]
    body = pack_atoms(call)
    if body is not None:
        return body
    try:
        return pack(call, "arguments")
    except UnsupportedValue:
        for name, value in zip(_parameter_names(function, len(args)), args, strict=True):
            pack(value, f"argument {name}")
        for key, value in (named or {}).items():
            pack(value, f"argument {key!r}")
        raise


def _parameter_names(function: Callable[..., object] | None, count: int) -> list[str]:
    """Return what to call the positional arguments: by parameter, else by place."""
    names: list[str] = []
    parameters = inspect.signature(function).parameters.values() if function is not None else ()
    # A function of a class has self in front; a bound method has lost it.
    skipped = 0 if inspect.ismethod(function) else 1
    for parameter in list(parameters)[skipped:]:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(repr(parameter.name))
    return [*names, *(str(place + 1) for place in range(len(names), count))][:count]


def decode_call(body: bytes) -> tuple[str, list[Any], dict[str, Any]]:
    """Return method name, positional and named arguments: new objects, nobody else's.

    Raises:
        MalformedMessage: the bytes are no call.
    """
    call = unpack_atoms(body) or unpack(body)
    if type(call) is not list or len(call) < 2 or type(call[0]) is not str:
        raise MalformedMessage("no call: expected [method name, named arguments or nil, ...]")
    method, named, *args = call
    if named is None:
        return method, args, {}
    if type(named) is not dict or not all(type(key) is str for key in named):
        raise MalformedMessage("no call: the named arguments are no dict with names as keys")
    return method, args, named


def encode_result(result: object, what: str) -> bytes:
    """Return the outcome of a method that returned.

    Args:
        result: what it returned.
        what: the leading words of the error, for example ``"result of Bank.deposit"``.

    Raises:
        UnsupportedValue: naming the place.
    """
    if result is None:  # what most commands return
        return NOTHING
    return _RESULT + pack(result, what)


def encode_error(type_name: str, text: str) -> bytes:
    """Return the outcome of a method that raised, with bounded texts."""
    return _RAISED + pack((_tidy(type_name, NAME_CHARACTERS_MAX), _tidy(text, TEXT_CHARACTERS_MAX)))


def _tidy(text: str, characters_max: int) -> str:
    if len(text) > characters_max:
        text = text[: characters_max - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def returned(outcome: bytes) -> bool:
    """Tell whether an outcome is that of a method that returned."""
    return outcome.startswith(_RESULT)


def digest_outcomes(before: int, outcomes: Sequence[bytes], copy: bytes) -> int:
    """Return the digest of outcomes, chained to the ones before (R50).

    The text of what was raised does not count. Errors that strike at different points on the
    copies never count as equal (R52).

    Args:
        before: the digest of the outcomes before; 0 before any.
        outcomes: what ``encode_result`` or ``encode_error`` returned, in order.
        copy: different on each copy.
    """
    # Nearly always all have returned, and one checksum of all is that of each after the other, in
    # a third of the time.
    if not any([outcome[0] for outcome in outcomes]):  # noqa: C419
        return zlib.crc32(b"".join(outcomes), before)
    digest = before
    for outcome in outcomes:
        if returned(outcome):
            digest = zlib.crc32(outcome, digest)
            continue
        raised: Any = unpack(outcome[1:])
        type_name, _text = raised
        digest = zlib.crc32(_RAISED + pack(type_name), digest)
        if type_name in _NEVER_EQUAL:
            digest = zlib.crc32(copy, digest)
    return digest


def decode_outcome(data: bytes) -> object:
    """Return the result of a method.

    Raises:
        MethodRaised: the method raised, on every copy.
        MalformedMessage: the bytes are no outcome.
    """
    if data == NOTHING:
        return None
    kind, value = data[:1], unpack(data[1:])
    if kind == _RESULT:
        return value
    if kind != _RAISED or type(value) is not tuple or [type(part) for part in value] != [str, str]:
        raise MalformedMessage("no outcome")
    raise MethodRaised(*value)

"""Calls and outcomes in words: bodies that are opaque to the protocol, and mostly plain values."""

from __future__ import annotations

from typing import Final

from pbactors.errors import MalformedMessage
from pbactors.values import unpack

__all__ = ["call_in_words", "outcome_in_words"]

CHARACTERS_MAX: Final = 60
_READ_BYTES_MAX: Final = 4096


def call_in_words(body: bytes) -> str:
    """Return a call as it was written: ``put('color', 'blue')``; what is long is shortened."""
    match _value(body):
        case [str(method), None | dict() as named, *args]:
            words = [repr(value) for value in args]
            words += [f"{name}={value!r}" for name, value in (named or {}).items()]
            return _short(f"{method}({', '.join(words)})")
        case _:
            return _readable(body)


def outcome_in_words(body: bytes) -> str:
    """Return the result of a call, or what it raised."""
    if not body:
        return "done"
    match body[0], _value(body[1:]):
        case _, MalformedMessage():
            return _readable(body) or "done"
        case 0, result:
            return _short(repr(result))
        case 1, (str(name), str(text)):
            return _short(f"raised {name}: {text}")
        case _:
            return _readable(body) or "done"


def _value(body: bytes) -> object:
    """Return the packed value, or the error where it is none, or is too long to look at."""
    if len(body) > _READ_BYTES_MAX:
        return MalformedMessage("too long")
    try:
        return unpack(body)
    except MalformedMessage as error:
        return error


def _readable(body: bytes) -> str:
    """Return what of some bytes is text."""
    shown = body[: 2 * CHARACTERS_MAX]
    words = "".join(chr(byte) if 32 <= byte < 127 else " " for byte in shown).split()
    return _short(" ".join(words))


def _short(text: str) -> str:
    return text if len(text) <= CHARACTERS_MAX else f"{text[: CHARACTERS_MAX - 3]}..."

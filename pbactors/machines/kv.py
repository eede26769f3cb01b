"""A replicated key-value store: the reference machine."""

from __future__ import annotations

import re
from typing import Final

from pbactors.machines.state_machine import StateMachine, command, query
from pbactors.machines.table import Table

__all__ = ["KeyValueStore"]

_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,1000}", re.ASCII)
_AMOUNT_BITS_MAX: Final = 3000


class KeyValueStore(StateMachine):
    """Texts under text keys. A missing key is None and never the same as an empty text.

    Every method raises ``TypeError`` for a key or value that is no ``str``, before it changes
    anything.
    """

    def __init__(self) -> None:
        self.values: Table[str, str] = Table()

    @query
    def get(self, key: str) -> str | None:
        """Return the value of a key, or None if there is no such key."""
        return self.values.get(_text(key))

    @query
    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with ``prefix``, sorted; all keys for an empty one."""
        _text(prefix)
        return sorted(key for key in self.values if key.startswith(prefix))

    @command
    def put(self, key: str, value: str) -> None:
        """Set a key to a value, whatever it was."""
        self.values[_text(key)] = _text(value)

    @command
    def append(self, key: str, suffix: str) -> str:
        """Add to the end of a key's value, creating the key if it is missing.

        Returns:
            The whole new value.
        """
        value = self.values.get(_text(key), "") + _text(suffix)
        self.values[key] = value
        return value

    @command
    def delete(self, key: str) -> bool:
        """Remove a key.

        Returns:
            Whether it was there.
        """
        return self.values.pop(_text(key), None) is not None

    @command
    def compare_and_set(self, key: str, expected: str | None, value: str) -> bool:
        """Set a key to a value if it is what the caller expects.

        Args:
            key: the key.
            expected: what it must be now; None if it must be missing.
            value: the new value.

        Returns:
            Whether it was set.
        """
        _text(key)
        if expected is not None:
            _text(expected)
        _text(value)
        if self.values.get(key) != expected:
            return False
        self.values[key] = value
        return True

    @command
    def increment(self, key: str, amount: int = 1) -> int:
        """Add to the whole number that a key's value spells; a missing key counts as 0.

        Returns:
            The new number.

        Raises:
            TypeError: the amount is no ``int``.
            ValueError: the value spells no whole number, or a number is out of all proportion.
        """
        text = self.values.get(_text(key), "0")
        if type(amount) is not int:
            raise TypeError(f"expected an int, not a {type(amount).__name__}")
        if amount.bit_length() > _AMOUNT_BITS_MAX:
            raise ValueError(f"an amount has at most {_AMOUNT_BITS_MAX} bits")
        if _WHOLE_NUMBER.fullmatch(text) is None:
            raise ValueError(f"{key[:100]!r} holds no whole number: {text[:100]!r}")
        number = int(text) + amount
        self.values[key] = str(number)
        return number


def _text(value: str) -> str:
    if type(value) is not str:
        raise TypeError(f"expected a str, not a {type(value).__name__}")
    return value

"""The mistakes of one file: gathered, worded alike, and put where they stand in the file."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

from pbactors.errors import TopologyError

__all__ = ["Key", "Mistakes", "lines_of_keys", "meant", "shown", "spelled", "statements", "walk"]

Key: TypeAlias = tuple[str | int, ...]
"""A way into a file: ``("nodes", 2, "address")`` is written ``nodes[2].address``."""

_SHOWN_MAX = 80


class Mistakes:
    """Everything that is wrong with one file.

    Args:
        file: the file, as whoever reads the texts named it.
        text: what is in it; it is TOML.
    """

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._text = text
        self._noted: list[tuple[float, str]] = []

    @cached_property
    def _lines(self) -> dict[Key, int]:
        return lines_of_keys(self._text)

    def _line(self, key: Key) -> int | None:
        """Return the line of ``key``, or else of the innermost thing around it that has one."""
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key)

    def place(self, key: Key) -> str:
        """Return ``key`` with its line, for the text about another key."""
        return f"{spelled(key)} in line {self._line(key)}"

    def note(self, key: Key, problem: str, example: str) -> None:
        """Remember one mistake. An example of several lines is set off below the text."""
        line = self._line(key)
        where = f"{self._file}" if line is None else f"{self._file}:{line}"
        if "\n" in example:
            example = "".join(f"\n    {part}".rstrip(" ") for part in example.split("\n"))
        else:
            example = f" {example}"
        text = f"{where}: {spelled(key)}: {problem}; for example:{example}"
        self._noted.append((inf if line is None else line, text))

    def raise_any(self) -> None:
        """Raise what was noted, in the order of the file; what has no line comes last."""
        if self._noted:
            in_order = sorted(self._noted, key=lambda noted: noted[0])
            raise TopologyError([text for _, text in in_order])


def lines_of_keys(text: str) -> dict[Key, int]:
    """Return the line of every key and table header of ``text``, which is TOML.

    What stands inside a value of several lines gets the first of them.
    """
    lines: dict[Key, int] = {}
    sizes: dict[Key, int] = {}
    table: Key = ()
    for line, statement, content in statements(text):
        if statement.lstrip().startswith("["):
            table = _header(content, sizes)
            keys = [table[:length] for length in range(1, len(table) + 1)]
        else:
            keys = [table + key for key, _ in walk(content)]
        for key in keys:
            lines.setdefault(key, line)
    return lines


def statements(text: str) -> Iterator[tuple[int, str, dict[str, Any] | None]]:
    """Cut ``text`` into statements; yield the first line of each, its text, and what it says.

    TOML itself does the cutting: the fewest lines that parse alone are one statement (or a comment,
    or nothing). The last one says None where the text ends before it does.
    """
    statement, first = "", 1
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        statement += line + "\n"
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        yield first, statement, content
        statement, first = "", number + 1
    if statement:
        yield first, statement, None


def _header(content: Any, sizes: dict[Key, int]) -> Key:
    """Return which table a header opens; ``sizes`` counts the tables of each array so far."""
    key: Key = ()
    while content:
        ((name, content),) = content.items()
        key += (name,)
        if isinstance(content, list):
            sizes[key] = sizes.get(key, 0) + 1
            (content,) = content
        if key in sizes:
            key += (sizes[key] - 1,)
    return key


def walk(value: Any, at: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every key below a table or array, with what it holds."""
    if isinstance(value, dict):
        inside: Iterator[tuple[str | int, Any]] = iter(value.items())
    else:
        inside = iter(enumerate(value) if isinstance(value, list) else ())
    for name, held in inside:
        yield (*at, name), held
        yield from walk(held, (*at, name))


def spelled(key: Key) -> str:
    """Return a key as people write it; nodes are counted from 0."""
    parts = (
        f"[{part}]"
        if isinstance(part, int)
        else f".{part if re.fullmatch('[A-Za-z0-9_-]+', part) else shown(part)}"
        for part in key
    )
    return "".join(parts).removeprefix(".")


def shown(value: Any) -> str:
    """Return a value as a file spells it, cut where it is long."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        tables = value and all(isinstance(each, dict) for each in value)
        return "an array of tables" if tables else "an array" if value else "an empty array"
    if not isinstance(value, str | bool | int | float):
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def meant(found: str, known: Sequence[str]) -> str:
    """Return " (did you mean ...?)" where one of ``known`` is close to ``found``, or nothing."""
    close = get_close_matches(found, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""

"""Traces as files: one JSON object a line, so that a trace can be searched, cut and kept.

The first line says that it is a trace, and of which version.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NoReturn

from pbactors.errors import TraceUnreadable
from pbactors.trace.moments import Moment, Sort, Trace

__all__ = ["VERSION", "from_line", "load", "save", "to_line"]

VERSION: Final = 1
"""The version of the files that this module writes and reads."""

LINE_CHARACTERS_MAX: Final = 1_000_000
"""The longest line that is looked at."""

_TIME_MS_MAX: Final = 1e15

_FIRST: Final = {"pbactors trace": VERSION}
_EXAMPLE: Final = '{"time_ms": 12.5, "node": "a", "sort": "event", "text": "view 1: primary a"}'
_DEFAULTS: Final = Moment(0, "", Sort.EVENT, "")


def save(trace: Iterable[Moment], path: str | Path) -> None:
    """Write a trace into a file.

    Raises:
        OSError: the file cannot be written.
    """
    with Path(path).open("w", encoding="utf-8") as file:
        file.write(json.dumps(_FIRST) + "\n")
        file.writelines(to_line(moment) + "\n" for moment in trace)


def load(path: str | Path) -> Trace:
    """Read a trace.

    Raises:
        OSError: the file cannot be read.
        TraceUnreadable: a line is wrong; the text says which, and what was expected.
    """
    trace = Trace()
    with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
        _check_first(path, file.readline(LINE_CHARACTERS_MAX))
        for number, line in enumerate(iter(lambda: file.readline(LINE_CHARACTERS_MAX), ""), 2):
            if not line.strip():
                continue
            try:
                trace.add(from_line(line))
            except ValueError as error:
                text = f"{path}:{number}: {error}. Expected, for example, {_EXAMPLE}"
                raise TraceUnreadable(text) from error
    return trace


def _check_first(path: str | Path, line: str) -> None:
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        first = None
    version = first.get("pbactors trace") if isinstance(first, dict) else None
    if type(version) is int and version == VERSION:
        return
    found = "no trace" if version is None else f"a trace of version {version!r}"
    raise TraceUnreadable(f"{path}:1: this is {found}. Expected the line {json.dumps(_FIRST)}")


def to_line(moment: Moment) -> str:
    """Return a moment as one line, without its end."""
    values = {**moment._asdict(), "sort": moment.sort.value, "fields": dict(moment.fields)}
    return json.dumps(
        {
            name: value
            for name, value in values.items()
            if name not in ("message", "peer", "fields") or value != getattr(_DEFAULTS, name)
        }
    )


def from_line(line: str) -> Moment:
    """Return the moment of a line.

    Raises:
        ValueError: it is none; the text says why.
    """
    if len(line) >= LINE_CHARACTERS_MAX:
        raise ValueError(f"a line of more than {LINE_CHARACTERS_MAX} characters")
    try:
        values = json.loads(line, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError("no JSON object")
    unknown = sorted(values.keys() - set(Moment._fields))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    return Moment(
        _time_ms(values),
        _text("node", values),
        _sort(values),
        _text("text", values),
        _message(values),
        _text("peer", values),
        _fields(values),
    )


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _time_ms(values: dict[str, Any]) -> float:
    value: Any = values.get("time_ms")
    if type(value) not in (int, float) or not abs(value) < _TIME_MS_MAX:  # as nan is not either
        _refuse("time_ms", "a number", values)
    return float(value)


def _message(values: dict[str, Any]) -> int:
    value: Any = values.get("message", 0)
    if type(value) is not int or not 0 <= value < 2**63:
        _refuse("message", "a number from 0", values)
    return int(value)


def _sort(values: dict[str, Any]) -> Sort:
    try:
        return Sort(values.get("sort"))
    except ValueError:
        _refuse("sort", f"one of {', '.join(sort.value for sort in Sort)}", values)


def _text(key: str, values: dict[str, Any]) -> str:
    value = values.get(key, "")
    return value if isinstance(value, str) else _refuse(key, "a text", values)


def _fields(values: dict[str, Any]) -> dict[str, object]:
    value = values.get("fields", {})
    return value if isinstance(value, dict) else _refuse("fields", "an object", values)


def _refuse(key: str, expected: str, values: dict[str, Any]) -> NoReturn:
    found = json.dumps(values[key])[:40] if key in values else "nothing"
    raise ValueError(f"{key}: expected {expected}, got {found}")

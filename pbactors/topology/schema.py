"""The shape of a topology file: its tables, their keys, and an example of each that works.

cattrs compares a file with these classes, strictly: nothing is coerced. Whatever is missing or was
refused is left at its default, an empty text or None, so that the rest can still be judged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin

from cattrs import Converter

from pbactors.config import Limits, Timing
from pbactors.topology.mistakes import shown

__all__ = ["CONVERTER", "TABLES", "ClusterTable", "FileTable", "NodeTable", "example_of", "unused"]

NUMBER_MAX = 2**31 - 1
"""The longest wait that poll() takes, in milliseconds; as a size, it is far out of reach."""


def _key(example: str, *, required: bool = False, unique: bool = False) -> Any:
    metadata = {"example": example, "required": required, "unique": unique}
    return field(default="", metadata=metadata)


@dataclass(frozen=True)
class ClusterTable:
    """``[cluster]``."""

    name: str = _key("local", required=True)
    machine: str = _key("pbactors.machines.kv:KeyValueStore", required=True)
    state_dir: str = _key("var/local")
    min_copies: int = field(default=1, metadata={"example": 2})


@dataclass(frozen=True)
class NodeTable:
    """One of ``[[nodes]]``."""

    name: str = _key("a", required=True, unique=True)
    role: str = _key("replica", required=True)
    address: str = _key("tcp://127.0.0.1:7410", required=True, unique=True)
    heartbeat: str = _key("tcp://127.0.0.1:7411", required=True, unique=True)
    bind: str = _key("tcp://*:7410", unique=True)
    bind_heartbeat: str = _key("tcp://*:7411", unique=True)


@dataclass(frozen=True)
class FileTable:
    """The top level. What is in the tables is compared with their own classes."""

    cluster: dict[str, Any] | None = field(default=None, metadata={"required": True})
    timing: dict[str, Any] | None = None
    limits: dict[str, Any] | None = None
    nodes: list[Any] | None = field(default=None, metadata={"required": True})


TABLES: Mapping[type, str] = {
    ClusterTable: "[cluster]",
    Timing: "[timing]",
    Limits: "[limits]",
    NodeTable: "[[nodes]]",
}
"""The tables of a file by their classes, as people write them."""


_EXAMPLE_TABLES = {
    "cluster": """\
[cluster]
name = "local"
machine = "pbactors.machines.kv:KeyValueStore"
""",
    "timing": "[timing]\nping_interval_ms = 25",
    "limits": "[limits]\nsessions_max = 10000",
    "nodes": """\
[[nodes]]
name = "view"
role = "view_server"
address = "tcp://127.0.0.1:7400"
heartbeat = "tcp://127.0.0.1:7401"

[[nodes]]
name = "a"
role = "replica"
address = "tcp://127.0.0.1:7410"
heartbeat = "tcp://127.0.0.1:7411"
""",
}


def example_of(kind: type, name: str, taken: set[str]) -> str:
    """Return lines that are right for this key, or for this table of the top level.

    Args:
        kind: one of ``TABLES``, or ``FileTable``.
        name: a key of it.
        taken: texts that stand in the file. Where two nodes must not have the same text, the
            example has one that is ``unused``.
    """
    if kind is FileTable:
        return _EXAMPLE_TABLES[name].rstrip()
    (key,) = (key for key in dataclasses.fields(kind) if key.name == name)
    example = key.metadata.get("example", key.default)
    if key.metadata.get("unique"):
        example = unused(example, taken)
    return f"{name} = {shown(example)}"


def unused(text: str, taken: set[str]) -> str:
    """Return ``text``, or the next one like it that is not among ``taken``, and add it."""
    stem = text.rstrip("0123456789")
    number = int(text.removeprefix(stem) or 1)
    while text in taken:
        number += 1
        text = f"{stem}{number}"
    taken.add(text)
    return text


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text in quotes")
    return value


def _whole_number(value: Any, _: Any) -> int:
    if type(value) is not int or value > NUMBER_MAX:  # a bool is an int to Python, not to us
        raise ValueError(f"a whole number from 1 to {NUMBER_MAX}")
    return value


def _one_table(value: Any, _: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("one table, in single brackets")
    return value


def _several_tables(value: Any, _: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError("a table for each node, in double brackets")
    return value


def _is_generic(origin: type) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _strict() -> Converter:
    """Return a converter that coerces nothing; the texts of its errors say what was expected."""
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _whole_number)
    converter.register_structure_hook_func(_is_generic(dict), _one_table)
    converter.register_structure_hook_func(_is_generic(list), _several_tables)
    return converter


CONVERTER = _strict()

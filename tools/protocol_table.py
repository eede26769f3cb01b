"""Write the message reference of ``docs/protocol.md`` from the messages themselves.

``python tools/protocol_table.py`` replaces what stands between the markers. A test compares the
document with what this module makes, so that the two cannot drift apart.
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from enum import IntEnum
from pathlib import Path
from typing import get_type_hints

from pbactors.protocol.message import REGISTRY
from pbactors.protocol.messages import Message, Reason, Report, Section
from pbactors.protocol.operations import Answer, Kind, Operation, Query, Result
from pbactors.protocol.view import View

DOCUMENT = Path(__file__).parent.parent / "docs" / "protocol.md"
BEGIN, END = "<!-- messages:begin -->", "<!-- messages:end -->"

WIRE_TYPES: dict[object, str] = {
    int: "number",
    bool: "truth",
    bytes: "bytes",
    str: "text",
    View: "view",
    tuple[Operation, ...]: "operations",
    tuple[Query, ...]: "queries",
    tuple[Result, ...]: "results",
    tuple[Answer, ...]: "answers",
}


def reference() -> str:
    """Return every message and every named number, in Markdown."""
    parts = [_message(kind) for _, kind in sorted(REGISTRY.items())]
    parts += [_numbers(names) for names in (Kind, Section, Reason, Report)]
    return "\n\n".join(parts).replace("``", "`")


def replaced(document: str) -> str:
    """Return ``document`` with the present reference between the markers."""
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


def _message(kind: type[Message]) -> str:
    summary, attributes = _documentation(kind)
    lines = [f"#### {kind.__name__} (tag {kind.tag})", "", summary, ""]
    if attributes:
        types = get_type_hints(kind)
        lines += ["| # | field | type | meaning |", "| --- | --- | --- | --- |"]
        for place, field in enumerate(dataclasses.fields(kind)):
            wire_type = WIRE_TYPES[types[field.name]]
            lines.append(f"| {place} | `{field.name}` | {wire_type} | {attributes[field.name]} |")
    else:
        lines.append("No fields: an empty array.")
    for note in _notes(kind):
        lines += ["", note]
    return "\n".join(lines)


def _notes(kind: type[Message]) -> list[str]:
    notes = []
    if "invalid" in vars(kind):
        notes.append(f"A receiver MUST {_lowered(kind.invalid)}")
    if kind.without_cluster:
        notes.append("MAY be sent with an empty cluster id.")
    if kind.bulk:
        notes.append("Sent over the bulk connection.")
    return notes


def _lowered(method: object) -> str:
    text = " ".join((inspect.getdoc(method) or "").split())
    return text[0].lower() + text[1:]


def _numbers(names: type[IntEnum]) -> str:
    lines = [f"#### {names.__name__}", "", inspect.getdoc(names) or "", ""]
    lines += ["| number | name |", "| --- | --- |"]
    lines += [f"| {member.value} | `{member.name}` |" for member in names]
    return "\n".join(lines)


def _documentation(kind: type[Message]) -> tuple[str, dict[str, str]]:
    """Split a docstring into its text and what it says of each attribute."""
    text, _, listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    attributes: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(listed).splitlines():
        if line.startswith(" "):
            attributes[name] += " " + line.strip()
        elif line:
            name, _, meaning = line.partition(": ")
            attributes[name] = meaning
    return " ".join(text.split()), attributes


if __name__ == "__main__":
    DOCUMENT.write_text(replaced(DOCUMENT.read_text()))

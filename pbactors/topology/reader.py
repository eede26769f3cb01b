"""Reads a topology file, or says everything that is wrong with it.

A file goes through three sieves: tomllib knows what is TOML; cattrs finds, table by table, unknown
keys and values of the wrong type; the rules below judge the rest. What one sieve refuses is noted
and left out, so that the next one neither misses the rest nor reports the same mistake again.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError

from pbactors.config import Limits, Timing
from pbactors.errors import TopologyError
from pbactors.topology.addresses import ADDRESSES, clashes, resolved, wrong_address
from pbactors.topology.mistakes import Key, Mistakes, meant, shown, statements, walk
from pbactors.topology.model import Node, NodeRole, Topology
from pbactors.topology.schema import (
    CONVERTER,
    TABLES,
    ClusterTable,
    FileTable,
    NodeTable,
    example_of,
    unused,
)

__all__ = ["load"]

Table = TypeVar("Table", FileTable, ClusterTable, NodeTable, Timing, Limits)
Numbers = TypeVar("Numbers", Timing, Limits)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_EXPECTED = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"


def load(path: str | Path, *, allow_port_zero: bool = False) -> Topology:
    """Read a topology file. Thread-safe; imports nothing that the file names.

    Args:
        path: the file. Paths inside it are relative to its folder.
        allow_port_zero: whether ``tcp`` addresses may have port 0 ("any free one"), which works
            only where one process starts all nodes and passes on what it was given.

    Raises:
        TopologyError: everything that is wrong with the file, in its order. Each text names the
            file, the line where there is one, the key, what was expected and what was found, and
            ends with an example that works.
    """
    file = Path(path)
    text = _read(file)
    mistakes = Mistakes(file, text)
    return _Reader(file, _parse(file, text), mistakes, allow_port_zero).read()


# -- the first sieve: a file of TOML ----------------------------------------------------------


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = f"expected text in UTF-8, found the byte 0x{error.object[error.start]:02x}"
        example = "save it again, with the encoding UTF-8"
        raise TopologyError([f"{file}:{line}: {problem}; for example: {example}"]) from None
    except FileNotFoundError:
        found = "nothing"
    except IsADirectoryError:
        found = "a folder"
    except OSError as error:
        found = f"something that cannot be read: {error.strerror}"
    folder = file if found == "a folder" else file.parent
    others = sorted(other.name for other in folder.glob("*.toml") if other.name != file.name)
    close = get_close_matches(file.name, others, n=1) or others or ["local.toml"]
    problem = f"expected a topology file, found {found}{meant(file.name, others)}"
    raise TopologyError([f"{file}: {problem}; for example: {folder / close[0]}"])


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        reason = "arrays or tables are nested too deeply"
    except ValueError as error:
        reason = str(error)
    where, found = f"{file}", "something else"
    at = re.fullmatch(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", reason)
    if at and at[2]:
        line = text.replace("\r\n", "\n").split("\n")[int(at[2]) - 1]
        where, found = f"{file}:{at[2]}", f"`{line.strip()}`"
        reason = f"{at[1]}, column {at[3]}"
    elif at:
        *_, (number, statement, _) = statements(text)
        where, found = f"{file}:{number}", f"`{statement.splitlines()[0].strip()}`"
        reason = f"{at[1]}: the file ends before this does"
    problem = f"syntax: expected TOML, found {found} ({reason})"
    raise TopologyError([f'{where}: {problem}; for example: name = "local"'])


# -- the second and the third -----------------------------------------------------------------


class _Reader:
    """Judges one parsed file."""

    def __init__(
        self, file: Path, document: dict[str, Any], mistakes: Mistakes, port_zero: bool
    ) -> None:
        self.path = file.absolute()
        self.document = document
        self.mistakes = mistakes
        self.port_zero = port_zero
        self.unread: set[Key] = set()
        self.taken = {held for _, held in walk(document) if isinstance(held, str)}

    def read(self) -> Topology:
        """Return the topology, or raise everything that is wrong with it."""
        top = self.structure((), self.document, FileTable)
        cluster = self.cluster(top.cluster)
        timing = self.numbers("timing", top.timing or {}, Timing)
        limits = self.numbers("limits", top.limits or {}, Limits)
        nodes = self.nodes(top.nodes or [])
        self.mistakes.raise_any()
        return Topology(
            path=self.path,
            name=cluster.name,
            machine=cluster.machine,
            state_dir=self.path.parent / (cluster.state_dir or f"var/{cluster.name}"),
            timing=timing,
            limits=limits,
            min_copies=cluster.min_copies,
            nodes=tuple(
                Node(
                    name=node.name,
                    role=cast(NodeRole, node.role),
                    address=node.address,
                    heartbeat=node.heartbeat,
                    bind=node.bind or node.address,
                    bind_heartbeat=node.bind_heartbeat or node.heartbeat,
                )
                for node in nodes
            ),
        )

    def note(self, key: Key, kind: type, problem: str) -> None:
        """Note a mistake in a key of ``kind``, with an example of that key."""
        self.mistakes.note(key, problem, example_of(kind, str(key[-1]), self.taken))

    # -- keys and types

    def structure(self, at: Key, content: dict[str, Any], kind: type[Table]) -> Table:
        """Turn one table into ``kind``; note what does not fit, and go on without it."""
        wrong: dict[str, str] = {}
        try:
            structured = CONVERTER.structure(content, kind)
        except ClassValidationError as error:
            wrong = _refused(error)
            kept = {name: held for name, held in content.items() if name not in wrong}
            structured = CONVERTER.structure(kept, kind)
        keys = dataclasses.fields(kind)
        missing = [
            key.name for key in keys if key.metadata.get("required") and key.name not in content
        ]
        for name, held in content.items():
            if wrong.get(name):
                self.unread.add((*at, name))
                self.note((*at, name), kind, f"expected {wrong[name]}, found {shown(held)}")
            elif name in wrong:
                self.unknown((*at, name), kind, missing)
        for name in missing:
            what = "this table" if kind is FileTable else "this key"
            self.note((*at, name), kind, f"expected {what}, found nothing")
        return structured

    def unknown(self, at: Key, kind: type, missing: list[str]) -> None:
        """Note an unknown key. What it was meant to be does not count as missing any more."""
        name = str(at[-1])
        known = [key.name for key in dataclasses.fields(kind)]
        close = get_close_matches(name, known, n=1)
        if close:
            self.unread.add((*at[:-1], close[0]))
        if close and close[0] in missing:
            missing.remove(close[0])
        homes = [
            (other, table)
            for other, table in TABLES.items()
            if name in [key.name for key in dataclasses.fields(other)]
        ]
        what = "a table of a topology file" if kind is FileTable else f"a key of {TABLES[kind]}"
        problem = f"expected {what}, found {shown(name)}"
        if homes and not close:
            other, table = homes[0]
            example = f"{table}\n{example_of(other, name, self.taken)}"
            self.mistakes.note(at, f"{problem} (it belongs in {table})", example)
            return
        hint = meant(name, known) or f" (known: {', '.join(known)})"
        like = close[0] if close else self.optional(kind)
        self.mistakes.note(at, problem + hint, example_of(kind, like, self.taken))

    def optional(self, kind: type) -> str:
        """Return a key that may be added to a table of this kind."""
        return next(
            key.name for key in dataclasses.fields(kind) if not key.metadata.get("required")
        )

    # -- rules

    def cluster(self, content: dict[str, Any] | None) -> ClusterTable:
        """Judge ``[cluster]``; None where that it is missing was noted."""
        if content is None:
            return ClusterTable()
        cluster = self.structure(("cluster",), content, ClusterTable)
        if cluster.name and not _NAME.fullmatch(cluster.name):
            problem = f"expected {_NAME_EXPECTED}, found {shown(cluster.name)}"
            self.note(("cluster", "name"), ClusterTable, problem)
        if cluster.machine and not _is_machine(cluster.machine):
            self.machine(cluster.machine)
        if cluster.state_dir.startswith("~") or not cluster.state_dir.isprintable():
            problem = (
                "expected a folder, relative to the one of this file or absolute, without '~', "
                f"found {shown(cluster.state_dir)}"
            )
            self.note(("cluster", "state_dir"), ClusterTable, problem)
        if cluster.min_copies not in (1, 2):
            problem = f"expected 1 or 2, found {shown(cluster.min_copies)}"
            self.note(("cluster", "min_copies"), ClusterTable, problem)
        return cluster

    def machine(self, written: str) -> None:
        """Note how the path of the machine is misspelled, and what it seems to mean."""
        close = _respelled(written)
        hint = f"; did you mean '{close}'?" if close else ""
        self.mistakes.note(
            ("cluster", "machine"),
            f"expected module:Class, found {shown(written)} ({_misspelling(written)}{hint})",
            f"machine = {shown(close)}"
            if close
            else example_of(ClusterTable, "machine", self.taken),
        )

    def numbers(self, table: str, content: dict[str, Any], kind: type[Numbers]) -> Numbers:
        """Judge ``[timing]`` or ``[limits]``.

        A relation is judged only where every number in it could be read; else the default would be
        judged in place of what was meant.
        """
        numbers = self.structure((table,), content, kind)
        for name, problem in numbers.problems():
            involved = [
                key.name
                for key in dataclasses.fields(kind)
                if key.name == name or re.search(rf"\b{key.name}\b", problem)
            ]
            if any((table, each) in self.unread for each in involved):
                continue
            if name not in content:
                default = getattr(numbers, name)
                problem += f" ({default} is the default: the key is not in the file)"
            example = "\n".join(example_of(kind, each, self.taken) for each in involved)
            if len(involved) > 1:
                example = f"[{table}]\n{example}"
            self.mistakes.note((table, name), problem, example)
        return numbers

    def nodes(self, contents: Sequence[Any]) -> list[NodeTable]:
        """Judge ``[[nodes]]``; empty where that they are missing was noted."""
        nodes = [self.node(("nodes", index), content) for index, content in enumerate(contents)]
        self.names(nodes)
        self.roles(nodes)
        for (index, key), other in clashes(nodes):
            problem = (
                f"expected an address of its own, found {shown(contents[index][key])}, "
                f"which is {self.mistakes.place(('nodes', *other))} too"
            )
            self.note(("nodes", index, key), NodeTable, problem)
        return nodes

    def node(self, at: Key, content: Any) -> NodeTable:
        """Judge one node; return it with absolute paths, and without addresses that are wrong."""
        if not isinstance(content, dict):
            problem = f"expected a table for a node, found {shown(content)}"
            self.mistakes.note(at, problem, self.example_node("replica"))
            return NodeTable()
        node = self.structure(at, content, NodeTable)
        addresses: dict[str, str] = {}
        for key in ADDRESSES:
            written = getattr(node, key)
            addresses[key] = resolved(written, self.path.parent)
            wrong = written and wrong_address(key, addresses[key], port_zero=self.port_zero)
            if wrong:
                expected, reason = wrong
                problem = f"expected {expected}, found {shown(written)} ({reason})"
                self.note((*at, key), NodeTable, problem)
                addresses[key] = ""
        return dataclasses.replace(node, **addresses)

    def names(self, nodes: Sequence[NodeTable]) -> None:
        """Names are spelled sensibly and unique."""
        first: dict[str, int] = {}
        for index, node in enumerate(nodes):
            key: Key = ("nodes", index, "name")
            if node.name and not _NAME.fullmatch(node.name):
                problem = f"expected {_NAME_EXPECTED}, found {shown(node.name)}"
                self.note(key, NodeTable, problem)
            elif node.name and first.setdefault(node.name, index) != index:
                other = self.mistakes.place(("nodes", first[node.name], "name"))
                problem = f"expected a name of its own, found {shown(node.name)}, which is {other}"
                self.note(key, NodeTable, f"{problem} too")

    def roles(self, nodes: Sequence[NodeTable]) -> None:
        """There is one view server and at least one replica."""
        known: tuple[str, ...] = get_args(NodeRole)
        servers = [index for index, node in enumerate(nodes) if node.role == "view_server"]
        for index, node in enumerate(nodes):
            if node.role and node.role not in known:
                choice = " or ".join(shown(role) for role in known)
                problem = f"expected {choice}, found {shown(node.role)}{meant(node.role, known)}"
                close = get_close_matches(node.role, known, n=1) or known[bool(servers) :]
                self.mistakes.note(("nodes", index, "role"), problem, f"role = {shown(close[0])}")
        for index in servers[1:]:
            place = self.mistakes.place(("nodes", servers[0], "role"))
            problem = f"expected one view server, found another besides {place}"
            self.note(("nodes", index, "role"), NodeTable, problem)
        if all(node.role in known for node in nodes):  # else nobody knows what was meant
            for role in known if nodes else ():
                if not any(node.role == role for node in nodes):
                    problem = f"expected a node with the role {shown(role)}, found none"
                    self.mistakes.note(("nodes",), problem, self.example_node(role))

    def example_node(self, role: str) -> str:
        """Return a node that could be added to this file."""
        name = unused("view" if role == "view_server" else "a", self.taken)
        addresses = [example_of(NodeTable, key, self.taken) for key in ADDRESSES[:2]]
        return "\n".join(["[[nodes]]", f'name = "{name}"', f'role = "{role}"', *addresses])


def _refused(error: ClassValidationError) -> dict[str, str]:
    """Return every key that cattrs refused, with what it expected; nothing for unknown keys."""
    of_keys, of_table = error.group_exceptions()
    refused = {note.name: str(reason) for reason, note in of_keys}
    for reason in of_table:
        if isinstance(reason, ForbiddenExtraKeysError):
            refused.update(dict.fromkeys(reason.extra_fields, ""))
    return refused


def _misspelling(machine: str) -> str:
    if "(" in machine:
        return "the class itself is named, without parentheses"
    if "/" in machine or "\\" in machine or ".py" in machine:
        return "a module is named as in an import, not as a file"
    if machine.count(":") != 1:
        return "exactly one colon stands between module and class"
    return "each part is a Python name"


def _is_machine(text: str) -> bool:
    module, _, name = text.partition(":")
    return all(
        part.isidentifier() and not keyword.iskeyword(part) for part in [*module.split("."), name]
    )


def _respelled(machine: str) -> str | None:
    text = machine.split("(")[0].replace(" ", "").replace("\\", "/").replace("/", ".").lstrip(".")
    text = re.sub(r"\.py(?=:|$)", "", text)
    parts = [part for part in re.split("[.:]", text) if part]
    text = ":".join([".".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else ""
    return text if _is_machine(text) else None

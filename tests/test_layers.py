"""Who may import whom: the layers that ``docs/design.md`` draws, read from the syntax trees.

A module imports from layers strictly below its own and from its own folder. Files side by side on
a level do not import each other, so each of them can be read, tested and replaced alone.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pbactors"

LAYERS: list[set[str]] = [
    {"errors", "config", "values", "version"},
    {"protocol"},
    {
        "wire",
        "transport",
        "machines",
        "topology",
        "heartbeat",
        "view_store",
        "trace",
        "linearizability",
    },
    {"ensemble", "workload", "questions"},
    {"actors", "sim", "explore"},
    {"node", "client", "watch", "abandon", "switchover", "record"},
    {"cli", "__main__", "__init__"},
]
LEVELS = {part: level for level, parts in enumerate(LAYERS) for part in parts}

SIDEWAYS = {("__main__", "cli")}
"""Pairs on one level of which the first may import the second; everything may import errors."""

PLACES: dict[str, set[str]] = {
    "zmq": {"transport/zeromq.py", "transport/zeromq_links.py", "transport/zeromq_sockets.py"},
    "pykka": {"actors/", "node.py", "client.py"},
    "msgpack": {"wire.py", "heartbeat.py", "values/"},
    "attr": {"topology/"},
    "attrs": {"topology/"},
    "cattrs": {"topology/"},
    "click": {"cli/"},
    "rich": {"cli/"},
    "sqlite3": {"view_store/sqlite.py"},
}
"""Where each library is imported, and nowhere else. A library that is not here is none of ours."""

PURE = {
    "__future__",
    "abc",
    "collections",
    "dataclasses",
    "enum",
    "itertools",
    "operator",
    "typing",
}
"""What ``protocol/`` takes from the standard library: no clock, no chance, no thread, no log."""

RUNS_CODE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "eval", "exec", "compile"}
"""What could turn a message into code."""

VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "manager"}


def part_of(path: str) -> str:
    """Return what stands on a layer: ``actors`` for ``actors/client.py``, ``wire`` for its file."""
    return path.partition("/")[0].removesuffix(".py")


def imports(tree: ast.AST, folder: str) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything imported, at the top or inside functions.

    Args:
        folder: of the module, as a dotted name, for relative imports.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = folder.split(".")[: len(folder.split(".")) - node.level + 1]
            base = ".".join([*above, node.module or ""]) if node.level else node.module or ""
            # "from pbactors import wire" is about the module wire, not about the whole package.
            whole = base.strip(".") == "pbactors"
            names = [f"pbactors.{alias.name}" for alias in node.names] if whole else [base]
            yield from ((node.lineno, name) for name in names)


def refuse_own(path: str, imported: str) -> str | None:
    """Return why ``path`` may not import this module of pbactors, or None."""
    mine, other = part_of(path), [*imported.split("."), "__init__"][1]
    if other not in LEVELS:  # a name that pbactors/__init__.py offers
        other = "__init__"
    if other in (mine, "errors") or (mine, other) in SIDEWAYS or LEVELS[other] < LEVELS[mine]:
        return None
    where = "beside" if LEVELS[other] == LEVELS[mine] else "above"
    return f"{other} stands {where} {mine}"


def refuse_foreign(path: str, imported: str) -> str | None:
    """Return why ``path`` may not import this module of somebody else, or None."""
    top = imported.partition(".")[0]
    if part_of(path) == "protocol" and top not in PURE:
        return f"protocol/ takes only {', '.join(sorted(PURE))} from outside"
    if top in RUNS_CODE:
        return "no message may run code"
    places = PLACES.get(top)
    if places is None:
        return None if top in sys.stdlib_module_names else f"{top} is no library of this project"
    if path in places or part_of(path) + "/" in places:
        return None
    return f"{top} belongs into {', '.join(sorted(places))}"


def violations(path: str, source: str) -> list[str]:
    """Return what is wrong with the imports of one module.

    Args:
        path: below ``pbactors/``, with slashes.
    """
    if part_of(path) not in LEVELS:
        return [f"{path}: stands on no layer; put it on one in {Path(__file__).name}"]
    tree = ast.parse(source)
    folder = ".".join(["pbactors", *path.split("/")[:-1]])
    found = []
    for line, imported in imports(tree, folder):
        refuse = refuse_own if imported.split(".")[0] == "pbactors" else refuse_foreign
        reason = refuse(path, imported)
        if reason:
            found.append(f"{path}:{line}: imports {imported}: {reason}")
    found += [
        f"{path}:{node.lineno}: calls {node.func.id}: no message may run code"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in RUNS_CODE
    ]
    return found


def modules() -> list[str]:
    return sorted(file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules())
def test_a_module_keeps_to_its_layer(path: str) -> None:
    found = violations(path, (PACKAGE / path).read_text())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", modules())
def test_a_module_has_a_telling_name_and_is_not_buried(path: str) -> None:
    assert path.count("/") <= 1, "two levels deep at most"
    names = {part.removesuffix(".py") for part in path.split("/")}
    assert not names & VAGUE, "a name that says what is in it"


def test_the_layers_are_all_there() -> None:
    there = {part_of(path) for path in modules()}
    assert there == set(LEVELS), "a part was moved or renamed; the layers here speak of another"


def test_libraries_are_used_where_they_belong() -> None:
    """A place that does not exist any more would forbid nothing."""
    for places in PLACES.values():
        for place in places:
            assert (PACKAGE / place).exists(), place


@pytest.mark.parametrize(
    ("path", "source", "reason"),
    [
        ("wire.py", "from pbactors.heartbeat import encode", "stands beside"),
        ("wire.py", "def late():\n    from pbactors import client", "stands above"),
        ("client.py", "from pbactors import node", "stands beside"),
        ("client.py", "from pbactors import StateMachine", "__init__ stands above"),
        ("client.py", "import pbactors", "__init__ stands above"),
        ("protocol/core.py", "from ..wire import decode", "stands above"),
        ("protocol/core.py", "from . import messages\nimport time", "takes only"),
        ("protocol/core.py", "import msgpack", "takes only"),
        ("actors/client.py", "import zmq.asyncio", "belongs into transport/zeromq.py"),
        ("transport/memory.py", "import zmq", "belongs into transport/zeromq.py"),
        ("cli/up.py", "import pykka", "belongs into"),
        ("node.py", "from requests import get", "no library of this project"),
        ("values/packing.py", "import pickle", "may run code"),
        ("values/packing.py", "eval('1')", "may run code"),
        ("sideboard.py", "", "stands on no layer"),
    ],
)
def test_a_breach_is_found(path: str, source: str, reason: str) -> None:
    found = violations(path, source)
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("wire.py", "from pbactors.protocol.messages import Ping\nimport msgpack"),
        ("protocol/core.py", "from . import messages\nfrom pbactors.config import Timing"),
        ("transport/zeromq.py", "from pbactors.transport.wakeup import WakeUp\nimport zmq"),
        ("config.py", "from pbactors.errors import PbactorsError"),
        ("__main__.py", "from pbactors.cli import main"),
        ("client.py", "import re\nre.compile('x')"),
    ],
)
def test_what_is_allowed_is_not_refused(path: str, source: str) -> None:
    assert violations(path, source) == []

"""Runs ``pbactors`` as a shell does, in a process of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.processes import PBACTORS, Process, children_of, running, wait_until


class Finished(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


def pbactors(*words: str | Path, cwd: Path | None = None) -> Finished:
    """Run a command to its end."""
    with running([*PBACTORS, *words], cwd=cwd) as process:
        code = process.wait()
        return Finished(code, process.stdout, process.stderr)


def result_of(*words: str | Path, cwd: Path | None = None) -> Any:
    """Run a command that must succeed, and return the JSON that it prints."""
    finished = pbactors(*words, cwd=cwd)
    assert finished.exit_code == 0, finished
    return json.loads(finished.stdout)


def status_of(topology: Path) -> Any:
    """Return what ``status --json`` prints, whatever its exit code."""
    return json.loads(pbactors("status", topology, "--json").stdout)


@contextmanager
def up(topology: Path, cwd: Path | None = None) -> Iterator[Process]:
    """Run ``pbactors up`` until the block ends; begins once a view with a backup stands."""
    with running([*PBACTORS, "up", topology], cwd=cwd) as process:
        process.wait_for("The cluster serves")
        process.wait_for("  kill -9")
        yield process


def pids_of(process: Process) -> dict[str, int]:
    """Return the process ids of the nodes that ``pbactors up`` has started, by name."""
    found = {}
    for pid, words in children_of(process.pid).items():
        if "node" in words:
            found[words[words.index("node") + 2]] = pid
    return found


def view_of(topology: Path) -> dict[str, Any]:
    """Wait until the view is acknowledged and has a backup, and return it."""

    def found() -> dict[str, Any] | None:
        view: dict[str, Any] = status_of(topology)["view"]
        return view if view["acked"] and view["backup"] else None

    return wait_until(found, what="an acknowledged view with a backup") or {}


def example_in(help_text: str) -> list[str]:
    """Return the words of the example in a command's help, without the program's name."""
    (line,) = re.findall(r"Example:\n +pbactors (.*)\n", help_text)
    return str(line).split()

"""What several commands take and print alike."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pbactors.machines import StateMachine
from pbactors.node import load_machine
from pbactors.topology import Topology

__all__ = [
    "class_of",
    "clock",
    "command_line",
    "refuse_missing_folders",
    "topology_argument",
    "write_nowhere",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def topology_argument(function: Function) -> Function:
    """Give a command its first argument, the path of a topology file."""
    return click.argument("topology", type=click.Path())(function)


def class_of(topology: Topology) -> type[StateMachine]:
    """Import the class that a topology names; what its module prints goes to stderr.

    Raises:
        MachineUnavailable: it cannot be imported, or is no ``StateMachine``.
    """
    with contextlib.redirect_stdout(sys.stderr):
        return load_machine(topology)


def command_line(command: str, topology: Topology, *words: str) -> str:
    """Return a command to copy into any shell, whatever folder and environment that is in.

    Args:
        command: for example ``status``.
        topology: its file is the first argument, as an absolute path.
        words: what follows; shell syntax stays.
    """
    return " ".join((_program(), command, shlex.quote(str(topology.path)), *words))


def _program() -> str:
    """Return how to start this program again from another shell."""
    called = Path(sys.argv[0]).absolute()
    if called.name == "__main__.py":  # python -m pbactors
        called = Path(sys.executable).with_name("pbactors")
    found = shutil.which("pbactors")
    if found is not None and called.exists() and Path(found).samefile(called):
        return "pbactors"
    if called.exists():
        return shlex.quote(str(called))
    return f"{shlex.quote(sys.executable)} -m pbactors"


def clock(time_s: float) -> str:
    """Return the local time of day with milliseconds.

    Args:
        time_s: unix time in seconds.
    """
    milliseconds = int(time_s * 1000) % 1000
    return f"{time.strftime('%H:%M:%S', time.localtime(time_s))}.{milliseconds:03}"


def write_nowhere() -> None:
    """Let stdout go nowhere, once nobody reads it; also what the interpreter writes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def refuse_missing_folders(*paths: Path | None) -> None:
    """Find out before long work what would spoil its end.

    Raises:
        click.UsageError: a folder to write into is not there.
    """
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise click.UsageError(f"{path}: there is no folder {str(path.parent)!r}")

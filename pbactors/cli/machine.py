"""The argument MACHINE of commands that need no topology: a class, spelled ``module:Class``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pbactors.errors import MachineUnavailable
from pbactors.machines import StateMachine
from pbactors.machines.loading import import_machine

__all__ = ["machine_argument", "machine_named"]

Function = TypeVar("Function", bound=Callable[..., Any])


def machine_argument(function: Function) -> Function:
    """Give a command its first argument, the spelling of a class."""
    return click.argument("machine", metavar="MACHINE")(function)


def machine_named(spelling: str) -> type[StateMachine]:
    """Import a class; modules are looked for in the current folder too. What they print goes to
    stderr.

    Raises:
        click.UsageError: there is no such class, or nobody could replicate it.
    """
    if spelling.count(":") != 1 or not all(spelling.split(":")):
        raise click.UsageError(
            f"MACHINE is {spelling!r}. Expected module:Class, "
            "for example pbactors.machines.kv:KeyValueStore"
        )
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return import_machine(spelling, Path.cwd(), f"MACHINE = {spelling!r}")
        except MachineUnavailable as error:
            raise click.UsageError(str(error)) from None

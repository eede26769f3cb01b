"""What commands that need no topology take: a class, spelled ``module:Class``, and its load."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pbactors.errors import MachineUnavailable, WorkloadUnavailable
from pbactors.machines import StateMachine
from pbactors.machines.loading import import_machine
from pbactors.workload import WORKLOADS, Workload, workload_for

__all__ = ["machine_argument", "machine_named", "workload_named", "workload_option"]

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


def workload_option(function: Function) -> Function:
    """Give a command the option that chooses among the reference workloads."""
    return click.option(
        "--workload",
        metavar="NAME",
        help=f"A reference workload ({', '.join(WORKLOADS)}) instead of the class's own.",
    )(function)


def workload_named(machine: type[StateMachine], name: str | None) -> Workload:
    """Return the reference workload of that name, or the class's own.

    Raises:
        click.UsageError: there is none of that name, or it calls another class.
    """
    if name is None:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # a class without one is tried out
                return workload_for(machine)
        except WorkloadUnavailable as error:
            raise click.UsageError(str(error)) from None
        except (Exception, SystemExit) as error:
            raise click.UsageError(_cannot_be_tried(machine, error)) from error
    fitting = [known for known, load in WORKLOADS.items() if issubclass(machine, load.machine)]
    if name not in fitting:
        choice = ", ".join(fitting) or f"none fits {machine.__name__}; leave the option out"
        raise click.UsageError(f"--workload is {name!r}. Expected one of: {choice}")
    return WORKLOADS[name]


def _cannot_be_tried(machine: type[StateMachine], error: BaseException) -> str:
    """Return why a class cannot be called by anybody, from what it raised."""
    return (
        f"{machine.__name__} cannot be tried out, it raised {type(error).__name__}: {error}. "
        "Expected an __init__ that takes no arguments, commands and queries that may be called at "
        "any time, and a workload(), if there is one, that returns a Workload of this class"
    )

"""``pbactors check``: whether a topology file is right."""

from __future__ import annotations

import contextlib
import sys

import click

from pbactors.cli.arguments import class_of, topology_argument
from pbactors.errors import MachineUnavailable, PbactorsError, TopologyError
from pbactors.machines import StateMachine
from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.state_machine import interface
from pbactors.topology import Topology, load

__all__ = ["check"]


@click.command(short_help="Check a topology file, and report every mistake in it at once.")
@topology_argument
def check(topology: str) -> None:
    """Report every mistake in TOPOLOGY at once, each with its line and an example that works.

    Also imports the class to replicate, makes an object of it and copies that. Starts nothing and
    connects to nothing.

    \b
    Example:
      pbactors check topology/local.toml
    """
    plan = load(topology)
    try:
        machine = class_of(plan)
    except MachineUnavailable as error:
        raise TopologyError([str(error)]) from None
    reason = refuse_machine(machine, plan)
    if reason is not None:
        raise TopologyError([f"{plan.path}: cluster.machine = {plan.machine!r}: {reason}"])
    replicas = ", ".join(node.name for node in plan.replicas)
    click.echo(f"{topology} is right.")
    click.echo(f"  cluster      {plan.name}")
    click.echo(f"  view server  {plan.view_server.name}; its memory is {plan.state_dir}")
    click.echo(f"  replicas     {replicas}")
    click.echo(f"  replicates   {plan.machine}: {', '.join(interface(machine))}")


def refuse_machine(machine: type[StateMachine], topology: Topology) -> str | None:
    """Return why no node could use the class, or None. What it prints goes to stderr."""
    name = machine.__name__
    if not interface(machine):
        return f"{name} has nothing to call: mark methods with @pbactors.command or @pbactors.query"
    with contextlib.redirect_stdout(sys.stderr):
        try:
            original = ReplicatedMachine(machine, topology.limits.result_bytes_max)
            copy = original.blank()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the user's __init__
            return (
                f"{name}() raised {type(error).__name__}: {error}. "
                "Expected an __init__ that takes no arguments and does the same everywhere"
            )
        try:
            for piece in original.snapshot(topology.limits.snapshot_piece_bytes_max):
                copy.load(piece)
            copy.loaded()
        except PbactorsError as error:
            return f"the state of a new {name} cannot be copied: {error}"
    return None

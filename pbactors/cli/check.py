"""``pbactors check``: whether a topology file is right."""

from __future__ import annotations

import click

from pbactors.cli.arguments import class_of, topology_argument
from pbactors.errors import MachineUnavailable, TopologyError
from pbactors.machines.state_machine import interface
from pbactors.topology import load

__all__ = ["check"]


@click.command(short_help="Check a topology file, and report every mistake in it at once.")
@topology_argument
def check(topology: str) -> None:
    """Report every mistake in TOPOLOGY at once, each with its line and an example that works.

    Also imports the class to replicate. Starts nothing and connects to nothing.

    \b
    Example:
      pbactors check topology/local.toml
    """
    plan = load(topology)
    try:
        machine = class_of(plan)
    except MachineUnavailable as error:
        raise TopologyError([str(error)]) from None
    replicas = ", ".join(node.name for node in plan.replicas)
    click.echo(f"{topology} is right.")
    click.echo(f"  cluster      {plan.name}")
    click.echo(f"  view server  {plan.view_server.name}; its memory is {plan.state_dir}")
    click.echo(f"  replicas     {replicas}")
    click.echo(f"  replicates   {plan.machine}: {', '.join(interface(machine)) or 'no methods'}")

"""``pbactors abandon``: give up a cluster whose state is lost, and form an empty one."""

from __future__ import annotations

import secrets
import sys
import time
from typing import Final

import click

from pbactors.abandon import send_abandon
from pbactors.cli.arguments import command_line, topology_argument
from pbactors.heartbeat import Record, ViewSummary
from pbactors.protocol.message import CLUSTER_BYTES
from pbactors.protocol.messages import Refused
from pbactors.protocol.tool_messages import Abandoned
from pbactors.topology import Topology, load
from pbactors.watch import ask_nodes, ask_view_server

__all__ = ["abandon"]

FIRST_VIEW_S: Final = 5.0
"""How long to wait for the first view of the new cluster."""

LOOK_S: Final = 0.05
"""How often to look whether it is there."""


@click.command(short_help="Give up a cluster whose state is lost, and form an empty one.")
@topology_argument
@click.option("--yes", "confirmed", is_flag=True, help="Do not ask, as in a script.")
def abandon(topology: str, confirmed: bool) -> None:
    """Give up the cluster of TOPOLOGY and form a new, empty one in its place.

    For a cluster that is stuck because the last holder of its state is gone. Says what is lost and
    asks first. Refused while anyone who holds the state may be alive: nothing is lost then.

    \b
    Example:
      pbactors abandon topology/local.toml --yes
    """
    plan = load(topology)
    records = ask_nodes(plan)
    view_server = records.get(plan.view_server.name)
    if view_server is None:
        raise click.ClickException(
            f"view server {plan.view_server.name} does not answer at {plan.view_server.address}; "
            f"it alone can give up the cluster. To continue it:\n"
            f"  {command_line('node', plan, plan.view_server.name)}\n"
            f"To form a new, empty cluster in its place, end all replicas and start it with --new."
        )
    click.echo(losses(plan, view_server, records), err=True)
    if not confirmed:
        confirm(plan)
    successor = secrets.token_bytes(CLUSTER_BYTES)
    cluster = bytes.fromhex(view_server.cluster)
    form(plan, cluster, successor)
    replicas = [node.name for node in plan.replicas]
    send_abandon(plan, replicas, cluster, successor)
    report(plan, successor)


def losses(topology: Topology, view_server: Record, records: dict[str, Record]) -> str:
    """Return what is given up, in words."""
    view = view_server.view
    lines = [f"Cluster {topology.name!r}, id {view_server.cluster}: {view_server.state}."]
    if view.primary is None:
        return f"{lines[0]} It has no view yet, so there is nothing to lose."
    holders = " and ".join(name for name in holders_of(view) if name)
    lines.append(
        f"Its last view is {view.number}; the state was held by {holders}. "
        "Giving it up loses everything that the cluster was told."
    )
    known = [record.op for record in records.values() if record.cluster == view_server.cluster]
    operations = max(known, default=0)
    if operations:
        lines.append(f"At least {operations} operations were executed.")
    return "\n".join(lines)


def holders_of(view: ViewSummary) -> tuple[str | None, ...]:
    """Return who was to hold the state; a backup only once the view is acknowledged."""
    return (view.primary, view.backup) if view.acked else (view.primary,)


def confirm(topology: Topology) -> None:
    """Ask a person.

    Raises:
        UsageError: nobody is there to be asked.
        ClickException: the answer is no.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked; --yes gives it up without asking")
    if not click.confirm(f"Give up cluster {topology.name!r}?", err=True):
        raise click.ClickException("nothing was done")


def form(topology: Topology, cluster: bytes, successor: bytes) -> None:
    """Have the view server form the new cluster.

    Raises:
        ClickException: it refuses, or does not answer.
    """
    name = topology.view_server.name
    match send_abandon(topology, [name], cluster, successor, timeout_s=2.0).get(name):
        case Abandoned(view):
            click.echo(f"Gave up the cluster after its view {view}; formed {successor.hex()}.")
        case Refused(text=text):
            raise click.ClickException(f"{name} refuses: {text}")
        case _:
            raise click.ClickException(
                f"{name} did not answer: whether it gave up the cluster shows in\n"
                f"  {command_line('status', topology)}"
            )


def report(topology: Topology, successor: bytes) -> None:
    """Print the first view of the new cluster, and who did not come along."""
    record = first_view(topology, successor)
    if record is None:
        click.echo("No replica has volunteered yet; the first that does becomes primary.", err=True)
    else:
        backup = record.view.backup
        click.echo(
            f"View {record.view.number}: primary {record.view.primary}, "
            f"{'no backup yet' if backup is None else f'backup {backup}'}. It is empty."
        )
    for name, left in ask_nodes(topology).items():
        if left.cluster not in ("", successor.hex()):
            click.echo(f"{name} still belongs to the cluster that is gone: restart it", err=True)


def first_view(topology: Topology, successor: bytes) -> Record | None:
    """Wait for the first view of the new cluster; None if there is none in time."""
    until_s = time.monotonic() + FIRST_VIEW_S
    while time.monotonic() < until_s:
        record = ask_view_server(topology)
        if record is not None and record.cluster == successor.hex() and record.view.number:
            return record
        time.sleep(LOOK_S)
    return None

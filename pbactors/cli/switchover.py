"""``pbactors switchover``: let another replica be primary, for planned work."""

from __future__ import annotations

import json
import time
from typing import Final

import click

from pbactors.cli.arguments import command_line, topology_argument
from pbactors.heartbeat import Record
from pbactors.protocol.messages import Refused
from pbactors.switchover import send_switch_over
from pbactors.topology import Topology, load
from pbactors.watch import ask_view_server

__all__ = ["switchover"]

LOOK_S: Final = 0.02
"""How often to look whether it is done."""


@click.command(short_help="Let another replica be primary, without a failed call.")
@topology_argument
@click.option("--to", metavar="NODE", help="Which replica. [the backup]")
@click.option(
    "--timeout",
    "timeout_s",
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="How long to wait until it is done.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def switchover(topology: str, to: str | None, timeout_s: float, as_json: bool) -> None:
    """Move the primary role of TOPOLOGY to another replica.

    The primary finishes what is under way, its backup takes over, and clients go on there; no call
    fails. An idle replica is made backup first, and filled, which takes as long as the state is
    large.

    \b
    Examples:
      pbactors switchover topology/local.toml
      pbactors switchover topology/local.toml --to c --timeout 60
    """
    plan = load(topology)
    names = [replica.name for replica in plan.replicas]
    if to is not None and to not in names:
        raise click.UsageError(
            f"--to names a replica: expected one of {', '.join(names)}, got {to!r}; "
            f"for example: --to {names[0]}"
        )
    before = ask_view_server(plan)
    if before is None:
        view_server = plan.view_server
        raise click.ClickException(
            f"view server {view_server.name} does not answer at {view_server.address}; "
            "it alone can move the primary role"
        )
    if to is not None and before.view.primary == to:
        tell(to, before, before, as_json)
        return
    until_s = time.monotonic() + timeout_s
    wanted = wish(plan, to or "", before)
    while time.monotonic() < until_s:
        after = ask_view_server(plan)  # it may be away for a moment
        if (
            after is not None
            and after.view.number > before.view.number
            and after.view.primary == wanted
        ):
            tell(wanted, before, after, as_json)
            return
        time.sleep(LOOK_S)
    raise click.ClickException(
        f"{wanted} is not primary after {timeout_s:g} s; the view server may still try. Look at\n"
        f"  {command_line('status', plan)}"
    )


def wish(topology: Topology, to: str, before: Record) -> str:
    """Tell the view server, and return who is to be primary.

    Raises:
        ClickException: it refuses, or does not answer.
    """
    answer = send_switch_over(topology, to, bytes.fromhex(before.cluster))
    if isinstance(answer, Refused):
        raise click.ClickException(f"cannot switch over: {answer.text}")
    wanted = to or before.view.backup
    if answer is None or wanted is None:
        raise click.ClickException(
            f"{topology.view_server.name} did not answer: whether it tries shows in\n"
            f"  {command_line('status', topology)}"
        )
    return wanted


def tell(wanted: str, before: Record, after: Record, as_json: bool) -> None:
    """Print who is primary now."""
    if as_json:
        view = after.view
        click.echo(json.dumps({"view": view.number, "primary": wanted, "backup": view.backup}))
    elif after.view.number == before.view.number:
        click.echo(f"{wanted} is primary of view {after.view.number} already.")
    else:
        click.echo(
            f"{wanted} is primary of view {after.view.number} now; {before.view.primary} was."
        )

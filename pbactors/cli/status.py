"""``pbactors status``: who is what, at a glance or as JSON."""

from __future__ import annotations

import importlib
import json
import threading
from typing import Final

import click

from pbactors.cli.arguments import topology_argument
from pbactors.cli.cluster_status import ClusterStatus, NodeStatus, status_of
from pbactors.heartbeat import ViewSummary
from pbactors.topology import load
from pbactors.watch import ask_nodes

__all__ = ["status"]

TIMEOUT_S: Final = 0.5
"""How long to wait for nodes that do not answer, so that the whole takes less than a second."""

UNREAD_WIDTH: Final = 160
"""Columns of a table that goes into a file or a pipe."""


@click.command(short_help="Show who is primary and backup, and how every node is.")
@topology_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def status(topology: str, as_json: bool) -> int:
    """Ask every node of TOPOLOGY what it is.

    Answers within a second, also when nodes or the view server are down, and says so. Exit code 0
    if calls are served, 1 if not.

    \b
    Example:
      pbactors status topology/local.toml --json
    """
    plan = load(topology)
    if not as_json:  # time that would be spent waiting for answers anyway
        threading.Thread(target=importlib.import_module, args=("rich.table",)).start()
    found = status_of(plan, ask_nodes(plan, TIMEOUT_S))
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        show(found)
    return 0 if found.serves else 1


def show(found: ClusterStatus) -> None:
    """Print a status for people."""
    # Imported here, since no other command needs it and every start of a node would wait for it.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNREAD_WIDTH)
    identity = "id unknown" if found.cluster is None else f"id {found.cluster}"
    console.print(f"cluster {found.cluster_name} ({identity})", markup=False)
    console.print(view_line(found.view, found.source), markup=False)
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("node", "role", "state"):
        table.add_column(title)
    for title in ("view", "op", "ops/s", "copies", "alive"):
        table.add_column(title, justify="right")
    for node in found.nodes:
        style = "" if node.alive and not node.stuck else "red"
        table.add_row(*(Text(cell) for cell in cells(node)), style=style)
    console.print(table)
    for problem in found.problems:
        # Commands to copy stand in some of them, so the terminal may break lines, but rich not.
        console.print(f"! {problem}", markup=False, style="red", soft_wrap=True)


def view_line(view: ViewSummary, source: str | None) -> str:
    """Return the view in words."""
    if view.primary is None:
        return "no view yet" if source is not None else "view unknown"
    backup = "no backup" if view.backup is None else f"backup {view.backup}"
    acked = "acknowledged" if view.acked else "not acknowledged yet"
    return f"view {view.number}: primary {view.primary}, {backup}, {acked}"


def cells(node: NodeStatus) -> list[str]:
    """Return a node's row of the table."""
    rate = None if node.operations_per_second is None else f"{node.operations_per_second:.0f}"
    shown = (node.role, node.state, node.view, node.op, rate, node.copies)
    return [
        node.name,
        *("-" if cell is None else str(cell) for cell in shown),
        "yes" if node.alive else "NO",
    ]

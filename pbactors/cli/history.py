"""``pbactors history``: every view, why it followed, and for how long nobody was served."""

from __future__ import annotations

import json
import time
from typing import Final

import click

from pbactors.cli.arguments import topology_argument
from pbactors.topology import load
from pbactors.view_store import HistoryEntry
from pbactors.watch import ask_history

__all__ = ["history"]

UNREAD_WIDTH: Final = 160
"""Columns of a table that goes into a file or a pipe."""


@click.command(short_help="Show every view, why it followed, and what it cost.")
@topology_argument
@click.option(
    "--last", "count", type=click.IntRange(min=1), metavar="N", help="Only the last N views."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def history(topology: str, count: int | None, as_json: bool) -> None:
    """Ask the view server of TOPOLOGY for its history of views.

    It remembers 10,000 of them, also when it was started again. "Without service" is for how long
    clients were not answered, as far as the view server could see by pings; a dash where it could
    not.

    \b
    Example:
      pbactors history topology/local.toml --last 20
    """
    plan = load(topology)
    entries = ask_history(plan)
    if entries is None:
        raise click.ClickException(
            f"view server {plan.view_server.name} does not answer at {plan.view_server.address}; "
            "it keeps the history"
        )
    entries = entries[-count:] if count else entries
    if as_json:
        click.echo(json.dumps({"views": [entry._asdict() for entry in entries]}, indent=2))
    elif entries:
        show(entries)
    else:
        click.echo("There was no view yet.")


def show(entries: list[HistoryEntry]) -> None:
    """Print a history for people."""
    # Imported here, since no other command needs it and every start of a node would wait for it.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNREAD_WIDTH)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("view", justify="right")
    for title in ("time", "primary", "backup", "cause"):
        table.add_column(title)
    table.add_column("without service", justify="right")
    for entry in entries:
        table.add_row(*(Text(cell) for cell in cells(entry)))
    console.print(table)


def cells(entry: HistoryEntry) -> tuple[str, ...]:
    """Return the cells of a row."""
    lost_ms = entry.without_service_ms
    second = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at_ms / 1000))
    return (
        str(entry.number),
        f"{second}.{entry.at_ms % 1000:03d}",
        entry.primary,
        entry.backup or "-",
        f"{entry.node}: {entry.cause}",
        "-" if lost_ms is None else f"{lost_ms} ms",
    )

"""``pbactors tail``: the heartbeats of all nodes as they come."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from pbactors import watch
from pbactors.cli.arguments import clock, topology_argument, write_nowhere
from pbactors.topology import load

__all__ = ["tail"]

SILENCE_S: Final = 2.0
"""After how long without any heartbeat a person is told; nodes publish more often than that."""


@click.command(short_help="Follow the heartbeats of all nodes.")
@topology_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N heartbeats.")
def tail(topology: str, as_json: bool, count: int | None) -> None:
    """Print one line for each heartbeat of a node of TOPOLOGY, until Ctrl-C.

    Nodes that are not there yet are heard once they are; until one is, a line on stderr says so.
    Heartbeats that were lost on the way are reported with the next one of that node.

    \b
    Example:
      pbactors tail topology/local.toml --count 5
    """
    plan = load(topology)
    try:
        with silence_is_told(plan.name) as heard:
            for beat in itertools.islice(watch.tail(plan), count):
                heard()
                click.echo(json_line(beat) if as_json else text_line(beat))
    except KeyboardInterrupt:
        pass  # the ordinary end
    except BrokenPipeError:  # as in "| head": what is not written yet goes nowhere
        write_nowhere()


@contextmanager
def silence_is_told(name: str) -> Iterator[Callable[[], None]]:
    """Say once on stderr that no node is heard, unless the function that this gives is called."""

    def tell() -> None:
        click.echo(f"no node of cluster {name!r} is heard yet; waiting for one", err=True)

    timer = threading.Timer(SILENCE_S, tell)
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def json_line(beat: watch.Beat) -> str:
    """Return the record as it was published, and what was missed before it."""
    line = {**beat.record.to_dict(), "missed": beat.missed, "restarted": beat.restarted}
    return json.dumps(line)


def text_line(beat: watch.Beat) -> str:
    """Return a line for people."""
    record = beat.record
    view = record.view
    backup = "no backup" if view.backup is None else f"backup {view.backup}"
    who = f"primary {view.primary}, {backup}" if view.primary else "nobody"
    parts = [
        f"{clock(record.time)}  {record.node:<8} {record.role:<11} {record.state}",
        f"view {view.number}: {who}",
    ]
    if record.role != "view_server":
        parts.append(f"op {record.op}")
        parts.append(f"{record.operations_per_second:.0f}/s")
    if beat.restarted:
        parts.append("RESTARTED")
    if beat.missed:
        parts.append(f"MISSED {beat.missed}")
    return " | ".join(parts)

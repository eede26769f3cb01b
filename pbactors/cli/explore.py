"""``pbactors explore``: every order of messages, losses, timers and crashes, within bounds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from pbactors.cli.arguments import refuse_missing_folders
from pbactors.cli.machine import (
    machine_argument,
    machine_named,
    workload_named,
    workload_option,
)
from pbactors.cli.progress import counting
from pbactors.explore import Bounds, Found, NotFormed, Scenario, loads_from, tell
from pbactors.protocol.core import Timer
from pbactors.trace import page, text

__all__ = ["explore"]

REPLICAS: Final = "abcdefgh"

Function = TypeVar("Function", bound=Callable[..., Any])


def _count(
    name: str, default: int, text: str, most: int | None = None, least: int = 0
) -> Callable[[Function], Function]:
    """Return an option that takes a number."""
    kind = click.IntRange(min=least, max=most)
    return click.option(
        f"--{name}", type=kind, default=default, show_default=True, metavar="N", help=text
    )


@click.command(short_help="Try every order of messages, losses, timers and crashes on a class.")
@machine_argument
@workload_option
@_count("replicas", 2, "How many replicas.", most=len(REPLICAS), least=1)
@_count("clients", 1, "How many clients.", most=8, least=1)
@_count("calls", 2, "How many calls each of them makes.", least=1)
@_count("seed", 0, "Of the choice of calls.")
@click.option(
    "--begin",
    type=click.Choice(["formed", "nothing"]),
    default="formed",
    show_default=True,
    help="Where to begin: in a view with primary and backup, or with nodes that just started.",
)
@_count("pings", 1, "How often each replica's ping timer may fire.")
@_count("checks", 1, "How often the view server may check pings.")
@_count("resends", 1, "How often each primary's resend timer may fire.")
@_count("retries", 1, "How often each client's retry timer may fire.")
@_count("restarts", 0, "How often each replica may crash and start again, empty.")
@_count("view-server-restarts", 0, "How often the view server may crash and start again.")
@_count("naps", 0, "How often the view server may notice that it slept.")
@_count("losses", 0, "How often the view server may lose a connection to a replica, or seem to.")
@_count("confirms", 6, "The highest confirm number of a primary.", least=1)
@click.option("--views", type=click.IntRange(min=1), metavar="N", help="The highest view number.")
@click.option(
    "--order", type=click.Choice(["breadth", "depth"]), default="breadth", show_default=True
)
@click.option("--states", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0), metavar="S", help="End after this time.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the way to a broken promise.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def explore(
    machine: str, workload: str | None, picture: Path | None, as_json: bool, **options: Any
) -> int:
    """Visit every state that a small cluster of MACHINE can get into, and check each.

    MACHINE is a class, spelled module:Class; modules are looked for in the current folder too.
    Messages may be lost, late, repeated and out of order any number of times; what would have no
    end is bounded by the options. "Exhausted" means: within these bounds nothing is left.

    Exit code 1 if a promise breaks; the way there is printed.

    \b
    Example:
      pbactors explore pbactors.machines.kv:KeyValueStore --calls 1 --restarts 1
    """
    refuse_missing_folders(picture)
    cls = machine_named(machine)
    load = workload_named(cls, workload)
    loads = loads_from(load, options["clients"], options["calls"], options["seed"])
    scenario = Scenario(cls, load, loads, replicas=REPLICAS[: options["replicas"]])
    bounds = _bounds(options)
    if not as_json:
        _introduce(scenario, bounds)
    began_s = time.monotonic()
    seen = 0

    def note(states: int) -> None:
        nonlocal seen
        seen = states
        progress(states)

    try:
        with counting("states", options["states"]) as progress:
            found = _explore(scenario, bounds, options, note)
    except KeyboardInterrupt:
        click.echo(f"verdict   interrupted after {seen:,} states; no promise broke", err=as_json)
        raise click.Abort from None
    seconds = time.monotonic() - began_s
    if as_json:
        click.echo(json.dumps(_to_dict(found, seconds), indent=2))
    else:
        _report(scenario, found, seconds)
    if found.violation is None:
        return 0
    if picture is not None:
        drawn = page.render(tell(scenario.space, found), machine)
        picture.write_text(drawn, encoding="utf-8")
        click.echo(f"The picture is {picture}.", err=True)
    return 1


def _bounds(options: dict[str, Any]) -> Bounds:
    return Bounds(
        timers={
            Timer.PING: options["pings"],
            Timer.PING_CHECK: options["checks"],
            Timer.RESEND: options["resends"],
            Timer.RETRY: options["retries"],
        },
        restarts=options["restarts"],
        view_server_restarts=options["view_server_restarts"],
        naps=options["naps"],
        losses=options["losses"],
        confirms=options["confirms"],
        views=options["views"],
    )


def _introduce(scenario: Scenario, bounds: Bounds) -> None:
    """Say what will be explored."""
    click.echo(f"nodes     {', '.join(scenario.space.names)}")
    for client, calls in scenario.loads.items():
        click.echo(f"{client}  {', '.join(map(str, calls))}")
    click.echo(f"bounds    {bounds}")


def _explore(
    scenario: Scenario,
    bounds: Bounds,
    options: dict[str, Any],
    progress: Callable[[int], None],
) -> Found:
    """Lead the cluster to where it shall begin, and search from there."""
    members = scenario.replicas[:2] if options["begin"] == "formed" else ()
    try:
        start = scenario.formed(*members, heard=scenario.replicas[2:] if members else ())
    except NotFormed as error:
        if error.found.violation is None:
            raise
        return error.found
    return scenario.search(
        [start],
        bounds,
        order=options["order"],
        states_max=options["states"],
        seconds_max=options["seconds"],
        progress=lambda states, _: progress(states),
    )


def _report(scenario: Scenario, found: Found, seconds: float) -> None:
    """Print what was found, for a person."""
    rate = found.states / seconds if seconds else 0
    click.echo(
        f"states    {found.states:,} in {found.moves:,} moves, {rate:,.0f} a second; "
        f"{found.pruned:,} moves would have gone beyond the bounds"
    )
    if found.violation is not None:
        click.echo(text.render(tell(scenario.space, found)))
        click.echo(f"BROKEN    {found.violation}")
        click.echo(f"          after {len(found.path)} steps; the same command finds it again")
    elif found.exhausted:
        click.echo("verdict   every promise holds in every state within these bounds: exhausted")
    else:
        click.echo(
            f"verdict   every promise holds in these states; not exhausted: it ended at depth "
            f"{found.depth} (--states, --seconds)"
        )


def _to_dict(found: Found, seconds: float) -> dict[str, object]:
    """Return what was found, for a program."""
    return {
        "states": found.states,
        "moves": found.moves,
        "depth": found.depth,
        "pruned": found.pruned,
        "exhausted": found.exhausted,
        "violation": found.violation,
        "path": [str(action) for action in found.path] if found.violation else [],
        "seconds": round(seconds, 3),
    }

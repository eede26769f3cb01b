"""``pbactors trace``: a picture of what a cluster does."""

from __future__ import annotations

import math
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import click

from pbactors.cli.arguments import refuse_missing_folders
from pbactors.cli.endings import signals_as_events
from pbactors.cli.progress import counting
from pbactors.record import Recording, record
from pbactors.topology import Topology, load
from pbactors.trace import Trace, file, page

__all__ = ["trace"]

SECONDS_MAX: Final = 3600.0

_written = click.Path(dir_okay=False, path_type=Path)


def _seconds(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not 0 < value <= SECONDS_MAX:  # also refuses nan
        raise click.BadParameter(f"Expected more than 0 and at most {SECONDS_MAX:g}, for example 5")
    return value


@click.command(short_help="Record what all nodes send and receive, and draw it.")
@click.argument("topology", type=click.Path(), required=False)
@click.option(
    "--seconds",
    type=float,
    callback=_seconds,
    default=10.0,
    show_default=True,
    metavar="N",
    help="For how long to record; Ctrl-C ends it earlier.",
)
@click.option(
    "--out",
    type=_written,
    default=Path("trace.html"),
    show_default=True,
    help="Where to write the page.",
)
@click.option("--json", "as_lines", type=_written, help="Write the trace too, as JSON lines.")
@click.option("--from", "source", type=_written, help="Draw a trace that was written before.")
def trace(
    topology: str | None, seconds: float, out: Path, as_lines: Path | None, source: Path | None
) -> int:
    """Record the cluster of TOPOLOGY for a while, and write one HTML page that shows it.

    The nodes go on serving; they record only while they are asked to. With --from nothing is
    recorded: a trace that --json wrote before is drawn.

    \b
    Example:
      pbactors trace topology/local.toml --seconds 1
    """
    if (topology is None) == (source is None):
        raise click.UsageError(
            "Expected either TOPOLOGY or --from FILE, for example: "
            "pbactors trace topology/local.toml --seconds 5"
        )
    refuse_missing_folders(out, as_lines)
    _refuse_one_file_twice(out, as_lines, source)
    if source is not None:
        _write(_read(source), source.name, out, as_lines)
        return 0
    plan = load(topology or "")
    recording = _record(plan, seconds)
    if len(recording.silent) == len(plan.nodes):
        raise click.ClickException(
            f"no node of cluster {plan.name!r} answers, so nothing is written. Start it, for "
            f"example with: pbactors up {topology}"
        )
    _write(recording.trace, f"Cluster {plan.name}", out, as_lines)
    _complain(recording)
    return 0


def _refuse_one_file_twice(*paths: Path | None) -> None:
    given = [path.absolute() for path in paths if path is not None]
    for path in given:
        if given.count(path) > 1:
            raise click.UsageError(f"{path}: it is named twice. Expected a file for each option")


def _record(plan: Topology, seconds: float) -> Recording:
    click.echo(
        f"recording cluster {plan.name!r} for {seconds:g} s; Ctrl-C ends it earlier", err=True
    )
    signals: SimpleQueue[Any] = SimpleQueue()
    with signals_as_events(signals), counting("seconds", math.ceil(seconds)) as progress:
        return record(
            plan,
            seconds,
            stop=lambda: not signals.empty(),
            progress=lambda passed_s: progress(int(passed_s)),
        )


def _read(source: Path) -> Trace:
    try:
        return file.load(source)
    except OSError as error:
        raise click.UsageError(f"{source}: {error.strerror}") from error


def _write(found: Trace, title: str, out: Path, as_lines: Path | None) -> None:
    """Write the page, and the trace if asked for; say where they are."""
    seconds = found.moments[-1].time_ms / 1000 if found.moments else 0
    try:
        out.write_text(page.render(found, title), encoding="utf-8")
        click.echo(f"{out}: {len(found):,} moments in {seconds:.1f} s")
        if as_lines is not None:
            file.save(found, as_lines)
            click.echo(f"{as_lines}: the same as JSON lines")
    except OSError as error:
        where = error.filename or " or ".join(str(path) for path in (out, as_lines) if path)
        raise click.ClickException(f"{where}: {error.strerror}") from error


def _complain(recording: Recording) -> None:
    """Say what is not in the picture."""
    for name in recording.silent:
        click.echo(f"! {name} did not answer; what others sent to it is drawn", err=True)
    for name, count in recording.missed.items():
        text = f"! {count:,} moments of {name} came faster than they could be fetched"
        click.echo(text, err=True)

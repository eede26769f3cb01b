"""``pbactors sim``: whole runs of a class in virtual time, with faults of every kind."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Final

import click

from pbactors.cli.arguments import refuse_missing_folders
from pbactors.cli.machine import machine_argument, machine_named, workload_named, workload_option
from pbactors.cli.progress import counting
from pbactors.machines import StateMachine
from pbactors.sim import (
    OPERATIONS,
    Campaign,
    Plan,
    Report,
    Tally,
    WorkerDied,
    minimise,
    simulate,
)
from pbactors.trace import page, text
from pbactors.workload import Workload

__all__ = ["sim"]

MINIMISING_RUNS: Final = 250
SEEDS: Final = 100


@click.command(short_help="Simulate a cluster of a class under faults of every kind.")
@machine_argument
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="How many runs. [100]")
@click.option("--first", type=click.IntRange(min=0), metavar="S", help="The first seed. [0]")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", help="Run this one, and tell it.")
@click.option("--plan", metavar="CHANGES", help="With --seed: what differs from the seed's plan.")
@click.option(
    "--operations",
    type=click.IntRange(min=1),
    default=OPERATIONS,
    show_default=True,
    metavar="K",
    help="Client operations of each run.",
)
@workload_option
@click.option("--jobs", type=click.IntRange(min=1), metavar="J", help="Processes. [one a core]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
@click.option("--trace", "tell", is_flag=True, help="With --seed: print everything that happened.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the run that breaks a promise.",
)
def sim(
    machine: str,
    seeds: int | None,
    first: int | None,
    seed: int | None,
    plan: str | None,
    operations: int,
    workload: str | None,
    jobs: int | None,
    as_json: bool,
    tell: bool,
    picture: Path | None,
) -> int:
    """Run clusters of MACHINE in virtual time, each from a seed, and judge every step.

    MACHINE is a class, spelled module:Class; modules are looked for in the current folder too.
    Each seed draws what goes wrong: lost, repeated and late messages, cut links, crashes, empty
    restarts, frozen nodes, a failing view store, and more. In the end all faults are ended, and
    the cluster must serve again, or say that it cannot.

    If a promise breaks, the run is made as small as it gets, told, and the command printed that
    replays it. Exit code 1 then.

    \b
    Examples:
      pbactors sim pbactors.machines.kv:KeyValueStore --seeds 200
      pbactors sim pbactors.machines.kv:KeyValueStore --seed 17 --plan 'clients=2 actions=3,7'
    """
    if seed is None and (plan is not None or tell):
        raise click.UsageError(
            "--plan and --trace tell of one run. Add --seed, for example --seed 17"
        )
    if seed is not None and (seeds is not None or first is not None):
        raise click.UsageError("--seed is one run; --seeds and --first are many. Give one of them")
    refuse_missing_folders(picture)
    cls = machine_named(machine)
    load = None if workload is None else workload_named(cls, workload)
    if load is None:
        workload_named(cls, None)  # a class that has none is refused before anything runs
    words = [machine]
    words += [] if workload is None else ["--workload", workload]
    words += [] if operations == OPERATIONS else ["--operations", str(operations)]
    show = _Show(cls, load, words, as_json, picture)
    if seed is not None:
        return show.one(_plan(seed, operations, plan), tell)
    first = first or 0
    campaign = Campaign(
        cls, range(first, first + (seeds or SEEDS)), operations, load, jobs or os.cpu_count() or 1
    )
    return show.many(campaign)


def _plan(seed: int, operations: int, changes: str | None) -> Plan:
    try:
        return Plan.draw(seed, operations).changed(changes or "")
    except ValueError as error:
        raise click.UsageError(f"--{error}") from None


class _Show:
    """Runs, and shows what came of it."""

    def __init__(
        self,
        machine: type[StateMachine],
        workload: Workload | None,
        words: list[str],
        as_json: bool,
        picture: Path | None,
    ) -> None:
        self._machine = machine
        self._workload = workload
        self._words = words
        self._as_json = as_json
        self._picture = picture

    # -- one seed -----------------------------------------------------------------------------

    def one(self, plan: Plan, tell: bool) -> int:
        """Run one plan, and tell it if it was asked for, or breaks a promise."""
        if not self._as_json:
            click.echo(plan)
        report = self._run(plan, tracing=tell or self._picture is not None)
        if report.violation is not None and report.trace is None:
            report = self._run(plan, tracing=True)
        self._draw(report)
        if self._as_json:
            click.echo(json.dumps(_report_dict(report, self._replay(report.plan)), indent=2))
        else:
            if report.trace is not None:
                click.echo(text.render(report.trace))
            click.echo(_line(report))
        return 0 if report.violation is None else 1

    def _run(self, plan: Plan, tracing: bool) -> Report:
        with redirect_stdout(sys.stderr):  # what the class prints
            return simulate(
                self._machine, plan.seed, plan=plan, workload=self._workload, tracing=tracing
            )

    def _draw(self, report: Report) -> None:
        if self._picture is not None and report.trace is not None:
            drawn = page.render(report.trace, f"{self._machine.__name__}, seed {report.plan.seed}")
            self._picture.write_text(drawn, encoding="utf-8")
            click.echo(f"The picture is {self._picture}.", err=True)

    def _replay(self, plan: Plan) -> str:
        """Return the command that runs this plan again."""
        operations = OPERATIONS
        if "--operations" in self._words:
            operations = int(self._words[self._words.index("--operations") + 1])
        words = ["pbactors", "sim", *self._words, "--seed", str(plan.seed)]
        changes = plan.changes_from(Plan.draw(plan.seed, operations))
        words += ["--plan", changes] if changes else []
        return shlex.join(words)

    # -- many seeds ---------------------------------------------------------------------------

    def many(self, campaign: Campaign) -> int:
        """Run many seeds; stop at the first ones that break a promise, and make one small."""
        if not self._as_json:
            click.echo(_introduction(campaign))
        tally = Tally()
        smallest: Report | None = None
        interrupted = not self._collect(campaign, tally)
        if not self._as_json:
            _print_table(tally, len(campaign.seeds), interrupted)
        if tally.broken and not interrupted:
            try:
                smallest = self._minimised(campaign, tally.broken[0][0])
            except KeyboardInterrupt:
                interrupted = True
        if self._as_json:
            self._print_json(tally, smallest, interrupted)
        elif tally.broken:
            self._tell_broken(tally.broken[0][0], smallest, interrupted)
        if smallest is not None:
            self._draw(smallest)
        if interrupted:
            raise click.Abort
        return 1 if tally.broken else 0

    def _collect(self, campaign: Campaign, tally: Tally) -> bool:
        """Add up the runs until a promise breaks. Returns False if a person ended that."""
        try:
            with (
                counting("schedules", len(campaign.seeds)) as progress,
                closing(campaign.run()) as tallies,
            ):
                while (one := _next(tallies)) is not None:
                    tally.add_all(one)
                    progress(tally.schedules)
                    if tally.broken:
                        break
        except KeyboardInterrupt:
            return False
        except WorkerDied as error:
            raise self._died(error) from error
        return True

    def _died(self, error: WorkerDied) -> click.ClickException:
        return click.ClickException(
            f"seed {error.item}: {error}. What the class does may have ended it, or its memory was "
            f"used up; run it alone: {self._whole(error.item)}"
        )

    def _whole(self, seed: int) -> str:
        """Return the command that runs the whole plan of a seed."""
        return shlex.join(["pbactors", "sim", *self._words, "--seed", str(seed)])

    def _minimised(self, campaign: Campaign, seed: int) -> Report | None:
        """Return the smallest run that breaks a promise; None if it breaks none this time."""
        with counting("runs to make it smaller", MINIMISING_RUNS) as progress:
            broken = self._run(Plan.draw(seed, campaign.operations), tracing=False)
            if broken.violation is None:
                return None
            with redirect_stdout(sys.stderr):
                smallest = minimise(
                    self._machine, broken, self._workload, MINIMISING_RUNS, progress
                )
        told = self._run(smallest.plan, tracing=True)
        return None if told.violation is None else told

    def _tell_broken(self, seed: int, smallest: Report | None, interrupted: bool) -> None:
        click.echo(f"in full   {self._whole(seed)}")
        if smallest is not None:
            click.echo("\nMade as small as it gets:")
            click.echo(smallest.plan)
            if smallest.trace is not None:
                click.echo(text.render(smallest.trace))
            click.echo(_line(smallest))
            click.echo(f"replay    {self._replay(smallest.plan)}")
        elif not interrupted:
            click.echo(
                "          it does not break each time: look in the class for random, time, uuid, "
                "id(), and the order of a set"
            )

    def _print_json(self, tally: Tally, smallest: Report | None, interrupted: bool) -> None:
        found: dict[str, object] = {
            "schedules": tally.schedules,
            "counted": tally.counted,
            "operations": tally.operations,
            "steps": tally.steps,
            "views": tally.views,
            "cpu_seconds": round(tally.cpu_s, 3),
            "operations_per_cpu_second": round(tally.operations_per_cpu_s),
            "outcomes": dict(tally.outcomes),
            "faults": dict(tally.faults.most_common()),
            "broken": [{"seed": seed, "violation": reason} for seed, reason in tally.broken],
            "interrupted": interrupted,
        }
        if smallest is not None:
            found["smallest"] = _report_dict(smallest, self._replay(smallest.plan))
        click.echo(json.dumps(found, indent=2))


def _next(tallies: Iterator[Tally]) -> Tally | None:
    """Return what the next seed came to; what the class prints goes to stderr."""
    with redirect_stdout(sys.stderr):
        return next(tallies, None)


def _introduction(campaign: Campaign) -> str:
    seeds = campaign.seeds
    return (
        f"seeds       {seeds[0]} to {seeds[-1]}, {campaign.operations} client operations each, "
        f"by {campaign.jobs} {'process' if campaign.jobs == 1 else 'processes'}"
    )


def _line(report: Report) -> str:
    told = "served again" if report.outcome == "served" else f"{report.outcome}, and said so"
    if report.violation is not None:
        return f"BROKEN    {report.violation}"
    return (
        f"verdict   every promise held: {told}; {report.operations} operations, {report.views} "
        f"views, {len(report.faults)} kinds of fault, digest {report.digest:08x}"
    )


def _report_dict(report: Report, replay: str) -> dict[str, object]:
    return {
        "seed": report.plan.seed,
        "plan": str(report.plan).splitlines(),
        "violation": report.violation,
        "outcome": report.outcome,
        "operations": report.operations,
        "answered": report.answered,
        "views": report.views,
        "faults": dict(report.faults.most_common()),
        "digest": f"{report.digest:08x}",
        "replay": replay,
    }


def _print_table(tally: Tally, planned: int, interrupted: bool) -> None:
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(tally.outcomes.items()))
    click.echo(f"schedules   {tally.schedules:,} ({tally.counted:,} counted): {outcomes or 'none'}")
    click.echo(
        f"operations  {tally.operations:,}, {tally.operations_per_cpu_s:,.0f} a core-second; "
        f"{tally.steps:,} steps"
    )
    click.echo(f"views       {tally.views:,}")
    for name, count in sorted(tally.faults.items(), key=lambda pair: (-pair[1], pair[0])):
        click.echo(f"  {count:>9,}  {name}")
    if tally.broken:
        seed, violation = tally.broken[0]
        click.echo(f"\nBROKEN    seed {seed}: {violation}")
    elif interrupted:
        click.echo(f"verdict     interrupted after {tally.schedules:,} of {planned:,} schedules")
    else:
        click.echo("verdict     every promise held")

"""``pbactors node``: one node in the foreground."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, TypeAlias

import click

from pbactors.cli.arguments import clock, topology_argument, write_nowhere
from pbactors.cli.endings import signals_as_events
from pbactors.cli.lifeline import end_with_parent
from pbactors.errors import PbactorsError
from pbactors.node import RunningNode, start_node
from pbactors.topology import load

__all__ = ["SERVES", "node"]

SERVES: Final = "serves"
"""How the line of a node that has started begins; ``pbactors up`` waits for it."""

LEAVE_TIMEOUT_S: Final = 5.0
"""For how long a node that is to end tries to give up its role. A supervisor that kills after ten
seconds, as most do, does not come before it."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something to tell people.

    Attributes:
        time_s: when it happened, unix time in seconds.
        text: usually one line.
    """

    time_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The node has stopped, by itself unless it was asked to."""


@dataclass(frozen=True, slots=True)
class Departed:
    """The node was asked to leave, and has, or time is over.

    Attributes:
        in_time: whether it has.
    """

    in_time: bool


@dataclass(frozen=True, slots=True)
class ParentGone:
    """The ``pbactors up`` that started this process has ended, however it did."""


Events: TypeAlias = SimpleQueue[Line | Stopped | Departed | ParentGone | signal.Signals]


@click.command(short_help="Start one node of a cluster in the foreground.")
@topology_argument
@click.argument("name")
@click.option(
    "--new",
    "form_new",
    is_flag=True,
    help="Form a new, empty cluster. For the view server alone.",
)
@click.option("--child", "is_child", is_flag=True, hidden=True)
def node(topology: str, name: str, form_new: bool, is_child: bool) -> None:
    """Start the node NAME of TOPOLOGY and stay with it.

    Prints a line when it serves, then one line per event. Ctrl-C ends it at once, with exit code 0.
    SIGTERM lets it leave in peace: a primary lets its backup take over first. A second signal ends
    it at once. A view server continues the cluster whose store it finds; with --new it forms a new
    one, which is empty, and forgets the one before.

    \b
    Example:
      pbactors node topology/local.toml view --new
    """
    plan = load(topology)
    if form_new and plan.node(name).role != "view_server":
        raise click.UsageError(
            f"--new forms a new cluster, which only the view server ({plan.view_server.name}) "
            f"can do; {name} is a replica"
        )
    events: Events = SimpleQueue()
    printer = Printer(name, bare=is_child)
    with signals_as_events(events), log_as_events(name, events):
        if is_child:
            end_with_parent(lambda: events.put(ParentGone()))
        with start_node(plan, name, form_new=form_new) as running:
            if form_new and not is_child:  # up has said so
                printer.tell(f"forms a new, empty cluster {plan.name!r}")
            here = plan.node(name)
            printer.tell(f"{SERVES} at {here.bind}, heartbeats at {here.bind_heartbeat}")
            # What is loaded by now stays: the collector need never look at it again.
            gc.collect()
            gc.freeze()
            threading.Thread(target=watch_node, args=(running, events), daemon=True).start()
            if follow(running, events, printer) is signal.SIGTERM:
                leave(running, events, printer)
        if running.is_running():  # a method of the user's class that never ends
            click.echo(f"Error: {name} did not stop in time; its process ends anyway", err=True)
            os._exit(1)


def leave(running: RunningNode, events: Events, printer: Printer) -> None:
    """Let the node give up its role, and print what happens until it has, or time is over."""
    printer.tell("leaves")

    def wait() -> None:
        left = running.leave(LEAVE_TIMEOUT_S)
        if running.is_running():  # else it has stopped by itself, which another event says
            events.put(Departed(left))

    threading.Thread(target=wait, daemon=True).start()
    departed = follow(running, events, printer)
    if departed == Departed(in_time=False):
        printer.tell(f"ends without having left: no other view in {LEAVE_TIMEOUT_S:g} s")


def follow(
    running: RunningNode, events: Events, printer: Printer
) -> signal.Signals | ParentGone | Departed:
    """Print what happens until somebody asks to end; return who.

    Raises:
        ClickException: the node stopped by itself.
    """
    while True:
        match events.get():
            case Line(time_s, text):
                printer.tell(text, time_s)
            case Stopped():
                why = running.failure
                reason = "nobody knows why" if why is None else f"{type(why).__name__}: {why}"
                raise click.ClickException(f"{running.name} has stopped by itself: {reason}")
            case ending:
                return ending


class Printer:
    """Writes event lines to stdout, and falls silent when nobody reads them any more.

    A node serves its cluster, not its terminal: it goes on without.

    Args:
        name: of the node.
        bare: leave time and name to ``pbactors up``, which reads the lines.
    """

    def __init__(self, name: str, *, bare: bool) -> None:
        self._name = name
        self._bare = bare

    def tell(self, text: str, time_s: float | None = None) -> None:
        """Write one event; ``time_s`` is now if None."""
        if not self._bare:
            text = f"{clock(time_s or time.time())}  {self._name}  {text}"
        try:
            click.echo(text)
        except OSError:
            write_nowhere()


@contextmanager
def log_as_events(name: str, events: Events) -> Iterator[None]:
    """Put what pbactors logs into ``events``.

    The log is written on the node's own thread. That must never wait for a terminal which somebody
    has stopped with Ctrl-S, so the main thread prints.
    """
    logger = logging.getLogger("pbactors")
    handler = _EventHandler(name, events)
    handler.setFormatter(_Formatter("%(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


class _EventHandler(logging.Handler):
    def __init__(self, name: str, events: Events) -> None:
        super().__init__()
        self._prefix = f"{name}: "
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record).removeprefix(self._prefix)
        self._events.put(Line(record.created, text))


class _Formatter(logging.Formatter):
    """Shows a traceback for what is a mistake in the program, not for what was foreseen."""

    def formatException(self, exc_info: object) -> str:  # noqa: N802
        if isinstance(exc_info, tuple) and not isinstance(exc_info[1], PbactorsError):
            return super().formatException(exc_info)
        return ""


def watch_node(running: RunningNode, events: Events) -> None:
    """Put the node's end into ``events``. Runs on a thread of its own."""
    running.wait()
    events.put(Stopped())

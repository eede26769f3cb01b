"""``pbactors up``: a whole cluster on this machine, as child processes."""

from __future__ import annotations

import shlex
import signal
import time
from queue import SimpleQueue
from typing import Final

import click

from pbactors.cli.arguments import class_of, clock, command_line, topology_argument
from pbactors.cli.children import Child, ChildEvents, Ended, Said, end_all
from pbactors.cli.endings import signals_as_events
from pbactors.cli.methods import usage_of
from pbactors.cli.node import SERVES
from pbactors.heartbeat import ViewSummary
from pbactors.machines import StateMachine
from pbactors.machines.kv import KeyValueStore
from pbactors.machines.state_machine import interface
from pbactors.topology import Topology, load
from pbactors.watch import ask_nodes, ask_view_server

__all__ = ["up"]

LOOK_S: Final = 0.4
"""How long to look whether the cluster is running already."""


@click.command(short_help="Start a new cluster on this machine: all nodes as child processes.")
@topology_argument
def up(topology: str) -> int:
    """Form a new, empty cluster with all nodes of TOPOLOGY, and stay with it.

    Every node is a process of its own. Prints one line per event, and what to type next. A node
    that dies is reported and not restarted. Ctrl-C ends all of them, and with them what the cluster
    holds: the state is in memory.

    \b
    Example:
      pbactors up topology/local.toml
    """
    plan = load(topology)
    machine = class_of(plan)
    refuse_if_running(plan)
    events: ChildEvents = SimpleQueue()
    nodes = Nodes(plan, machine, events)
    with signals_as_events(events):
        try:
            return nodes.run()
        finally:
            end_all(nodes.children.values())


def refuse_if_running(topology: Topology) -> None:
    """Refuse politely where a node of the topology answers already; nothing is started or killed.

    Raises:
        ClickException: one does.
    """
    found = ask_nodes(topology, LOOK_S)
    if found:
        there = "\n".join(
            f"  {name} answers at {topology.node(name).address}" for name in sorted(found)
        )
        raise click.ClickException(
            f"cluster {topology.name!r} is running already:\n{there}\n"
            f"Look at it:  {command_line('status', topology)}\n"
            "End it where it was started, for example with Ctrl-C, or use another topology. "
            "Nothing was started."
        )


class Nodes:
    """The cluster's processes, and what becomes of them.

    Args:
        topology: of the cluster.
        machine: the class that it replicates.
        events: of the children, and signals.

    Attributes:
        children: by name; also those that have ended.
    """

    def __init__(
        self, topology: Topology, machine: type[StateMachine], events: ChildEvents
    ) -> None:
        self.children: dict[str, Child] = {}
        self._topology = topology
        self._machine = machine
        self._events = events
        self._view_server = topology.view_server.name
        self._names_width = max(len(node.name) for node in topology.nodes)
        self._running: set[str] = set()
        self._introduced = False

    def run(self) -> int:
        """Start everything, tell what happens, and return when somebody asks to end.

        Raises:
            ClickException: a node could not start, or all have ended.
        """
        name = self._topology.name
        click.echo(
            f"Forming a new, empty cluster {name!r}; what an earlier one held is not in it. "
            "Ctrl-C ends it."
        )
        self._start(self._view_server)
        while True:
            match self._events.get():
                case Said(name, text):
                    self._on_line(self.children[name], text)
                case Ended() as ended:
                    self._on_end(ended)
                case signal.Signals() as number:
                    click.echo(f"{number.name}: ending all nodes")
                    return 0

    def _start(self, name: str) -> None:
        form_new = name == self._view_server
        self.children[name] = Child(self._topology, name, form_new, self._events)
        self._running.add(name)

    def _tell(self, name: str, text: str) -> None:
        click.echo(f"{clock(time.time())}  {name:<{self._names_width}}  {text}")

    def _on_line(self, child: Child, text: str) -> None:
        self._tell(child.name, text)
        if not child.serves and text.startswith(SERVES):
            child.serves = True
            if child.name == self._view_server:
                for replica in self._topology.replicas:
                    self._start(replica.name)
        if not self._introduced and self._all_have_started():
            self._introduce()

    def _all_have_started(self) -> bool:
        serving = [child for child in self.children.values() if child.serves]
        return len(serving) == len(self._topology.nodes)

    def _on_end(self, ended: Ended) -> None:
        self._tell(ended.name, str(ended))
        self._running.discard(ended.name)
        if not self.children[ended.name].serves:
            raise click.ClickException(
                f"{ended.name} could not start, its lines above say why; the others were ended"
            )
        if not self._running:
            raise click.ClickException(
                "all nodes that this command started have ended; unless some were started again "
                "elsewhere, what the cluster held is gone"
            )
        again = command_line("node", self._topology, ended.name)
        if ended.name == self._view_server:
            click.echo(f"Without the view server nobody takes over. To continue it: {again}")
        else:
            click.echo(f"It is not restarted by itself. To start it again, empty: {again}")

    # -- what to type next --------------------------------------------------------------------

    def _introduce(self) -> None:
        """Say who is who, once a view with a backup stands, if there can be one."""
        record = ask_view_server(self._topology)
        if record is None or not record.view.acked:
            return
        if record.view.backup is None and len(self._topology.replicas) > 1:
            return
        self._introduced = True
        click.echo("\n".join(self._introduction(record.view)))

    def _introduction(self, view: ViewSummary) -> list[str]:
        backup = "no backup, as there is one replica"
        if view.backup is not None:
            backup = f"backup {view.backup}"
        primary = self.children[view.primary or ""]
        commands = [command_line("call", self._topology, *words) for words in self._first_calls()]
        commands += [command_line(command, self._topology) for command in ("status", "tail")]
        return [
            "",
            f"The cluster serves: primary {primary.name}, {backup}.",
            "In another terminal:",
            *(f"  {command}" for command in commands),
            f"  kill -9 {primary.pid}  # the primary, {primary.name}; then call again",
            "",
        ]

    def _first_calls(self) -> list[tuple[str, ...]]:
        if self._machine is KeyValueStore:
            return [("put", "color", "blue"), ("get", "color")]
        kinds = interface(self._machine)
        names = sorted(kinds, key=lambda name: (kinds[name], name))  # commands before queries
        first_of_each = {kinds[name]: name for name in reversed(names)}
        return [
            tuple(map(shlex.quote, usage_of(name, getattr(self._machine, name)).split()))
            for name in reversed(first_of_each.values())
        ]

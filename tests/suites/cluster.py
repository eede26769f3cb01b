"""A whole cluster in this process, on real sockets, with a relay between all nodes and clients.

Nodes are started, killed and restarted empty by name, and views are waited for by name. Tests wait
for conditions with a deadline and never sleep to let something happen, so a machine that is busy
with other work makes them slower and not wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import pykka

import pbactors
from pbactors.actors.core_actor import Life
from pbactors.actors.replica import ReplicaActor
from pbactors.actors.view_server import ViewServerActor
from pbactors.config import Limits, Timing
from pbactors.heartbeat import Record, ViewSummary
from pbactors.machines import StateMachine
from pbactors.machines.kv import KeyValueStore
from pbactors.node import RunningNode
from pbactors.topology.model import Node, Topology
from pbactors.transport.zeromq import ZeroMQTransport
from pbactors.view_store import MemoryViewStore, new_record
from tests.processes import wait_until
from tests.relay import Leg, Relay

__all__ = ["DEADLINE_S", "VIEW_SERVER", "LocalCluster"]

DEADLINE_S = 30.0
"""How long a call may take before a test fails. Nothing comes near it but by a mistake."""

VIEW_SERVER = "view"


class LocalCluster:
    """A view server that runs, and replicas that are started by name. Use it in a ``with`` block.

    Args:
        replicas: the names in the topology; nobody is started yet.
        timing: of nodes and clients.
        limits: of nodes and clients.
        machine: the class to replicate.
        seed: of the relay's losses.

    Attributes:
        relay: between all nodes and clients.
    """

    def __init__(
        self,
        replicas: Iterable[str],
        timing: Timing,
        limits: Limits | None = None,
        machine: type[StateMachine] = KeyValueStore,
        seed: int = 1,
    ) -> None:
        self.relay = Relay(seed)
        self._machine = machine
        self._store = MemoryViewStore(new_record())
        self._nodes: dict[str, RunningNode] = {}
        self._addresses: dict[str, str] = {}
        self._clients: list[pbactors.Cluster] = []
        anywhere = "tcp://127.0.0.1:0"
        self.topology = Topology(
            path=Path(__file__).with_suffix(".toml"),
            name="suite",
            machine=f"{machine.__module__}:{machine.__qualname__}",
            state_dir=Path("/nonexistent"),  # the view server's store is given to it
            timing=timing,
            limits=limits or Limits(),
            nodes=(
                Node(VIEW_SERVER, "view_server", anywhere, anywhere, anywhere, anywhere),
                *(Node(name, "replica", *[anywhere] * 4) for name in replicas),
            ),
        )
        assert not timing.problems()
        self.start_view_server()

    # -- nodes --------------------------------------------------------------------------------

    def start_view_server(self) -> RunningNode:
        """Start the view server, on the store that it had before."""
        return self._run(VIEW_SERVER)

    def start(self, *names: str) -> None:
        """Start replicas, empty, one after another."""
        for name in names:
            self._run(name)

    def _run(self, name: str) -> RunningNode:
        others = [node.name for node in self.topology.nodes if node.name != name]
        transport = ZeroMQTransport(
            "tcp://127.0.0.1:0",
            "tcp://127.0.0.1:0",
            self.relay.endpoints(name, others),
            self.topology.limits.message_bytes_max,
        )
        life = Life()
        actor: pykka.ActorRef[Any]
        if name == VIEW_SERVER:
            actor = ViewServerActor.start(
                self.topology, store=self._store, transport=transport, life=life
            )
        else:
            actor = ReplicaActor.start(
                self.topology, name, self._machine, transport=transport, life=life
            )
        assert transport.bound_address is not None
        self._addresses[name] = transport.bound_address
        self.relay.attach(name, transport.bound_address)
        node = self._nodes[name] = RunningNode(name, actor, life)
        return node

    def kill(self, name: str) -> None:
        """Stop a node, which says no goodbye: nobody hears a word of it from here on."""
        self.relay.detach(name)
        node = self._nodes.pop(name)
        node.stop()
        assert not node.is_running()
        assert node.failure is None, node.failure

    @property
    def running(self) -> set[str]:
        """The replicas that run."""
        return self._nodes.keys() - {VIEW_SERVER}

    def node(self, name: str) -> RunningNode:
        """Return a node that was started and not killed."""
        return self._nodes[name]

    def address(self, name: str) -> str:
        """Return where a node listens, past the relay."""
        return self._addresses[name]

    def forget(self, name: str) -> None:
        """Take note that a node stopped by itself, as the test expected."""
        self.relay.detach(name)
        assert not self._nodes.pop(name).is_running()

    # -- views --------------------------------------------------------------------------------

    def status(self, name: str = VIEW_SERVER, address: str = "") -> Record | None:
        """Ask a node, past the relay, what it is; None if it does not answer.

        Args:
            name: which node.
            address: where, if not where the last one of that name was started.
        """
        node = self.topology.node(name)
        asked = replace(node, address=address or self._addresses[name])
        return pbactors.ask_nodes(replace(self.topology, nodes=(asked,))).get(name)

    def state(self, name: str) -> str:
        """Return the state of a node's role in words."""
        return self._answer(name).state

    def incarnation(self, name: str, address: str = "") -> str:
        """Return which life of a node runs."""
        return self._answer(name, address).incarnation

    def _answer(self, name: str, address: str = "") -> Record:
        record = wait_until(partial(self.status, name, address), what=f"an answer of {name}")
        assert record is not None
        return record

    def view(self) -> ViewSummary:
        """Return the current view, from the view server."""
        return self._answer(VIEW_SERVER).view

    def wait_view(self, primary: str, backup: str | None) -> ViewSummary:
        """Wait until these are primary and backup, and the primary has acknowledged the view.

        A primary acknowledges a view when its backup holds the complete state.
        """

        def found() -> bool:
            view = self.view()
            return (view.primary, view.backup, view.acked) == (primary, backup, True)

        try:
            wait_until(found, what=f"the view ({primary}, {backup})")
        except AssertionError as error:
            error.add_note(f"last: {self.status()}")
            raise
        return self.view()

    def wait_full(self) -> ViewSummary:
        """Wait for an acknowledged view of two replicas that run, and return it."""

        def found() -> bool:
            view = self.view()
            return view.acked and {view.primary, view.backup} <= self.running

        wait_until(found, what="a full view of replicas that run")
        return self.view()

    def wait_alive(self, *names: str) -> None:
        """Wait until the view server counts these replicas as alive."""

        def found() -> bool:
            status = self.status()
            return status is not None and all(status.alive[name].alive for name in names)

        wait_until(found, what=f"{names} to be alive")

    def start_pair(self, primary: str, backup: str) -> None:
        """Start two replicas so that the first becomes primary and the second its backup."""
        self.start(primary)
        self.wait_view(primary, None)
        self.start(backup)
        self.wait_view(primary, backup)

    # -- clients ------------------------------------------------------------------------------

    def client(self, name: str = "client", timing: Timing | None = None) -> pbactors.Cluster:
        """Return a new client, called ``name`` at the relay. It is closed with the cluster."""
        topology = replace(
            self.topology,
            timing=timing or self.topology.timing,
            nodes=tuple(
                replace(node, address=self.relay.endpoint(name, node.name))
                for node in self.topology.nodes
            ),
        )
        made = pbactors.connect(topology)
        self._clients.append(made)
        return made

    def store(self, name: str = "client", timing: Timing | None = None) -> KeyValueStore:
        """Return the replicated store as a new client sees it, whose calls end in time."""
        return self.client(name, timing).proxy(KeyValueStore, timeout_s=DEADLINE_S)

    def lose_as_mit(self, servers: Iterable[str], callers: Iterable[str]) -> None:
        """Make servers lossy: 10 % of requests are dropped, 20 % of the rest are not answered."""
        callers = list(callers)
        for server in servers:
            for caller in callers:
                self.relay.way(caller, server, Leg.REQUESTS).lose = 0.1
                self.relay.way(caller, server, Leg.REPLIES).lose = 0.2

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the clients, stop the nodes, and then the relay."""
        for client in self._clients:
            client.close()
        for node in self._nodes.values():
            node.stop()
        self.relay.close()
        for node in self._nodes.values():
            assert node.failure is None, node.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""Starting nodes from a topology, in this process."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Self

import pykka

from pbactors.actors.core_actor import Life
from pbactors.actors.replica import ReplicaActor
from pbactors.actors.view_server import ViewServerActor
from pbactors.machines import StateMachine
from pbactors.machines.loading import import_machine
from pbactors.protocol.core import Leave
from pbactors.topology import Topology, load

__all__ = ["RunningNode", "load_machine", "start_node"]

STOP_TIMEOUT_S = 5.0
"""How long ``stop`` waits for a node, which has nothing slow to do."""


def load_machine(topology: Topology) -> type[StateMachine]:
    """Import the class that a topology names. The folder of the file is on the import path.

    Raises:
        MachineUnavailable: it cannot be imported, or is no ``StateMachine``.
    """
    where = f"{topology.path}: cluster.machine = {topology.machine!r}"
    return import_machine(topology.machine, topology.folder, where)


class RunningNode:
    """A node that runs in this process. Usable from any thread, and in a ``with`` block.

    Attributes:
        name: the node's name in the topology.
        actor: the pykka actor.
    """

    def __init__(self, name: str, actor: pykka.ActorRef[Any], life: Life) -> None:
        self.name = name
        self.actor = actor
        self._life = life

    def is_running(self) -> bool:
        """Tell whether it serves: it was not stopped, and did not stop by itself."""
        return not self._life.closed.is_set()

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself, or None."""
        return self._life.failure

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has stopped, for ``timeout_s`` seconds at most; tell whether it has."""
        return self._life.closed.wait(timeout_s)

    def stop(self) -> None:
        """Stop it, and return when its sockets are closed. Repeating is harmless."""
        self.actor.stop(block=False)
        self._life.closed.wait(STOP_TIMEOUT_S)

    def leave(self, timeout_s: float) -> bool:
        """Give up the role in peace: a primary lets its backup take over, without a failed call,
        and a backup or idle replica is not waited for (R44). ``stop`` comes after it.

        A view server has no role to give up, a primary without a backup nobody to give it to, and
        a node that has ended nothing: they may end at once.

        Args:
            timeout_s: how long to wait for it, in seconds.

        Returns:
            Whether the node may end now. If not, it goes on trying, and stopping it is like a
            crash.
        """
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor.tell(Leave())
        return self._life.left.wait(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_node(
    topology: Topology | str | Path, name: str, *, form_new: bool = False
) -> RunningNode:
    """Start one node of a topology in this process, and return when it serves.

    Args:
        topology: a topology, or the path of its file.
        name: which of its nodes.
        form_new: for a view server: form a new cluster. Without it, the store of an existing
            cluster must be there.

    Raises:
        TopologyError: the file is wrong, or there is no node of that name.
        AddressUnavailable: an address is taken.
        MachineUnavailable: the class to replicate cannot be loaded.
        StoreUnavailable: the view server's store is missing, locked, corrupt or foreign.
    """
    if not isinstance(topology, Topology):
        topology = load(topology)
    life = Life()
    actor: pykka.ActorRef[Any]
    if topology.node(name).role == "view_server":
        actor = ViewServerActor.start(topology, form_new=form_new, life=life)
    else:
        actor = ReplicaActor.start(topology, name, load_machine(topology), life=life)
    return RunningNode(name, actor, life)

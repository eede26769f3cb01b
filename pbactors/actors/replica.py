"""``ReplicaActor``: a replica on real sockets."""

from __future__ import annotations

import pykka

from pbactors.actors.core_actor import Life
from pbactors.actors.node_actor import NodeActor
from pbactors.errors import MachineUnavailable
from pbactors.machines import StateMachine
from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.context import next_stamp
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import Member
from pbactors.topology import Topology
from pbactors.transport.interface import Transport

__all__ = ["ReplicaActor"]


class ReplicaActor(NodeActor):
    """A node that can be primary or backup.

    Args:
        topology: the cluster.
        name: which of its replicas this is.
        machine: the class to replicate; the one that the topology names.
        transport: instead of ZeroMQ sockets on the node's addresses.
        life: how the actor's end is known outside.

    Raises:
        AddressUnavailable: from ``start``: an address is taken.
        MachineUnavailable: from ``start``: the class cannot be built.
    """

    def __init__(
        self,
        topology: Topology,
        name: str,
        machine: type[StateMachine],
        ready: pykka.Future[None],
        transport: Transport | None = None,
        life: Life | None = None,
    ) -> None:
        super().__init__(topology, name, ready, transport, life)
        self._machine = machine

    def begin(self) -> None:
        """Follow the view server, and begin the first life."""
        self.follow_views(self.topology)
        super().begin()

    def make_core(self, member: Member) -> Replica:
        """Return an empty replica."""
        limits = self.topology.limits
        try:
            machine = ReplicatedMachine(self._machine, limits.result_bytes_max)
        except BaseException as error:
            text = f"{self.topology.machine} cannot be built: {type(error).__name__}: {error}"
            raise MachineUnavailable(text) from error
        return Replica(
            member,
            self.topology.view_server.name,
            machine,
            self.topology.contract,
            self.topology.timing,
            limits,
            next_stamp,
            self.topology.min_copies,
        )

"""What a topology file says, once it was found to be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from pbactors.config import Limits, Timing
from pbactors.errors import TopologyError
from pbactors.topology.addresses import clashes, wrong_address
from pbactors.topology.mistakes import meant, shown

__all__ = ["Node", "NodeRole", "Topology"]

NodeRole: TypeAlias = Literal["view_server", "replica"]
"""What a node is started as; which replica is primary is decided while the cluster runs."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node. Addresses are ZeroMQ endpoints; the paths of ``ipc`` ones are absolute.

    Attributes:
        name: unique in the topology.
        role: what it is started as.
        address: where others reach it.
        heartbeat: where others reach its PUB socket.
        bind: where it listens; the address unless the file says otherwise.
        bind_heartbeat: where its PUB socket listens; ``heartbeat`` unless the file says otherwise.
    """

    name: str
    role: NodeRole
    address: str
    heartbeat: str
    bind: str
    bind_heartbeat: str

    def moved_to(self, address: str, heartbeat: str) -> Node:
        """Return this node at other addresses; a bind that was the same as its address follows."""
        return replace(
            self,
            address=address,
            heartbeat=heartbeat,
            bind=address if self.bind == self.address else self.bind,
            bind_heartbeat=(
                heartbeat if self.bind_heartbeat == self.heartbeat else self.bind_heartbeat
            ),
        )


@dataclass(frozen=True, slots=True)
class Topology:
    """A topology file that was found to be right. Immutable, so any thread may read it.

    Attributes:
        path: the file, absolute.
        name: the cluster's name.
        machine: the class to replicate, as ``module:Class``.
        state_dir: the folder of the view server's memory, absolute. It need not exist yet.
        timing: how often and how patiently.
        limits: how much of everything.
        nodes: the members, in the order of the file: one view server and at least one replica.
        min_copies: how many copies of the state an answer needs: 1, so that a primary serves alone
            where it must, or 2, so that it waits for a backup instead (R33).
    """

    path: Path
    name: str
    machine: str
    state_dir: Path
    timing: Timing
    limits: Limits
    nodes: tuple[Node, ...]
    min_copies: int = 1

    @property
    def folder(self) -> Path:
        """The folder of the file: on the import path when the machine's class is loaded."""
        return self.path.parent

    @property
    def view_server(self) -> Node:
        """The node that decides who is primary."""
        return next(node for node in self.nodes if node.role == "view_server")

    @property
    def replicas(self) -> tuple[Node, ...]:
        """The nodes that can be primary or backup, in the order of the file."""
        return tuple(node for node in self.nodes if node.role == "replica")

    @property
    def contract(self) -> str:
        """One line on which all must agree: name, machine, copies, limits that decide outcomes."""
        return (
            f"{self.name} {self.machine} sessions_max={self.limits.sessions_max} "
            f"result_bytes_max={self.limits.result_bytes_max} min_copies={self.min_copies}"
        )

    def node(self, name: str) -> Node:
        """Return the node of this name.

        Raises:
            TopologyError: there is none; the text names those there are.
        """
        names = [node.name for node in self.nodes]
        if name not in names:
            problem = f"expected one of its nodes ({', '.join(names)}), found {shown(name)}"
            raise TopologyError(
                [f"{self.path}: {problem}{meant(name, names)}; for example: {names[0]}"]
            )
        return self.nodes[names.index(name)]

    def with_addresses(self, addresses: Mapping[str, tuple[str, str]]) -> Topology:
        """Return this topology with real addresses in place of those of the file.

        For a process that starts all nodes on ports it was given. A node's ``bind`` follows its
        address where the two were the same, and stays where the file told them apart.

        Args:
            addresses: ``(address, heartbeat)`` by the name of the node; other nodes stay. The paths
                of ``ipc`` addresses are absolute.

        Raises:
            TopologyError: a name is no node's, or an address is wrong or used twice.
        """
        moved = {name: self.node(name).moved_to(*pair) for name, pair in addresses.items()}
        problems = [
            f"{self.path}: {key} of {name}: "
            f"expected {wrong[0]}, found {shown(address)} ({wrong[1]})"
            for name, pair in addresses.items()
            for key, address in zip(("address", "heartbeat"), pair, strict=True)
            if (wrong := wrong_address(key, address, port_zero=True))
        ]
        nodes = tuple(moved.get(node.name, node) for node in self.nodes)
        problems += [] if problems else _used_twice(self.path, nodes)
        if problems:
            raise TopologyError(problems)
        return replace(self, nodes=nodes)


def _used_twice(path: Path, nodes: tuple[Node, ...]) -> list[str]:
    return [
        f"{path}: {key} of {nodes[index].name}: expected an address of its own, "
        f"found {shown(getattr(nodes[index], key))}, "
        f"which is the {other_key} of {nodes[other].name} too"
        for (index, key), (other, other_key) in clashes(nodes)
    ]

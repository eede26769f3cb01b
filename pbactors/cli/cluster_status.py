"""What a cluster is, put together from what its nodes say of themselves.

One plain structure for ``status``, its table and its JSON; ``docs/command-line.md`` lists the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pbactors.cli.arguments import command_line
from pbactors.heartbeat import Record, ViewSummary
from pbactors.topology import Topology
from pbactors.topology.model import Node

__all__ = ["ClusterStatus", "NodeStatus", "status_of"]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node of the topology. What only the node knows is None where it does not answer.

    Attributes:
        name: in the topology.
        role: ``primary``, ``backup``, ``idle`` as the replica says; ``view_server``, always.
        alive: whether it answered.
        state: the state of its role in words.
        view: the number of the view it knows.
        op: the last operation it executed.
        operations_per_second: executed lately.
        copies: copies of the state that its answers wait for.
        stuck: whether it needs a person, or a node that comes back.
        uptime_s: how long this life of it has lasted.
        counted_alive: whether the view server counts this replica as alive.
        counted_since: since when it does or does not, unix time in seconds.
    """

    name: str
    role: str | None
    alive: bool
    state: str | None
    view: int | None
    op: int | None
    operations_per_second: float | None
    copies: int | None
    stuck: bool | None
    uptime_s: float | None
    counted_alive: bool | None
    counted_since: float | None


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster.

    Attributes:
        cluster: its id in hexadecimal digits, or None where no node knows it.
        cluster_name: its name in the topology.
        view: the current view as far as it is known; number 0 with nobody where it is not.
        source: who says so: ``view_server``, or ``replicas`` where that is down, or None.
        serves: whether calls are answered now.
        copies: copies of the state that every answer waits for; 0 where nobody serves.
        nodes: in the order of the topology.
        problems: what is not as it should be, in words.
    """

    cluster: str | None
    cluster_name: str
    view: ViewSummary
    source: str | None
    serves: bool
    copies: int
    nodes: tuple[NodeStatus, ...]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``status --json`` prints."""
        return {
            "cluster": self.cluster,
            "cluster_name": self.cluster_name,
            "view": {**asdict(self.view), "source": self.source},
            "serves": self.serves,
            "copies": self.copies,
            "nodes": [asdict(node) for node in self.nodes],
            "problems": list(self.problems),
        }


def status_of(topology: Topology, records: Mapping[str, Record]) -> ClusterStatus:
    """Put a status together.

    Args:
        topology: of the cluster.
        records: what nodes answered, by name. A node that did not answer is missing.
    """
    records = {name: record for name, record in records.items() if record.node == name}
    view_server = records.get(topology.view_server.name)
    knows = view_server or _newest(topology, records)
    view = ViewSummary(0, None, None, False) if knows is None else knows.view
    primary = _serving(view, records)
    source = None if knows is None else "replicas" if view_server is None else "view_server"
    return ClusterStatus(
        cluster=None if knows is None else knows.cluster,
        cluster_name=topology.name,
        view=view,
        source=source,
        serves=primary is not None,
        copies=0 if primary is None else primary.copies,
        nodes=tuple(_node(node, records.get(node.name), view_server) for node in topology.nodes),
        problems=tuple(_problems(topology, records, knows, primary is not None)),
    )


def _newest(topology: Topology, records: Mapping[str, Record]) -> Record | None:
    """Return the record of the replica that knows the highest view, best one that is acked."""
    found = [records[node.name] for node in topology.replicas if node.name in records]
    joined = [record for record in found if record.cluster]
    return max(joined, key=lambda record: (record.view.number, record.view.acked), default=None)


def _serving(view: ViewSummary, records: Mapping[str, Record]) -> Record | None:
    """Return the record of the primary if it answers calls in this view."""
    record = records.get(view.primary or "")
    if record is None or record.role != "primary" or record.view.number != view.number:
        return None
    return record if record.copies and not record.stuck else None


def _node(node: Node, record: Record | None, view_server: Record | None) -> NodeStatus:
    fixed = "view_server" if node.role == "view_server" else None
    counted = None if view_server is None else view_server.alive.get(node.name)
    return NodeStatus(
        name=node.name,
        role=fixed if record is None else record.role,
        alive=record is not None,
        state=None if record is None else record.state,
        view=None if record is None else record.view.number,
        op=None if record is None else record.op,
        operations_per_second=None if record is None else record.operations_per_second,
        copies=None if record is None else record.copies,
        stuck=None if record is None else record.stuck,
        uptime_s=None if record is None else record.uptime_s,
        counted_alive=None if counted is None else counted.alive,
        counted_since=None if counted is None else counted.since,
    )


def _problems(
    topology: Topology, records: Mapping[str, Record], knows: Record | None, serves: bool
) -> list[str]:
    if not records:
        return ["no node answers: the cluster is not running, or cannot be reached from here"]
    found = []
    view_server = topology.view_server.name
    if view_server not in records:
        found.append(
            f"view server {view_server} does not answer: nobody takes over if the primary fails, "
            "and new clients wait; the view is what the replicas know"
        )
    silent = [node.name for node in topology.replicas if node.name not in records]
    if silent:
        found.append(f"no answer from {', '.join(silent)}")
    for name, record in records.items():
        if record.stuck:
            found.append(f"{name} is {record.state}")
        if knows is not None and record.cluster not in ("", knows.cluster):
            found.append(f"{name} belongs to another cluster, {record.cluster}")
    if view_server in records and records[view_server].stuck:
        found.append(
            "if nothing of the state can come back, this forms a new, empty cluster: "
            + command_line("abandon", topology)
        )
    if not serves:
        found.append("nobody serves calls now")
    return found

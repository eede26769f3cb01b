"""Giving up a cluster whose state is lost: the last word of an operator (R46)."""

from __future__ import annotations

from collections.abc import Iterable

from pbactors.protocol.messages import Refused
from pbactors.protocol.tool_messages import Abandon, Abandoned
from pbactors.questions import ask
from pbactors.topology import Topology

__all__ = ["send_abandon"]


def send_abandon(
    topology: Topology,
    names: Iterable[str],
    cluster: bytes,
    successor: bytes,
    timeout_s: float = 0.5,
) -> dict[str, Abandoned | Refused]:
    """Tell nodes that their cluster is lost, once each.

    The view server then forms the cluster ``successor``; it refuses while anyone who holds the
    state may be alive. A replica begins anew, empty, and says nothing; one that serves as primary
    refuses. So tell the view server first, and the replicas once it has agreed.

    Args:
        topology: of the cluster.
        names: of the nodes to tell.
        cluster: the id of the cluster to give up; nodes of another one do nothing.
        successor: the id of the new cluster, random.
        timeout_s: how long to wait for answers of all of them together.

    Returns:
        Answers by node name. A node that is missing may have heard it all the same.
    """
    addresses = {name: topology.node(name).address for name in names}
    answers = ask(addresses, Abandon(successor), timeout_s, cluster)
    return {
        name: answer for name, answer in answers.items() if isinstance(answer, Abandoned | Refused)
    }

"""Moving the primary role for planned work, without a failed call (R44)."""

from __future__ import annotations

from pbactors.protocol.messages import Refused, ViewReply
from pbactors.protocol.tool_messages import SwitchOver
from pbactors.questions import ask
from pbactors.topology import Topology

__all__ = ["send_switch_over"]


def send_switch_over(
    topology: Topology, to: str, cluster: bytes, timeout_s: float = 2.0
) -> ViewReply | Refused | None:
    """Tell the view server which replica shall be primary.

    It tries for ten seconds, besides the time that filling takes: an idle replica is made backup
    first and filled; then the primary finishes what is under way, and its backup takes over.
    Telling it again begins anew.

    Args:
        topology: of the cluster.
        to: the name of the replica; empty for the backup of the current view.
        cluster: the id of the cluster.
        timeout_s: how long to wait for the answer.

    Returns:
        The view as it is, if the wish is taken; why it cannot be; or None without an answer.
    """
    view_server = topology.view_server
    addresses = {view_server.name: view_server.address}
    answer = ask(addresses, SwitchOver(to), timeout_s, cluster).get(view_server.name)
    return answer if isinstance(answer, ViewReply | Refused) else None

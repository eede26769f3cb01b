"""Moving the primary role for planned work, without a failed call (R44)."""

from __future__ import annotations

from pbactors import wire
from pbactors.errors import MalformedMessage
from pbactors.protocol.messages import Refused, ViewReply
from pbactors.protocol.tool_messages import SwitchOver
from pbactors.protocol.view import FRESH, Member
from pbactors.topology import Topology
from pbactors.transport.ask import ask_once

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
    body = wire.encode(cluster, Member("", FRESH), SwitchOver(to))
    view_server = topology.view_server
    answers = ask_once({view_server.name: view_server.address}, body, timeout_s * 1000)
    try:
        _, message = wire.decode(answers.get(view_server.name, b""))
    except MalformedMessage:
        return None
    return message if isinstance(message, ViewReply | Refused) else None

"""What operators' tools say to nodes, and what nodes answer."""

from __future__ import annotations

from typing import ClassVar

from pbactors.protocol.message import CLUSTER_BYTES, Message, message

__all__ = [
    "RECORD_MS_MAX",
    "Abandon",
    "Abandoned",
    "GetHistory",
    "GetMoments",
    "GetStatus",
    "History",
    "Moments",
    "StatusReply",
    "SwitchOver",
]

RECORD_MS_MAX = 60_000
"""For how long a node records after it was last asked."""


@message
class GetStatus(Message):
    """Anyone to any node: what are you? Answered by the node's driver."""

    tag: ClassVar[int] = 13
    without_cluster: ClassVar[bool] = True


@message
class StatusReply(Message):
    """A node to whoever asked: the same record as its heartbeat.

    Attributes:
        record: a msgpack map with string keys.
    """

    tag: ClassVar[int] = 14
    without_cluster: ClassVar[bool] = True
    record: bytes


@message
class Abandon(Message):
    """An operator to a node: this cluster's state is lost; begin anew, empty (R46).

    Refused by the view server while anyone who holds the state may be alive.

    Attributes:
        successor: the id of the new cluster, random, made by the tool.
    """

    tag: ClassVar[int] = 15
    successor: bytes

    def invalid(self) -> str | None:
        """Refuse a cluster id of the wrong length."""
        if len(self.successor) != CLUSTER_BYTES:
            return f"a cluster id has {CLUSTER_BYTES} bytes, not {len(self.successor)}"
        return None


@message
class Abandoned(Message):
    """View server to operator: done; the header carries the new cluster's id.

    Attributes:
        view: the number of the last view of the cluster that is gone.
    """

    tag: ClassVar[int] = 16
    view: int


@message
class GetMoments(Message):
    """Anyone to any node: record what you send and receive, and say what you have recorded.

    Answered by the node's driver. A node records only while it is asked to, and stops by itself.

    Attributes:
        after: the number of the last moment that the asker has; 0 for none.
        record_ms: for how long to record from now on; 0 ends it, once nothing is left.
    """

    tag: ClassVar[int] = 17
    without_cluster: ClassVar[bool] = True
    after: int
    record_ms: int

    def invalid(self) -> str | None:
        """Refuse to record for longer than a minute without being asked again."""
        if self.record_ms > RECORD_MS_MAX:
            return f"recording for {self.record_ms} ms; at most {RECORD_MS_MAX} at a time"
        return None


@message
class Moments(Message):
    """A node to whoever asked: a bounded part of what it recorded, the oldest first.

    Attributes:
        first: the number of the first moment in it; there is a gap behind the one asked for where
            older ones had to make room. Numbers of a later process of a node are higher.
        left: how many more there are.
        lines: one JSON object a line, as in a file of ``pbactors trace``; in ``message`` stands a
            digest of the message's bytes, the same for its sender and its receivers.
    """

    tag: ClassVar[int] = 18
    without_cluster: ClassVar[bool] = True
    first: int
    left: int
    lines: bytes


@message
class SwitchOver(Message):
    """An operator to the view server: make another replica primary, without a failed call (R44).

    Answered with the view as it is (``ViewReply``), or refused with the reason why it cannot be.

    Attributes:
        to: the name of the replica; empty for the backup of the current view.
    """

    tag: ClassVar[int] = 19
    to: str


@message
class GetHistory(Message):
    """Anyone to view server: which views were there? Answered by the view server's driver.

    Attributes:
        after: the number of the last view that the asker knows of; 0 for none.
    """

    tag: ClassVar[int] = 21
    without_cluster: ClassVar[bool] = True
    after: int


@message
class History(Message):
    """View server to whoever asked: a bounded part of the history of views, the oldest first.

    Attributes:
        left: how many views there are above the last one in it.
        lines: one JSON object a line, with ``number``, ``at_ms`` (unix time in milliseconds),
            ``primary``, ``backup`` or null, ``cause``, ``node`` (whom it is about), and
            ``without_service_ms`` or null where nobody knows.
    """

    tag: ClassVar[int] = 22
    without_cluster: ClassVar[bool] = True
    left: int
    lines: bytes

"""Every message that nodes and clients exchange.

Each is a small frozen dataclass with a tag in one registry and ``invalid() -> reason or None``
for what its types cannot say. ``wire.py`` turns them into bytes; the message table of
``docs/protocol.md`` is generated from the registry and these docstrings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, TypeVar

from pbactors.protocol.operations import (
    Answer,
    Operation,
    Query,
    Result,
    invalid_operation,
)
from pbactors.protocol.view import INCARNATION_BYTES, Incarnation, View

__all__ = [
    "CLUSTER_BYTES",
    "RECORD_MS_MAX",
    "REGISTRY",
    "Abandon",
    "Abandoned",
    "Confirm",
    "Forward",
    "GetMoments",
    "GetStatus",
    "GetView",
    "Message",
    "Moments",
    "Piece",
    "PieceReceived",
    "Ping",
    "Reason",
    "Refused",
    "Reply",
    "Request",
    "Section",
    "SessionGone",
    "StatusReply",
    "Superseded",
    "ViewReply",
]

CLUSTER_BYTES = 16

RECORD_MS_MAX = 60_000
"""For how long a node records after it was last asked."""


class Section(IntEnum):
    """Which part of the replicated state a piece belongs to."""

    SESSIONS = 0
    MACHINE = 1


class Reason(IntEnum):
    """Why a node does not serve a message now. It always means "later", never "no" (R40)."""

    NOT_PRIMARY = 0
    OVERLOADED = 1
    FOREIGN_CLUSTER = 2
    UNKNOWN_NODE = 3
    OTHER_CONTRACT = 4
    STILL_SERVING = 5


@dataclass(frozen=True, slots=True)
class Message:
    """What all messages share: a tag of their own, and a judgement of their own fields."""

    tag: ClassVar[int] = -1
    bulk: ClassVar[bool] = False
    without_cluster: ClassVar[bool] = False

    def invalid(self) -> str | None:
        """Return why the fields make no sense together, or None."""
        return None


REGISTRY: dict[int, type[Message]] = {}

M = TypeVar("M", bound=type[Message])


def _registered(kind: M) -> M:
    if kind.tag in REGISTRY:
        raise ValueError(f"tag {kind.tag} is taken by {REGISTRY[kind.tag].__name__}")
    REGISTRY[kind.tag] = kind
    return kind


def _not_an_incarnation(value: bytes) -> str | None:
    if len(value) != INCARNATION_BYTES:
        return f"an incarnation has {INCARNATION_BYTES} bytes, not {len(value)}"
    return None


# -- view server ------------------------------------------------------------------------------


@_registered
@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Replica to view server, once per interval: I am alive, and this is where I am (R15).

    Attributes:
        number: the view the sender operates in; 0 before any.
        sequence: counted up per ping of this incarnation (R13).
        filling: the unacknowledged view whose backup the sender is filling as its primary, or 0.
        contract: what all must agree on: name of the cluster, machine, limits that decide outcomes.
    """

    tag: ClassVar[int] = 1
    without_cluster: ClassVar[bool] = True
    number: int
    sequence: int
    filling: int
    contract: str

    def invalid(self) -> str | None:
        """Refuse a ping that fills a view not after the one it operates in."""
        if self.filling and self.filling <= self.number:
            return "filling is not after the view operated in"
        return None


@_registered
@dataclass(frozen=True, slots=True)
class GetView(Message):
    """Anyone to view server: which view is it? Asking makes nobody a volunteer (R12)."""

    tag: ClassVar[int] = 2
    without_cluster: ClassVar[bool] = True


@_registered
@dataclass(frozen=True, slots=True)
class ViewReply(Message):
    """View server to whoever pinged or asked: the current view.

    Attributes:
        view: number, primary and backup with their incarnations.
        acked: whether its primary has acknowledged it.
        contract: what all must agree on, as the view server has it.
    """

    tag: ClassVar[int] = 3
    view: View
    acked: bool
    contract: str

    def invalid(self) -> str | None:
        """Refuse what is no view."""
        return self.view.invalid()


@_registered
@dataclass(frozen=True, slots=True)
class Superseded(Message):
    """View server to replica: a newer incarnation of your name has pinged; you are over (R47).

    Attributes:
        target: the incarnation that is superseded.
        newest: the incarnation to exceed when starting again, empty.
    """

    tag: ClassVar[int] = 4
    target: Incarnation
    newest: Incarnation

    def invalid(self) -> str | None:
        """Refuse an incarnation of the wrong length, or one that supersedes nothing."""
        if self.newest <= self.target:
            return "the newest incarnation is not newer"
        return _not_an_incarnation(self.newest) or _not_an_incarnation(self.target)


# -- clients ----------------------------------------------------------------------------------


@_registered
@dataclass(frozen=True, slots=True)
class Request(Message):
    """Client to primary: operations and queries, in the order of the client's calls.

    Attributes:
        view: the client's view number.
        operations: commands, and the opening and closing of sessions.
        queries: what reads only. ``after`` is the last command of the session before it.
    """

    tag: ClassVar[int] = 5
    view: int
    operations: tuple[Operation, ...]
    queries: tuple[Query, ...]

    def invalid(self) -> str | None:
        """Refuse numbers that no client assigns."""
        for operation in self.operations:
            reason = invalid_operation(operation)
            if reason is not None:
                return reason
        return None


@_registered
@dataclass(frozen=True, slots=True)
class Reply(Message):
    """Primary to client: what was executed, at most one per client and flush.

    Attributes:
        view: the primary's view number.
        copies: how many copies of the state there are, 1 or 2.
        results: of operations. The result of an opening is ``(session, 0, token)``.
        answers: of queries.
    """

    tag: ClassVar[int] = 6
    view: int
    copies: int
    results: tuple[Result, ...]
    answers: tuple[Answer, ...]


@_registered
@dataclass(frozen=True, slots=True)
class Refused(Message):
    """A node to a client or replica: later, or not here. Never "did not happen" (R40).

    Attributes:
        view: the sender's view number, a hint when to ask the view server (R30).
        reason: one of ``Reason``.
        text: for a person.
    """

    tag: ClassVar[int] = 7
    without_cluster: ClassVar[bool] = True
    view: int
    reason: int
    text: str

    def invalid(self) -> str | None:
        """Refuse a reason that has no name."""
        if self.reason not in Reason.__members__.values():
            return f"no reason: {self.reason}"
        return None


@_registered
@dataclass(frozen=True, slots=True)
class SessionGone(Message):
    """Primary to client: this session is unknown here, and nothing was created (R41).

    Attributes:
        session: the session that is gone.
    """

    tag: ClassVar[int] = 8
    session: int


# -- primary and backup -----------------------------------------------------------------------


@_registered
@dataclass(frozen=True, slots=True)
class Forward(Message):
    """Primary to backup: execute these, in this order (R16, R18). Empty: only confirm (R37).

    Attributes:
        view: the primary's view number; the backup's must be equal.
        target: the incarnation of the backup that is meant.
        confirm: counted up per flush, also on resends; echoed by the backup.
        first: the op number of the first operation.
        stamp: the stamp of all of them, identical on resends (R51).
        operations: the commands themselves, not their effects (R27).
    """

    tag: ClassVar[int] = 9
    view: int
    target: Incarnation
    confirm: int
    first: int
    stamp: bytes
    operations: tuple[Operation, ...]

    def invalid(self) -> str | None:
        """Refuse op number 0 and operations that no primary would take."""
        if self.first < 1:
            return "op numbers start at 1"
        for operation in self.operations:
            reason = invalid_operation(operation)
            if reason is not None:
                return reason
        return _not_an_incarnation(self.target)


@_registered
@dataclass(frozen=True, slots=True)
class Confirm(Message):
    """Backup to primary: in this view my installed state holds every command up to ``op`` (R34).

    Attributes:
        view: the backup's own view number.
        target: the incarnation of the primary that is meant.
        op: the last op number that is executed.
        echo: the highest confirm number seen in this view (R37).
        digest: reserved for the chained digest of results (R50); empty.
    """

    tag: ClassVar[int] = 10
    view: int
    target: Incarnation
    op: int
    echo: int
    digest: bytes

    def invalid(self) -> str | None:
        """Refuse an incarnation of the wrong length."""
        return _not_an_incarnation(self.target)


@_registered
@dataclass(frozen=True, slots=True)
class Piece(Message):
    """Primary to backup, on the bulk channel: one bounded piece of the whole state (R22).

    Attributes:
        view: the view that the transfer belongs to (R23).
        target: the incarnation of the backup that is meant.
        attempt: pieces of different attempts are never mixed (R34).
        base: the last op number executed in this state (R53).
        stamp: the stamp of that operation (R51).
        confirm: as in a forward.
        index: place of this piece, from 0.
        last: whether it is the last one.
        section: one of ``Section``.
        body: bytes that only the section's owner understands.
    """

    tag: ClassVar[int] = 11
    bulk: ClassVar[bool] = True
    view: int
    target: Incarnation
    attempt: int
    base: int
    stamp: bytes
    confirm: int
    index: int
    last: bool
    section: int
    body: bytes

    def invalid(self) -> str | None:
        """Refuse a section without a name."""
        if self.section not in Section.__members__.values():
            return f"no section: {self.section}"
        return _not_an_incarnation(self.target)


@_registered
@dataclass(frozen=True, slots=True)
class PieceReceived(Message):
    """Backup to primary: of this attempt I gathered that many pieces, without a gap.

    It moves the window of pieces and says nothing about installed state: that is ``Confirm``. A
    new backup says it once unasked, with attempt 0: what was sent before it knew of the view was
    refused, and is sent again at once.

    Attributes:
        view: the view of the transfer.
        target: the incarnation of the primary that is meant.
        attempt: the attempt being gathered; 0 for none yet.
        received: the index of the piece expected next.
    """

    tag: ClassVar[int] = 12
    view: int
    target: Incarnation
    attempt: int
    received: int

    def invalid(self) -> str | None:
        """Refuse an incarnation of the wrong length."""
        return _not_an_incarnation(self.target)


# -- tools ------------------------------------------------------------------------------------


@_registered
@dataclass(frozen=True, slots=True)
class GetStatus(Message):
    """Anyone to any node: what are you? Answered by the node's driver."""

    tag: ClassVar[int] = 13
    without_cluster: ClassVar[bool] = True


@_registered
@dataclass(frozen=True, slots=True)
class StatusReply(Message):
    """A node to whoever asked: the same record as its heartbeat.

    Attributes:
        record: a msgpack map with string keys.
    """

    tag: ClassVar[int] = 14
    without_cluster: ClassVar[bool] = True
    record: bytes


@_registered
@dataclass(frozen=True, slots=True)
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


@_registered
@dataclass(frozen=True, slots=True)
class Abandoned(Message):
    """View server to operator: done; the header carries the new cluster's id.

    Attributes:
        view: the number of the last view of the cluster that is gone.
    """

    tag: ClassVar[int] = 16
    view: int


@_registered
@dataclass(frozen=True, slots=True)
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


@_registered
@dataclass(frozen=True, slots=True)
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

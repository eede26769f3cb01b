"""What replicas, the view server and clients say to each other.

Each message is a small frozen dataclass with ``invalid() -> reason or None`` for what its types
cannot say. ``wire.py`` turns them into bytes; the message table of ``docs/protocol.md`` is
generated from the registry and these docstrings. What operators' tools say stands in
``tool_messages.py``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from pbactors.protocol.message import Message, message, not_an_incarnation
from pbactors.protocol.operations import Answer, Operation, Query, Result
from pbactors.protocol.view import FRESH, Incarnation, View

__all__ = [
    "Confirm",
    "Forward",
    "GetView",
    "HandOver",
    "Message",
    "Piece",
    "PieceReceived",
    "Ping",
    "Reason",
    "Refused",
    "Reply",
    "Report",
    "Request",
    "Section",
    "SessionGone",
    "Superseded",
    "ViewReply",
]


class Section(IntEnum):
    """Which part of the replicated state a piece belongs to."""

    SESSIONS = 0
    MACHINE = 1
    OWN = 2


class Reason(IntEnum):
    """Why a node does not serve a message now. It always means "later", never "no" (R40)."""

    NOT_PRIMARY = 0
    OVERLOADED = 1
    FOREIGN_CLUSTER = 2
    UNKNOWN_NODE = 3
    OTHER_CONTRACT = 4
    STILL_SERVING = 5
    CANNOT_SWITCH = 6


class Report(IntEnum):
    """What a primary says of its backup, and so the change of the view that it asks for (R5)."""

    NONE = 0
    UNREACHABLE = 1
    DIVERGED = 2
    HANDED_OVER = 3


# -- view server ------------------------------------------------------------------------------


@message
class Ping(Message):
    """Replica to view server, once per interval: I am alive, and this is where I am (R15).

    Attributes:
        number: the view the sender operates in; 0 before any.
        sequence: counted up per ping of this incarnation (R13).
        filling: the unacknowledged view whose backup the sender is filling as its primary, or 0.
        report: one of ``Report``. From the primary of the current view it asks for another one: its
            backup does not answer (R43), has come to other results (R50), or holds everything and
            shall take over (R44).
        about: the incarnation of the backup that the report names; zeros without a report.
        leaving: the sender is about to end, in peace: nobody need wait for it (R44).
        serving: the sender answers clients now; so the view server knows for how long nobody did.
        contract: what all must agree on: name of the cluster, machine, limits that decide outcomes.
    """

    tag: ClassVar[int] = 1
    without_cluster: ClassVar[bool] = True
    number: int
    sequence: int
    filling: int
    contract: str
    report: int = Report.NONE
    about: Incarnation = FRESH
    leaving: bool = False
    serving: bool = False

    def invalid(self) -> str | None:
        """Refuse a ping that fills a view not after the one it operates in, or reports nothing that
        has a name.
        """
        if self.filling and self.filling <= self.number:
            return "filling is not after the view operated in"
        if self.report not in Report.__members__.values():
            return f"no report: {self.report}"
        return not_an_incarnation(self.about)


@message
class GetView(Message):
    """Anyone to view server: which view is it? Asking makes nobody a volunteer (R12)."""

    tag: ClassVar[int] = 2
    without_cluster: ClassVar[bool] = True


@message
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


@message
class HandOver(Message):
    """View server to primary: let your backup take over, without a failed call (R44).

    Attributes:
        view: the number of the view whose primary is meant.
        target: the incarnation of the primary that is meant.
    """

    tag: ClassVar[int] = 20
    view: int
    target: Incarnation

    def invalid(self) -> str | None:
        """Refuse an incarnation of the wrong length."""
        return not_an_incarnation(self.target)


@message
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
        return not_an_incarnation(self.newest) or not_an_incarnation(self.target)


# -- clients ----------------------------------------------------------------------------------


@message
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


@message
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


@message
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


@message
class SessionGone(Message):
    """Primary to client: this session is unknown here, and nothing was created (R41).

    Attributes:
        session: the session that is gone.
    """

    tag: ClassVar[int] = 8
    session: int


# -- primary and backup -----------------------------------------------------------------------


@message
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
        """Refuse op number 0."""
        if self.first < 1:
            return "op numbers start at 1"
        return not_an_incarnation(self.target)


@message
class Confirm(Message):
    """Backup to primary: in this view my installed state holds every command up to ``op`` (R34).

    Attributes:
        view: the backup's own view number.
        target: the incarnation of the primary that is meant.
        op: the last op number that is executed.
        echo: the highest confirm number seen in this view (R37).
        digest: the chained digest of all results up to ``op`` (R50).
    """

    tag: ClassVar[int] = 10
    view: int
    target: Incarnation
    op: int
    echo: int
    digest: int

    def invalid(self) -> str | None:
        """Refuse an incarnation of the wrong length."""
        return not_an_incarnation(self.target)


@message
class Piece(Message):
    """Primary to backup, on the bulk channel: one bounded piece of the whole state (R22).

    Attributes:
        view: the view that the transfer belongs to (R23).
        target: the incarnation of the backup that is meant.
        attempt: pieces of different attempts are never mixed (R34).
        base: the last op number executed in this state (R53).
        stamp: the stamp of that operation (R51).
        digest: the chained digest of all results up to it (R50).
        confirm: as in a forward.
        index: place of this piece, from 0.
        last: whether it is the last one.
        section: one of ``Section``. ``OWN`` comes alone: if what you have from the view before is
            exactly this state, go on with it; else say that you received nothing (R45).
        body: bytes that only the section's owner understands.
    """

    tag: ClassVar[int] = 11
    bulk: ClassVar[bool] = True
    view: int
    target: Incarnation
    attempt: int
    base: int
    stamp: bytes
    digest: int
    confirm: int
    index: int
    last: bool
    section: int
    body: bytes

    def invalid(self) -> str | None:
        """Refuse a section without a name."""
        if self.section not in Section.__members__.values():
            return f"no section: {self.section}"
        return not_an_incarnation(self.target)


@message
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
        return not_an_incarnation(self.target)

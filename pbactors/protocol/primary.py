"""What a replica is while it is primary, for one unbroken time over any number of views.

A ``Primary`` takes requests, puts commands in order, forwards them to the backup and, once the
backup has confirmed, executes and answers them (R16). It is made when the role begins and dropped
when it ends, and with it go, unexecuted, its pending commands, its marks of what is taken and its
waiting queries (R39). If it stays primary in the next view, it keeps them, with their op numbers
and stamps (R51), and fills the new backup first.

**Order.** What clients send is gathered in order of arrival. At flush the gathered commands get op
numbers and go out as one forward. A query is placed between two commands: it is answered from the
state right after the op number that was last when it was placed, so the boundaries of batches
cannot change what it sees.

**Queries.** Each message to the backup carries a confirm number, counted up per flush. A query
waits for the echo of a number first sent after it arrived (R37): the echo proves that the view
still stood then, so no later primary can have answered anything before the query began. A lease
would prove the same only for as long as clocks agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import NamedTuple

from pbactors.config import Limits
from pbactors.errors import InvariantViolated, UnsupportedValue
from pbactors.protocol.core import Address, Outbox, RoleChanged
from pbactors.protocol.intake import Intake, WaitingQuery
from pbactors.protocol.messages import Confirm, Forward, Piece, PieceReceived, Reason, Request
from pbactors.protocol.operations import Operation
from pbactors.protocol.replies import Replies
from pbactors.protocol.state import ReplicatedState
from pbactors.protocol.state_transfer import OutgoingTransfer
from pbactors.protocol.view import Role, View

__all__ = ["Primary"]

StampSource = Callable[[bytes], bytes]
"""Returns a new stamp, higher than the given last one (R26, R51)."""


class OrderedBatch(NamedTuple):
    """Commands that have their place in the order: what a forward carries."""

    first: int
    stamp: bytes
    operations: tuple[Operation, ...]

    @property
    def end(self) -> int:
        """The op number of the last of them."""
        return self.first + len(self.operations) - 1


class Primary:
    """The primary, from the view in which it becomes one until it is something else.

    Args:
        view: the first view of this time as primary.
        state: its replicated state.
        limits: bounds.
        stamps: source of stamps.

    Attributes:
        operating: whether it has joined its view: there is no backup, or the backup holds the
            complete state (R15).
        cannot_copy: why the state cannot be copied to the backup of this view, or empty. The
            primary keeps the state and serves nobody, which is better than losing it.
    """

    def __init__(
        self, view: View, state: ReplicatedState, limits: Limits, stamps: StampSource
    ) -> None:
        self.state = state
        self._limits = limits
        self._stamps = stamps
        self._replies = Replies(limits)
        self._intake = Intake(state, self._replies, limits)
        # what has its place and is not executed yet: the front of it is forwarded
        self._ordered: deque[OrderedBatch] = deque()
        self._ordered_end = state.op
        self._ordered_stamp = state.stamp
        self._forwarded = 0
        self._queries: deque[WaitingQuery] = deque()
        self._confirm = 0
        self._echo = 0
        self._repeat = False
        self._heard: tuple[int, ...] = ()
        self.enter(view)

    def enter(self, view: View) -> None:
        """Begin a view, keeping what is pending (R39). A backup is filled first (R22)."""
        self.view = view
        self.operating = view.backup is None
        self.cannot_copy = ""
        self._greeted = False
        self._transfer: OutgoingTransfer | None = None
        self._forwarded = 0
        self._sent_end = self.state.op
        self._confirm = self._echo = 0
        self._repeat = False
        for waiting in self._queries:  # unanswered queries start again (R37)
            waiting.confirm = None
        if view.backup is not None:
            self._transfer = OutgoingTransfer(
                self.state,
                attempt=1,
                piece_bytes_max=self._limits.snapshot_piece_bytes_max,
                window=self._limits.pieces_in_flight_max,
            )

    def describe(self) -> str:
        """Return the state of the role in words."""
        if self.cannot_copy:
            return (
                f"stuck: the state cannot be copied to a backup: {self.cannot_copy}; "
                "this node serves alone once the other replicas are stopped"
            )
        if not self.operating:
            return "filling backup"
        return "serving" if self.view.backup is not None else "serving alone"

    @property
    def stuck(self) -> bool:
        """Whether the backup can never be filled."""
        return bool(self.cannot_copy)

    # -- clients ------------------------------------------------------------------------------

    def on_request(self, source: Address, request: Request) -> None:
        """Take a client's operations and queries."""
        self._intake.on_request(source, request)
        if self.cannot_copy:
            self._replies.refuse(source, Reason.OVERLOADED, self.describe())

    # -- backup -------------------------------------------------------------------------------

    def on_confirm(self, confirm: Confirm) -> str | None:
        """The backup holds everything up to an op number (R34). Returns why it changed nothing."""
        if confirm.op > self._sent_end:
            raise InvariantViolated(
                f"R34: op {confirm.op} is confirmed, but only {self._sent_end} was sent"
            )
        if not self.operating:
            if confirm.op < self.state.op:
                return "confirms less than is executed"
            self.operating = True  # everything executed is on the backup: the view is joined
            self._transfer = None
        self._echo = max(self._echo, confirm.echo)
        self._commit(confirm.op)
        return None

    def on_piece_received(self, message: PieceReceived) -> str | None:
        """The backup gathered pieces; send the next ones at flush."""
        if self._transfer is None:
            return "no transfer is under way"
        if message.attempt == 0:  # the backup has just heard of the view
            if self._greeted:
                return "the backup has greeted before"
            self._greeted = True
            self._transfer.resend()
        elif message.attempt == self._transfer.attempt:
            self._transfer.on_received(message.received)
        else:
            return "a piece of another attempt"
        return None

    def on_resend_tick(self) -> None:
        """Repeat, at flush, what the backup has not confirmed, unless it was heard since the last
        tick. One tick for all of it (R28).
        """
        received = 0 if self._transfer is None else self._transfer.acknowledged
        heard = (self.view.number, self._echo, self.state.op, received)
        if heard == self._heard:
            self._forwarded = 0
            self._repeat = True
            if self._transfer is not None:
                self._transfer.resend()
        self._heard = heard

    def waits_for_backup(self) -> bool:
        """Tell whether anything was sent to the backup that it has not confirmed."""
        return self.view.backup is not None and bool(
            self._transfer or (self.operating and (self._ordered or self._queries))
        )

    # -- flush --------------------------------------------------------------------------------

    def flush(self, out: Outbox) -> None:
        """Order what was gathered, send to the backup, answer clients."""
        if self.view.backup is None:
            self._order_all()
            self._commit(self._ordered_end)
        elif self._transfer is not None:
            self._fill(self._transfer, out)
        elif self.operating:
            self._send_forwards(out)
        self._replies.flush(self.view, self.copies, out)

    @property
    def copies(self) -> int:
        """Copies of the state that an answer waits for."""
        return 1 if self.view.backup is None else 2

    def _order_all(self) -> None:
        while self._intake.gathered:
            self._order_batch()

    def _order_batch(self) -> None:
        """Give the next gathered commands their places, up to the size of one forward."""
        operations: list[Operation] = []
        size = 0
        first = self._ordered_end + 1
        gathered = self._intake.gathered
        while gathered:
            item = gathered[0]
            if isinstance(item, WaitingQuery):
                item.position = self._ordered_end + len(operations)
                self._queries.append(item)
            else:
                size += len(item[4])
                if operations and (
                    len(operations) >= self._limits.forward_operations_max
                    or size > self._limits.forward_bytes_max
                ):
                    break
                operations.append(item)
            gathered.popleft()
        if operations:
            self._ordered_stamp = self._stamps(self._ordered_stamp)
            self._ordered.append(OrderedBatch(first, self._ordered_stamp, tuple(operations)))
            self._ordered_end += len(operations)

    def _send_forwards(self, out: Outbox) -> None:
        confirm = self._confirm + 1
        sent = False
        while self._forwarded < self._limits.forwards_in_flight_max:
            if self._forwarded == len(self._ordered):
                self._order_batch()
            if self._forwarded == len(self._ordered):
                break
            batch = self._ordered[self._forwarded]
            self._send_forward(batch, confirm, out)
            self._forwarded += 1
            self._sent_end = max(self._sent_end, batch.end)
            sent = True
        unproven = bool(self._queries) and self._queries[-1].confirm is None
        if (unproven or (self._repeat and self._queries)) and not sent:
            self._send_forward(OrderedBatch(self._ordered_end + 1, b"", ()), confirm, out)
            sent = True
        for waiting in reversed(self._queries):
            if waiting.confirm is not None:
                break
            waiting.confirm = confirm
        self._repeat = False
        if sent:
            self._confirm = confirm

    def _send_forward(self, batch: OrderedBatch, confirm: int, out: Outbox) -> None:
        backup = self.view.backup
        if backup is None:
            raise InvariantViolated("R16: a forward in a view without a backup")
        out.send(
            backup.name,
            Forward(
                self.view.number,
                backup.incarnation,
                confirm,
                batch.first,
                batch.stamp,
                batch.operations,
            ),
        )

    def _fill(self, transfer: OutgoingTransfer, out: Outbox) -> None:
        try:
            self._send_pieces(transfer, out)
        except UnsupportedValue as error:
            self.cannot_copy = str(error)
            self._transfer = None
            out.emit(RoleChanged(Role.PRIMARY, self.describe()))

    def _send_pieces(self, transfer: OutgoingTransfer, out: Outbox) -> None:
        backup = self.view.backup
        if backup is None:
            raise InvariantViolated("R22: a transfer in a view without a backup")
        confirm = self._confirm + 1
        for index, section, body, last in transfer.next_pieces():
            self._confirm = confirm
            out.send(
                backup.name,
                Piece(
                    self.view.number,
                    backup.incarnation,
                    transfer.attempt,
                    transfer.base,
                    self.state.stamp,
                    confirm,
                    index,
                    last,
                    int(section),
                    body,
                ),
            )

    # -- commit -------------------------------------------------------------------------------

    def _commit(self, op: int) -> None:
        """Execute and answer everything up to ``op``, queries at their places in between."""
        self._answer_queries()
        while self.state.op < op:
            batch = self._ordered[0]
            for operation in batch.operations[self.state.op + 1 - batch.first :]:
                if self.state.op == op:
                    return
                self._execute(batch.stamp, operation)
                if self._queries:
                    self._answer_queries()
            self._ordered.popleft()
            self._forwarded = max(0, self._forwarded - 1)

    def _execute(self, stamp: bytes, operation: Operation) -> None:
        if self._queries and self._queries[0].position == self.state.op:
            raise InvariantViolated(
                f"R37: a query at op {self.state.op} would be overtaken by the next command"
            )
        self._intake.executed(operation, self.state.execute(stamp, operation))

    def _answer_queries(self) -> None:
        alone = self.view.backup is None
        while self._queries:
            waiting = self._queries[0]
            if waiting.position != self.state.op:
                return
            if not alone and (waiting.confirm is None or waiting.confirm > self._echo):
                return
            self._queries.popleft()
            self._intake.answered(waiting, self.state.query(waiting.query))

    def leave(self, view: View, out: Outbox) -> None:
        """End of the role: tell the clients that wait to ask elsewhere (R39, R40)."""
        self._intake.refuse_all(Reason.NOT_PRIMARY, "no longer primary")
        self._replies.flush(view, 0, out)

    # -- copies -------------------------------------------------------------------------------

    def clone(self, state: ReplicatedState) -> Primary:
        """Return an independent copy over ``state``, an equal one."""
        copy = object.__new__(Primary)
        copy.__dict__.update(self.__dict__)
        copy.state = state
        copy._replies = self._replies.clone()
        copy._transfer = None if self._transfer is None else self._transfer.clone(state)
        copy._intake = self._intake.clone(state, copy._replies)
        copy._queries = deque(replace(waiting) for waiting in self._queries)
        copy._ordered = deque(self._ordered)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            "primary",
            (self.operating, self._greeted),
            None if self._transfer is None else self._transfer.freeze(),
            self._intake.freeze(),
            tuple(self._ordered),
            (self._ordered_end, self._ordered_stamp, self._forwarded, self._sent_end),
            tuple(waiting.freeze() for waiting in self._queries),
            (self._confirm, self._echo, self._repeat, self._heard),
            self._replies.freeze(),
        )

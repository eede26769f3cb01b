"""What a replica is while it is primary, for one unbroken time over any number of views.

A ``Primary`` takes requests, puts commands in order, forwards them to the backup and, once the
backup has confirmed, executes and answers them (R16). It is made when the role begins and dropped
when it ends, and with it go, unexecuted, its pending commands, its marks of what is taken and its
waiting queries (R39). If it stays primary in the next view, it keeps them, with their op numbers
and stamps (R51), and fills the new backup, answering alone meanwhile where it may (R33).

**Order.** What clients send is gathered in order of arrival. At flush the gathered commands get op
numbers and go out as one forward. A query is placed between two commands: it is answered from the
state right after the op number that was last when it was placed, so the boundaries of batches
cannot change what it sees.

**Queries.** Each message to the backup carries a confirm number, counted up per flush. A query
waits for the echo of a number first sent after it arrived (R37): the echo proves that the view
still stood then, so no later primary can have answered anything before the query began. A lease
would prove the same only for as long as clocks agree.

**Divergence.** Each confirmation carries the chained digest of the backup's results, which is
compared before anything of it is answered (R50).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import replace

from pbactors.config import Limits
from pbactors.errors import InvariantViolated, UnsupportedValue
from pbactors.protocol.backup_link import BackupLink
from pbactors.protocol.command_log import CommandLog, OrderedBatch, StampSource
from pbactors.protocol.core import Address, Outbox
from pbactors.protocol.events import Diverged, RoleChanged
from pbactors.protocol.filling import Filling
from pbactors.protocol.handover import Handover
from pbactors.protocol.intake import Intake, WaitingQuery
from pbactors.protocol.messages import Confirm, PieceReceived, Reason, Report, Request, Section
from pbactors.protocol.replies import Replies
from pbactors.protocol.state import ReplicatedState
from pbactors.protocol.state_transfer import OutgoingTransfer
from pbactors.protocol.view import Role, View

__all__ = ["Primary"]


class Primary:
    """The primary, from the view in which it becomes one until it is something else.

    Args:
        view: the first view of this time as primary.
        state: its replicated state.
        limits: bounds.
        stamps: source of stamps.
        min_copies: how many copies an answer needs: 1, or 2 to wait for a backup instead.
        keeps_own: whether the backup may go on with the state that it has: it was primary of the
            view before, and this one its backup (R45).

    Attributes:
        operating: whether it has joined its view: there is no backup, or the backup holds the
            complete state (R15).
    """

    def __init__(
        self,
        view: View,
        state: ReplicatedState,
        limits: Limits,
        stamps: StampSource,
        min_copies: int,
        keeps_own: bool,
    ) -> None:
        self.state = state
        self._limits = limits
        self._min_copies = min_copies
        self._replies = Replies(limits)
        self._intake = Intake(state, self._replies, limits)
        self._log = CommandLog(state.op, state.stamp, stamps)
        self._queries: deque[WaitingQuery] = deque()
        self.enter(view, keeps_own)

    def enter(self, view: View, keeps_own: bool = False) -> None:
        """Begin a view, keeping what is pending (R39). A backup is filled first (R22)."""
        self.view = view
        self.operating = view.backup is None
        self._handover = Handover()
        self._diverged = False
        self._greeted = False
        self._log.forget(self.state.op)
        self._log.forward_again()
        for waiting in self._queries:  # unanswered queries start again (R37)
            waiting.confirm = None
        self._link: BackupLink | None = None
        self._filling: Filling | None = None
        if view.backup is not None:
            self._link = BackupLink(view, view.backup, self.state.op)
            self._filling = self._new_filling(1, keeps_own)

    def _new_filling(self, attempt: int, keeps_own: bool) -> Filling:
        state, limits = self.state, self._limits
        alone = self._min_copies == 1 and (keeps_own or state.executes_during_snapshot())
        pieces = (
            iter([(Section.OWN, b"")])
            if keeps_own
            else state.snapshot(limits.snapshot_piece_bytes_max)
        )
        transfer = OutgoingTransfer(state, attempt, pieces, limits.pieces_in_flight_max)
        return Filling(transfer, state, alone)

    # -- what others ask about it -------------------------------------------------------------

    @property
    def alone(self) -> bool:
        """Whether it answers without a backup: there is none, or R33 allows it."""
        if self._filling is not None:
            return self._filling.alone
        return self._link is None and self._min_copies == 1

    @property
    def copies(self) -> int:
        """Copies of the state that an answer stands on; 0 while nothing may be answered."""
        if self._diverged:
            return 0
        if self._filling is not None or self._link is None:
            return 1 if self.alone else 0
        return 2

    @property
    def serving(self) -> bool:
        """Whether it takes commands and answers clients."""
        return self.copies > 0 and not self.leaves_role

    @property
    def report(self) -> Report:
        """What it says of its backup, to the view server."""
        if self._diverged:
            return Report.DIVERGED
        if self._has_handed_over():
            return Report.HANDED_OVER
        if self._link is not None and self._link.is_silent:
            return Report.UNREACHABLE
        return Report.NONE

    @property
    def stuck(self) -> bool:
        """Whether it can neither answer nor fill its backup."""
        return self._filling is not None and bool(self._filling.given_up) and not self.alone

    def describe(self) -> str:
        """Return the state of the role in words."""
        filling = self._filling
        if self._diverged:
            return "waiting for another backup: this one has come to other results"
        if filling is not None and filling.given_up:
            doing = "serving alone" if self.alone else "stuck"
            return f"{doing}: the state cannot be copied to a backup: {filling.given_up}"
        if filling is not None:
            return "serving alone, filling backup" if self.alone else "filling backup"
        if self.view.backup is None:
            return "serving alone" if self.alone else "waiting for a backup: min_copies is 2"
        return "handing over" if self.leaves_role else "serving"

    # -- clients ------------------------------------------------------------------------------

    def on_request(self, source: Address, request: Request) -> None:
        """Take a client's operations and queries."""
        self._intake.on_request(source, request)
        if self._filling is not None:
            self._filling.asked(len(request.operations) + len(request.queries))
        if self.stuck:
            self._replies.refuse(source, Reason.OVERLOADED, self.describe())

    # -- backup -------------------------------------------------------------------------------

    def on_confirm(self, confirm: Confirm, out: Outbox) -> str | None:
        """The backup holds everything up to an op number (R34). Returns why it changed nothing."""
        link = self._link
        if link is None:
            return "there is no backup"
        if self._diverged:
            return "the backup has diverged"
        if confirm.op > link.sent_end:
            raise InvariantViolated(
                f"R34: op {confirm.op} is confirmed, but only {link.sent_end} was sent"
            )
        link.hears()
        if self._filling is not None and not self._join(self._filling, confirm, out):
            return None
        link.echo = max(link.echo, confirm.echo)
        if confirm.op >= self.state.op:
            self._commit(confirm.op)
            self._log.forget(confirm.op)
            if self.state.digest != confirm.digest:
                self._diverge(confirm, out)
        else:
            self._answer_queries()
        return None

    def _join(self, filling: Filling, confirm: Confirm, out: Outbox) -> bool:
        """Note what a backup holds that is being filled. Returns whether the view is joined: the
        backup holds everything that was executed (R33).
        """
        if confirm.op < filling.confirmed:
            return False  # an older confirmation
        if confirm.op <= self.state.op and not filling.agrees(confirm.op, confirm.digest):
            self._diverge(confirm, out)
            return False
        filling.on_confirm(confirm.op)
        self._log.forget(confirm.op)
        if confirm.op < self.state.op:
            return False
        self._filling = None
        self.operating = True
        return True

    def _diverge(self, confirm: Confirm, out: Outbox) -> None:
        """The backup has come to other results: nothing is answered until a later view (R50)."""
        self._diverged = True
        name = "" if self.view.backup is None else self.view.backup.name
        out.emit(Diverged(name, confirm.op))
        out.emit(RoleChanged(Role.PRIMARY, self.describe()))

    def on_piece_received(self, message: PieceReceived) -> str | None:
        """The backup gathered pieces; send the next ones at flush."""
        if self._link is not None:
            self._link.hears()
        transfer = None if self._filling is None else self._filling.transfer
        if transfer is None:
            return "no transfer is under way"
        if message.attempt == 0:  # the backup has just heard of the view
            if self._greeted:
                return "the backup has greeted before"
            self._greeted = True
            transfer.resend()
        elif message.attempt != transfer.attempt:
            return "a piece of another attempt"
        elif transfer.sends_own and message.received == 0:
            self._fill_anew(transfer.attempt + 1)  # it has another state
        else:
            transfer.on_received(message.received)
        return None

    def on_resend_tick(self) -> None:
        """Repeat, at flush, what the backup has not confirmed, unless it was heard since the last
        tick. One tick for all of it (R28).
        """
        link, filling = self._link, self._filling
        if link is None:
            return
        transfer = None if filling is None else filling.transfer
        progress = (
            self.state.op if filling is None else filling.confirmed,
            0 if transfer is None else transfer.acknowledged,
        )
        if link.tick(progress):
            self._log.forward_again()
            if transfer is not None:
                transfer.resend()

    def _fill_anew(self, attempt: int) -> None:
        """Begin another transfer in this view, from the state as it is now."""
        self._filling = self._new_filling(attempt, keeps_own=False)
        self._log.forget(self.state.op)
        if self._link is not None:
            self._link.sent_end = self.state.op

    def waits_for_backup(self) -> bool:
        """Tell whether anything was sent to the backup that it has not confirmed."""
        if self._filling is not None:
            return not self._filling.given_up
        if self._link is None:
            return False
        return not self._log.is_executed or bool(self._queries) or self._is_parting()

    # -- handing over -------------------------------------------------------------------------

    def hand_over(self) -> None:
        """Order nothing new, finish what is under way, and let the backup take over (R44)."""
        if self.operating and self.view.backup is not None and not self._diverged:
            self._handover.begin()

    @property
    def leaves_role(self) -> bool:
        """Whether it hands over to its backup, and so orders nothing new (R44)."""
        return self._handover.under_way

    def _is_parting(self) -> bool:
        """Tell whether it hands over, and its backup has not said since that it is there."""
        echo = 0 if self._link is None else self._link.echo
        return self.leaves_role and self._handover.waits(echo)

    def _has_handed_over(self) -> bool:
        """Tell whether the backup holds everything, and is there, and nothing is under way."""
        if not self.leaves_role or not self._log.is_executed or self._queries:
            return False
        return not self._is_parting()

    def on_ping_tick(self) -> None:
        """Another ping: no new view came in time, so go on as before (R44)."""
        self._handover.on_ping_tick()

    # -- flush --------------------------------------------------------------------------------

    def flush(self, out: Outbox) -> None:
        """Order what was gathered, send to the backup, answer clients."""
        copies = self.copies  # what is executed alone in this flush has one, whatever it ends with
        if not self._diverged:
            self._go_on(out)
        self._replies.flush(self.view, copies, out)

    def _go_on(self, out: Outbox) -> None:
        if self._link is None:
            if self.alone:
                self._serve_alone(None)
        elif self._filling is not None:
            self._fill(self._filling, self._link, out)
        else:
            self._send_forwards(self._link, out, orders=not self.leaves_role)

    def _serve_alone(self, filling: Filling | None) -> None:
        """Order and execute what was gathered; while a backup is filled, as much as there is room
        for.
        """
        self._commit(self._log.end)  # what was pending when the view began
        while self._intake.gathered:
            before = self._log.end
            self._order_batch(None if filling is None else self._room(filling))
            self._commit(self._log.end)
            if self._log.end == before:
                break  # no room, or queries alone
        if filling is None or filling.given_up:  # else it waits for the backup
            self._log.forget(self.state.op)

    def _room(self, filling: Filling) -> int | None:
        if filling.given_up:
            return None
        return filling.room(self._log, self._limits.catch_up_bytes_max)

    def _order_batch(self, room: int | None = None) -> None:
        """Give the next gathered commands their places, ``room`` of them at most."""
        operations, queries = self._intake.next_batch(self._log.end, room)
        self._queries += queries
        if operations:
            self._log.order(operations)

    def _fill(self, filling: Filling, link: BackupLink, out: Outbox) -> None:
        """Go on filling the backup, and answer alone meanwhile if that is allowed (R33)."""
        if filling.alone:
            self._serve_alone(filling)
        if filling.transfer is not None:
            try:
                link.fill(filling.transfer, filling.next_pieces(), out)
            except UnsupportedValue as error:
                filling.give_up(str(error), alone=self._min_copies == 1)
                link.hears()
                out.emit(RoleChanged(Role.PRIMARY, self.describe()))
            link.end_flush()
        elif filling.installed:
            self._send_forwards(link, out, orders=not filling.alone)
            if filling.alone and self._log.is_forwarded:
                filling.stop_alone()

    def _send_forwards(self, link: BackupLink, out: Outbox, orders: bool) -> None:
        """Send what is ordered and not under way; with ``orders``, order what was gathered."""
        log = self._log
        while log.forwarded < self._limits.forwards_in_flight_max:
            if orders and self._intake.gathered and log.is_forwarded:
                self._order_batch()
            if log.is_forwarded:
                break
            link.forward(log.forward(), out)
        if self._queries or self.leaves_role:
            self._ask_backup(link, out)
        link.end_flush()

    def _ask_backup(self, link: BackupLink, out: Outbox) -> None:
        """See to it that the backup says, for who waits for that, that the view still stands."""
        unproven = bool(self._queries) and self._queries[-1].confirm is None
        unproven |= self._handover.has_to_ask
        waiting_for_echo = bool(self._queries) or self._is_parting()
        if (unproven or (link.repeats and waiting_for_echo)) and not link.has_sent:
            end = self._log.end
            link.forward(OrderedBatch(end + 1, end, b"", ()), out)
        self._handover.asks(link.confirm)
        for waiting in reversed(self._queries):
            if waiting.confirm is not None:
                break
            waiting.confirm = link.confirm

    # -- commit -------------------------------------------------------------------------------

    def _commit(self, op: int) -> None:
        """Execute and answer everything up to ``op``, queries at their places in between."""
        self._answer_queries()
        state = self.state
        while state.op < op:
            batch = self._log.next_batch()
            before, last = state.op, min(op, batch.end)
            while state.op < last:
                end = self._next_query(last)
                some = batch.operations[state.op + 1 - batch.first : end + 1 - batch.first]
                self._intake.executed(some, state.execute(batch.stamp, some))
                self._answer_queries()
            if state.op < batch.end:
                return
            self._log.batch_is_executed()
            if self._filling is not None:
                self._filling.executed(state.op - before, state)

    def _next_query(self, end: int) -> int:
        """Return how far commands may be executed before a query must be answered."""
        if not self._queries:
            return end
        position = self._queries[0].position
        if position is None or position <= self.state.op:
            raise InvariantViolated(
                f"R37: a query at op {self.state.op} would be overtaken by the next command"
            )
        return min(end, position)

    def _answer_queries(self) -> None:
        if not self._queries:
            return
        alone, echo = self.alone, 0 if self._link is None else self._link.echo
        queries, state = self._queries, self.state
        while queries:
            waiting = queries[0]
            if waiting.position != state.op:
                return
            if not alone and (waiting.confirm is None or waiting.confirm > echo):
                return
            queries.popleft()
            self._intake.answered(waiting, state.query(waiting.query))

    def leave(self, view: View, out: Outbox) -> None:
        """End of the role: tell the clients that wait to ask elsewhere (R39, R40)."""
        self._replies.flush(self.view, self.copies, out)
        self._intake.refuse_all(Reason.NOT_PRIMARY, "no longer primary")
        self._replies.flush(view, 0, out)

    # -- copies -------------------------------------------------------------------------------

    def clone(self, state: ReplicatedState) -> Primary:
        """Return an independent copy over ``state``, an equal one."""
        copy = object.__new__(Primary)
        copy.__dict__.update(self.__dict__)
        copy.state = state
        copy._replies = self._replies.clone()
        copy._link = None if self._link is None else self._link.clone()
        copy._filling = None if self._filling is None else self._filling.clone()
        copy._handover = self._handover.clone()
        copy._intake = self._intake.clone(state, copy._replies)
        copy._queries = deque(replace(waiting) for waiting in self._queries)
        copy._log = self._log.clone()
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            "primary",
            (self.operating, self._greeted, self._diverged),
            self._handover.freeze(),
            None if self._link is None else self._link.freeze(),
            None if self._filling is None else self._filling.freeze(),
            self._intake.freeze(),
            self._log.freeze(),
            tuple(waiting.freeze() for waiting in self._queries),
            self._replies.freeze(),
        )

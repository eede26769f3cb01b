"""The client session: every call answered once, whoever is primary (R29-R32, R40, R41).

Calls are taken in order and kept until they are answered. Commands get request numbers without a
gap, at their first send and for ever; queries carry the number of the last command before them.
After silence, a rejection or a change of primary everything unanswered is sent again: the session
table makes that harmless.

The view is cached. The view server is asked at the start, on silence and on a rejection, never per
operation (R30).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import ClassVar

from pbactors.config import Limits, Timing
from pbactors.protocol.core import Address, Outbox, Status, Timer
from pbactors.protocol.events import Ignored, SessionClosed, SessionLost, ViewInstalled
from pbactors.protocol.messages import (
    GetView,
    Message,
    Reason,
    Refused,
    Reply,
    Request,
    SessionGone,
    ViewReply,
)
from pbactors.protocol.operations import Kind, Operation, Query, in_order
from pbactors.protocol.view import Member, Role, View
from pbactors.protocol.view_follower import ViewFollower

__all__ = ["Client"]

CLOSING = -1
"""Stands for the call of the operation that closes the session: nobody waits for it."""

REQUEST_ITEMS_MAX = 4096
"""Operations and queries in one request; more go in several."""

PATIENT_ROUNDS = 8
"""So many fruitless rounds are made at the first pace, before waits begin to double."""


class Client(ViewFollower):
    """The core of a client.

    Args:
        member: an empty name, and the incarnation of this client.
        view_server: name of the view server's node.
        contract: what the cluster must agree on; nothing is sent to one that has another.
        timing: intervals.
        limits: bounds.
        tokens: returns a new random token for a session (R41).

    Attributes:
        session: the id of the open session; 0 for none.
        refusal: the text of the last refusal since progress was made, for people.
        other_contract: what the cluster's nodes agree on instead, or empty.
    """

    handlers: ClassVar[Mapping[type[Message], str]] = {
        ViewReply: "on_view_reply",
        Reply: "on_reply",
        Refused: "on_refused",
        SessionGone: "on_session_gone",
    }

    def __init__(
        self,
        member: Member,
        view_server: str,
        contract: str,
        timing: Timing,
        limits: Limits,
        tokens: Callable[[], bytes],
    ) -> None:
        super().__init__(member, view_server)
        self._contract = contract
        self._timing = timing
        self._limits = limits
        self._tokens = tokens
        self.other_contract = ""
        self.refusal = ""
        self.session = 0
        self._token = b""
        self._opening = False  # whether an opening is under way
        self._closing = False  # whether the user has ended
        self._closed = False  # whether the closing has its number
        # Ordered dicts, because the first of a plain one is found in O(deleted before it).
        # call -> (is it a query, body): not sent yet
        self._waiting: OrderedDict[int, tuple[bool, bytes]] = OrderedDict()
        # request number -> (call, body): sent and not answered
        self._commands: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        # call, which serves as query id -> (after, body): sent and not answered
        self._queries: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._last_number = 0
        self._send_again = False  # whether the next flush repeats everything unanswered
        # patience
        self._asking = False
        self._ticking = False
        self._backing_off = False
        self._failures = 0
        self._oldest: tuple[Hashable, ...] = ()

    # -- the user's side ----------------------------------------------------------------------

    def on_start(self, out: Outbox) -> None:
        """Ask who is primary."""
        self._ask(out)

    def on_call(self, call: int, is_query: bool, body: bytes) -> None:
        """Take a call; it is sent at flush, in order.

        Args:
            call: the driver's name for it: a number higher than any before.
            is_query: whether it changes nothing.
            body: the encoded method and arguments.
        """
        self._waiting[call] = (is_query, body)

    def withdraw(self, call: int) -> bool:
        """Give up a call whose deadline has passed.

        Returns:
            True if it was never sent, so that it certainly did not happen (R31). A command that
            was sent goes on being retried, so that the session has no gap (R40).
        """
        self._queries.pop(call, None)
        return self._waiting.pop(call, None) is not None

    def on_close(self, out: Outbox) -> list[int]:
        """End the session by a command (R41); ``SessionClosed`` is emitted once it is ended.

        Returns:
            The calls that were never sent and now never will be: they certainly did not happen.
        """
        unsent = list(self._waiting)
        self._waiting.clear()
        self._closing = True
        if not self.session and not self._token:
            out.emit(SessionClosed())
        return unsent

    # -- views --------------------------------------------------------------------------------

    def on_view_reply(self, source: Address, reply: ViewReply, out: Outbox) -> None:
        """Adopt a higher view, of a cluster that replicates what we expect."""
        self._asking = False
        self.other_contract = "" if reply.contract == self._contract else reply.contract
        super().on_view_reply(source, reply, out)

    def adopted(self, before: View, out: Outbox) -> None:
        """A new primary has heard nothing yet: send everything unanswered again."""
        if self.view.primary != before.primary:
            self._send_again = True
            self._backing_off = False
            self._failures = 0
        out.emit(ViewInstalled(self.view))

    def _ask(self, out: Outbox) -> None:
        if not self._asking:
            self._asking = True
            out.send(self.view_server, GetView())

    # -- answers ------------------------------------------------------------------------------

    def on_reply(self, source: Address, reply: Reply, out: Outbox) -> None:
        """End the calls that are answered."""
        self._failures = 0
        self.refusal = ""
        commands, copies = self._commands, reply.copies
        for session, number, outcome in reply.results:
            if number == 0:
                self._opened(session, outcome)
            elif number in commands and session == self.session:
                call, _ = commands.pop(number)
                if call == CLOSING:
                    self._forget_session()
                    out.emit(SessionClosed())
                else:
                    out.complete(call, outcome, copies)
        for query, outcome in reply.answers:
            if self._queries.pop(query, None) is not None:
                out.complete(query, outcome, reply.copies)

    def _opened(self, session: int, token: bytes) -> None:
        if not self.session and token == self._token:
            self.session = session

    def on_refused(self, source: Address, message: Refused, out: Outbox) -> None:
        """Later (R40). A view number not below ours means that we may be behind (R30)."""
        self.refusal = message.text
        if message.reason == Reason.NOT_PRIMARY and message.view >= self.view.number:
            self._ask(out)
        if not self._backing_off and not self._send_again:
            self._backing_off = True  # once, however many messages were refused
            self._failures += 1
            self._set_retry(self._timing.ping_interval_ms, out)

    def on_session_gone(self, source: Address, message: SessionGone, out: Outbox) -> None:
        """The session is unknown: what was sent may have happened (R41)."""
        if message.session != self.session or not self.session:
            out.emit(Ignored(SessionGone, "not our session"))
            return
        lost = [call for call, _ in self._commands.values() if call != CLOSING]
        self._forget_session()
        for call in lost:
            out.complete(call, None, 0)
        # whatever these queries had to see was answered, so it is in the state, or is lost
        for query, (_, body) in self._queries.items():
            self._queries[query] = (0, body)
        self._send_again = True
        out.emit(SessionClosed() if self._closing else SessionLost(message.session))

    def _forget_session(self) -> None:
        self.session = 0
        self._token = b""
        self._opening = False
        self._last_number = 0
        self._commands.clear()

    def on_stranger(self, source: Address, message: Message, reason: str, out: Outbox) -> None:
        """Keep a refusal's text although it comes from another cluster."""
        if isinstance(message, Refused):
            self.refusal = message.text

    # -- patience -----------------------------------------------------------------------------

    def on_timer(self, timer: Timer, out: Outbox) -> None:
        """Send again what was silent for a whole interval, and ask who is primary."""
        if timer is not Timer.RETRY:
            return
        self._ticking = self._backing_off = False
        oldest = self._oldest_unanswered()
        if oldest and oldest == self._oldest:
            self._failures += 1
            self._asking = False
            self._ask(out)
            self._send_again = True

    def _oldest_unanswered(self) -> tuple[Hashable, ...]:
        """Name what has been waiting longest; if it changes, there is progress."""
        if not self._unanswered():
            return ()
        return (
            next(iter(self._commands), None),
            next(iter(self._queries), None),
            self.session,
        )

    def _unanswered(self) -> bool:
        return bool(
            self._commands or self._queries or self._waiting or (self._token and self._closing)
        )

    def _set_retry(self, base_ms: int, out: Outbox) -> None:
        self._ticking = True
        self._oldest = self._oldest_unanswered()
        delay_ms = base_ms << min(max(0, self._failures - PATIENT_ROUNDS), 16)
        out.set_timer(Timer.RETRY, min(delay_ms, self._timing.client_resend_max_ms))

    # -- sending ------------------------------------------------------------------------------

    def flush(self, out: Outbox) -> None:
        """Send new calls, and everything unanswered where that is due."""
        if self.view.primary is not None and not self.other_contract:
            commands: list[int] = []
            queries: list[int] = []
            if self._send_again:
                self._send_again = self._opening = False
                commands += self._commands
                queries += self._queries
            opening = self._due_opening()
            self._number_waiting(commands, queries)
            self._number_closing(commands)
            self._send(
                self.view.primary.name,
                opening + self._operations(commands),
                [(query, self.session, *self._queries[query]) for query in queries],
                out,
            )
        if self._unanswered() and not self._ticking:
            self._set_retry(self._timing.client_resend_ms, out)

    def _due_opening(self) -> list[Operation]:
        """Open a session once a command needs one."""
        if self.session or self._opening:
            return []
        if not self._token:
            if all(is_query for is_query, _ in self._waiting.values()):
                return []
            self._token = self._tokens()
        self._opening = True
        return [(0, 0, 0, int(Kind.OPEN), self._token)]

    def _number_waiting(self, commands: list[int], queries: list[int]) -> None:
        """Take calls from the line while the session's window has room."""
        taken = 0
        room = self._room() if self.session else 0
        for call, (is_query, body) in self._waiting.items():
            if is_query:
                self._queries[call] = (self._last_number, body)
                queries.append(call)
            elif room > 0:
                room -= 1
                commands.append(self._number(call, body))
            else:
                break
            taken += 1
        if taken == len(self._waiting):
            self._waiting.clear()
        else:
            for _ in range(taken):
                self._waiting.popitem(last=False)

    def _number_closing(self, commands: list[int]) -> None:
        """The last command of a session ends it."""
        if self._closing and self.session and not self._closed and self._room() > 0:
            self._closed = True
            commands.append(self._number(CLOSING, b""))

    def _number(self, call: int, body: bytes) -> int:
        self._last_number += 1
        self._commands[self._last_number] = (call, body)
        return self._last_number

    @property
    def _floor(self) -> int:
        """The lowest number whose result has not arrived (R32)."""
        return next(iter(self._commands), self._last_number + 1)

    def _room(self) -> int:
        """How many commands the session's window still has room for."""
        return self._floor + self._limits.session_window - 1 - self._last_number

    def _operations(self, numbers: list[int]) -> list[Operation]:
        session, floor, commands = self.session, self._floor, self._commands
        kinds = {CLOSING: int(Kind.CLOSE)}
        calling = int(Kind.CALL)
        return [
            (session, number, floor, kinds.get(call, calling), body)
            for number in numbers
            for call, body in (commands[number],)
        ]

    def _send(
        self, primary: str, operations: list[Operation], queries: list[Query], out: Outbox
    ) -> None:
        """Send requests of bounded size, each query in front of the command that follows it."""
        size = sum([len(row[4]) for row in operations]) + sum([len(row[3]) for row in queries])
        if size <= self._limits.forward_bytes_max and (
            0 < len(operations) + len(queries) <= REQUEST_ITEMS_MAX
        ):
            self._send_request(primary, operations, queries, out)
        else:
            self._send_several(primary, operations, queries, out)

    def _send_several(
        self, primary: str, operations: list[Operation], queries: list[Query], out: Outbox
    ) -> None:
        some_operations: list[Operation] = []
        some_queries: list[Query] = []
        size = 0
        for operation, query in in_order(operations, queries):
            if (
                size > self._limits.forward_bytes_max
                or len(some_operations) + len(some_queries) == REQUEST_ITEMS_MAX
            ):
                self._send_request(primary, some_operations, some_queries, out)
                some_operations, some_queries, size = [], [], 0
            if operation is not None:
                some_operations.append(operation)
                size += len(operation[4])
            if query is not None:
                some_queries.append(query)
                size += len(query[3])
        if some_operations or some_queries:
            self._send_request(primary, some_operations, some_queries, out)

    def _send_request(
        self, primary: str, operations: list[Operation], queries: list[Query], out: Outbox
    ) -> None:
        out.send(primary, Request(self.view.number, tuple(operations), tuple(queries)))

    # -- copies and people --------------------------------------------------------------------

    def clone(self) -> Client:
        """Return an independent copy."""
        copy = object.__new__(Client)
        copy.__dict__.update(self.__dict__)
        copy._waiting = OrderedDict(self._waiting)
        copy._commands = OrderedDict(self._commands)
        copy._queries = OrderedDict(self._queries)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            (self.member, self.cluster, self.view, self.session, self._token),
            (self._opening, self._closing, self._closed, self._last_number),
            tuple(self._waiting.items()),
            tuple(self._commands.items()),
            tuple(self._queries.items()),
            (self._send_again, self._asking, self._ticking, self._backing_off),
            (self._failures, self._oldest),
        )

    def status(self) -> Status:
        """Return what people see."""
        state = "session open" if self.session else "no session"
        return Status(Role.CLIENT, state, self.view, self.acked, op=0, copies=0)

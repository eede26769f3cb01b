"""``ClientActor``: a client session on real sockets, and the calls that wait in this process."""

from __future__ import annotations

import heapq
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import pykka

from pbactors.actors.call_future import CallFuture
from pbactors.actors.core_actor import CoreActor, Life
from pbactors.actors.incarnations import new_incarnation
from pbactors.errors import CallError, NotSent, OutcomeUnknown, SessionExpired, WrongMachine
from pbactors.machines.calls import decode_outcome
from pbactors.protocol.client import Client
from pbactors.protocol.events import Event, Ignored, SessionClosed, ViewInstalled
from pbactors.protocol.operations import TOKEN_BYTES
from pbactors.protocol.view import NO_VIEW, Member
from pbactors.topology import Topology
from pbactors.transport.interface import Transport
from pbactors.transport.zeromq import ZeroMQTransport

__all__ = ["Admission", "ClientActor", "Close"]

logger = logging.getLogger("pbactors.client")

DEADLINE = "deadline"
"""The driver's own timer: the earliest deadline of a call has passed."""

CLOSING = "closing"
"""The driver's own timer: the session did not close in time."""

DEADLINES_KEPT = 64
"""So many deadlines of calls that have ended are kept rather than looked for."""

CLOSED = "the client was closed; it was not sent: it did not happen"


class Admission:
    """The door between threads that call and the client's actor.

    It bounds how many calls are open, since an actor's inbox does not, and it closes: no call can
    slip in behind the actor's back and wait for ever.

    Args:
        calls_max: calls that may be open at once.
    """

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._calls = 0
        self._open = True
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)

    def submit(
        self,
        actor: pykka.ActorRef[ClientActor],
        is_query: bool,
        body: bytes,
        timeout_s: float | None,
    ) -> pykka.Future[Any]:
        """Hand a call over; blocks while too many are open. From any thread.

        Raises:
            NotSent: the client is closed, or no call ended in time.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        future: pykka.Future[Any] = CallFuture()
        with self._lock:
            if self._calls >= self._calls_max and not self._room.wait_for(
                lambda: self._calls < self._calls_max or not self._open, timeout_s
            ):
                raise NotSent(f"too many calls were open for {timeout_s} s; it was not sent")
            if not self._open:
                raise NotSent("this client is closed; it was not sent")
            self._calls += 1
            actor.tell(Submit(future, is_query, body, timeout_s, deadline_s))
        return future

    def ended(self, count: int) -> None:
        """So many calls have ended."""
        with self._lock:
            self._calls -= count
            self._room.notify(count)

    def close(self) -> None:
        """Let no more calls in."""
        with self._lock:
            self._open = False
            self._room.notify_all()


class Submit(NamedTuple):
    """A call on its way to the actor.

    Attributes:
        future: set to the result, or to the ``CallError``, exactly once.
        is_query: whether the method changes nothing.
        body: the encoded method and arguments.
        timeout_s: what the caller was willing to wait, for the error's text.
        deadline_s: when the future is set to an error, on the monotonic clock; None for never.
    """

    future: pykka.Future[Any]
    is_query: bool
    body: bytes
    timeout_s: float | None
    deadline_s: float | None


@dataclass(frozen=True, slots=True)
class Close:
    """Tell this to a ``ClientActor``: end the session, then stop.

    Attributes:
        timeout_s: how long to wait for the cluster's answer.
    """

    timeout_s: float


class ClientActor(CoreActor):
    """A client of a cluster.

    Calls come through its ``admission``; ``tell`` it :class:`Close` to end. When it stops, for
    whatever reason, every waiting future is set to an error.

    Args:
        topology: the cluster.
        admission: through which calls come.
        transport: instead of ZeroMQ sockets.
    """

    def __init__(
        self,
        topology: Topology,
        admission: Admission,
        ready: pykka.Future[None],
        transport: Transport | None = None,
        life: Life | None = None,
    ) -> None:
        peers = {node.name: node.address for node in topology.nodes}
        super().__init__(
            "client",
            transport
            or ZeroMQTransport(
                None, None, peers, message_bytes_max=topology.limits.message_bytes_max
            ),
            topology.timing,
            topology.limits.message_bytes_max,
            ready,
            life,
        )
        self.core: Client
        self._topology = topology
        self._admission = admission
        self._calls: dict[int, Submit] = {}
        self._last_call = 0
        self._deadlines: list[tuple[float, int]] = []
        self._view = NO_VIEW
        self._closing = False
        self._ended = 0  # calls that ended in this batch

    def begin(self) -> None:
        """Begin a session; it is opened by the first command."""
        self.follow_views(self._topology)
        self.run(
            Client(
                Member("", new_incarnation()),
                self._topology.view_server.name,
                self._topology.contract,
                self._topology.timing,
                self._topology.limits,
                lambda: secrets.token_bytes(TOKEN_BYTES),
            )
        )

    # -- calls --------------------------------------------------------------------------------

    def on_told(self, message: Any) -> None:
        """Take a call, or the end."""
        if isinstance(message, Submit):
            self._submit(message)
        elif isinstance(message, Close):
            self._begin_to_close(message.timeout_s)
        else:
            super().on_told(message)

    def _begin_to_close(self, timeout_s: float) -> None:
        self._closing = True
        self._admission.close()
        for call in self.core.on_close(self._outbox):
            self._end(self._calls.pop(call), NotSent(CLOSED))
        self.actor_inbox.set_timer(CLOSING, timeout_s * 1000)

    def _submit(self, submit: Submit) -> None:
        if self._closing:  # it came through the door just before
            self._end(submit, NotSent(CLOSED))
            return
        self._last_call += 1
        call = self._last_call
        self._calls[call] = submit
        if submit.deadline_s is not None:
            heapq.heappush(self._deadlines, (submit.deadline_s, call))
            if self._deadlines[0][1] == call:
                self._watch_deadlines()
        self.core.on_call(call, submit.is_query, submit.body)

    def on_complete(self, call: int, outcome: bytes | None, copies: int) -> None:
        """A call has ended: decode its outcome and hand it over."""
        submit = self._calls.pop(call, None)
        if submit is None:
            return  # its deadline passed before
        if outcome is None:
            error = SessionExpired(
                "the cluster has dropped this client's session; the call may have happened"
            )
            self._end(submit, error)
            return
        try:
            result = decode_outcome(outcome)
        except Exception as raised:  # noqa: BLE001
            self._end(submit, raised)
        else:
            submit.future.set(result)
            self._ended += 1

    def _end(self, submit: Submit, error: Exception) -> None:
        submit.future.set_exception((type(error), error, None))
        self._ended += 1

    def on_due(self, timer: Any) -> None:
        """A deadline has passed."""
        if timer == CLOSING:
            self.stop()
        elif timer == DEADLINE:
            now_s = time.monotonic()
            while self._deadlines and self._deadlines[0][0] <= now_s:
                self._expire(heapq.heappop(self._deadlines)[1])
            while self._deadlines and self._deadlines[0][1] not in self._calls:
                heapq.heappop(self._deadlines)  # answered in time
            self._watch_deadlines()

    def _forget_answered(self) -> None:
        """Drop the deadlines of calls that have ended, before there are many more than open calls.

        They would pile up for as long as a call may take, and go all at once: half a million of
        them held up a client for half a second.
        """
        if len(self._deadlines) > 2 * len(self._calls) + DEADLINES_KEPT:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._calls]
            heapq.heapify(self._deadlines)

    def _watch_deadlines(self) -> None:
        if self._deadlines:
            left_s = self._deadlines[0][0] - time.monotonic()
            self.actor_inbox.set_timer(DEADLINE, max(0.0, left_s * 1000))

    def _expire(self, call: int) -> None:
        submit = self._calls.pop(call, None)
        if submit is not None:
            text = f"no answer within {submit.timeout_s} s"
            self._end(submit, self._unanswered(call, submit.is_query, text))

    def _unanswered(self, call: int, is_query: bool, text: str) -> CallError:
        """Return the error of a call without a result: certain, where that can be known (R31)."""
        if self.core.refusal:
            text += f" (last refusal: {self.core.refusal})"
        elif not self.core.view.number:
            address = self._topology.view_server.address
            says = "names no primary" if self.core.cluster else "does not answer"
            text += f" (the view server at {address} {says})"
        if self.core.withdraw(call):
            return NotSent(f"{text}; it was not sent: it did not happen")
        if is_query:
            return OutcomeUnknown(f"{text}; it is a query: nothing was changed")
        return OutcomeUnknown(f"{text}; it may have happened, or may still happen")

    # -- events -------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Follow the primary; end when the session has."""
        if isinstance(event, ViewInstalled):
            former = self._view.primary
            if former is not None and former != event.view.primary:
                self.transport.forget(former.name)
            self._view = event.view
        elif isinstance(event, SessionClosed):
            self.stop()
        if not isinstance(event, Ignored):
            logger.info("%s", event)

    def on_finished(self) -> None:
        """Make room for more calls; refuse to go on with another cluster than the file's."""
        if self._ended:
            self._admission.ended(self._ended)
            self._ended = 0
            self._forget_answered()
        if not self.core.other_contract:
            return
        text = (
            f"the cluster agreed on {self.core.other_contract!r}, but "
            f"{self._topology.path} says {self._topology.contract!r}; nothing was sent"
        )
        for call, submit in list(self._calls.items()):
            if self.core.withdraw(call):
                del self._calls[call]
                self._end(submit, WrongMachine(text))

    def close_resources(self) -> None:
        """Nobody waits for ever: every open call ends with an error."""
        self._admission.close()
        failure = self.life.failure
        text = "the client was closed" if failure is None else f"the client failed: {failure}"
        for call, submit in list(self._calls.items()):
            self._end(submit, self._unanswered(call, submit.is_query, text))
        self._calls.clear()
        for message in self.actor_inbox.take_told():
            if isinstance(message, Submit):
                self._end(message, NotSent(f"{text}; it was not sent: it did not happen"))

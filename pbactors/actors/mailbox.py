"""A pykka inbox that merges the in-process queue, a transport and timers.

The actor's own thread waits for all three at once, so a body goes from socket to core to socket
without a hop between threads, while ``tell``, ``ask`` and proxies work as pykka's users expect.
"""

from __future__ import annotations

import contextlib
import math
import queue
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pykka import messages
from pykka._envelope import Envelope

from pbactors.transport.interface import Received, Transport

__all__ = ["BATCH_MAX", "Batch", "Mailbox"]

BATCH_MAX = 1000
"""Bodies, and told messages, in one batch: bounds how long a timer or a stop can wait."""

_FOR_PYKKA = (
    messages._ActorStop,
    messages.ProxyCall,
    messages.ProxyGetAttr,
    messages.ProxySetAttr,
)


@dataclass(slots=True)
class Batch:
    """What an actor's ``on_receive`` is handed: everything that is there, in this order.

    Attributes:
        received: what arrived over the transport; all of it that was there when ``due`` was
            decided, up to ``BATCH_MAX``.
        told: messages of plain ``tell`` calls.
        lost: watched peers whose connection was lost; what they sent before is in ``received``.
        due: timers to fire, the earliest deadline first. Each appears once, however late. One that
            is cancelled while this batch is handled is still in it.
        late_ms: how long ago the first of them was due: large when the process slept, or handled
            the batch before for long.
        failure: what the transport raised instead of working, or None.
    """

    received: list[Received] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    due: list[Hashable] = field(default_factory=list)
    late_ms: float = 0.0
    failure: Exception | None = None

    def __bool__(self) -> bool:
        return bool(self.received or self.told or self.lost or self.due or self.failure)


class _Sleeper(Protocol):
    """Where the owner sleeps, and how others end that. A wake before the wait counts.

    ``wait`` returns False, at once, where one can sleep no more.
    """

    def wait(self, timeout_ms: float | None) -> bool: ...

    def wake(self) -> None: ...


class _Doorbell:
    """The sleeper of an actor without a transport."""

    def __init__(self) -> None:
        # Not an Event: this queue alone may be used by a signal handler that interrupts its user.
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def wait(self, timeout_ms: float | None) -> bool:
        with contextlib.suppress(queue.Empty):
            self._rings.get(timeout=None if timeout_ms is None else timeout_ms / 1000)
            while True:
                self._rings.get_nowait()
        return True

    def wake(self) -> None:
        self._rings.put(None)


class Mailbox:
    """The inbox of an actor that may own a transport. Only :meth:`put` is for any thread.

    It is a ``pykka`` ``ActorInbox``: return it from ``_create_actor_inbox``. ``get`` gives either
    an envelope that pykka handles itself (``ask``, proxies, stop), alone, or a :class:`Batch`. The
    two alternate when there are both, so neither starves the other.

    Args:
        clock_s: seconds that never go back.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._envelopes: deque[Envelope[Any]] = deque()
        self._deadlines_s: dict[Hashable, float] = {}
        self._none_due_before_s = math.inf  # so that not all are looked at each time
        self._transport: Transport | None = None
        self._sleeper: _Sleeper = _Doorbell()
        self._asleep = False
        self._batch_was_last = False

    def attach(self, transport: Transport) -> None:
        """Serve an open transport from now on, until it is closed. On the actor's thread."""
        self._transport = transport
        self._sleeper = transport

    # -- timers ---------------------------------------------------------------------------------

    def set_timer(self, timer: Hashable, delay_ms: float) -> None:
        """Make ``timer`` due after ``delay_ms``; replaces a pending one of that name."""
        self._deadlines_s.pop(timer, None)
        deadline_s = self._deadlines_s[timer] = self._clock_s() + delay_ms / 1000
        self._none_due_before_s = min(self._none_due_before_s, deadline_s)

    def cancel_timer(self, timer: Hashable) -> None:
        """Forget ``timer``, if it is pending."""
        self._deadlines_s.pop(timer, None)

    # -- pykka's inbox --------------------------------------------------------------------------

    def put(self, envelope: Envelope[Any], /) -> None:
        """Queue an envelope. From any thread, also before ``attach`` and after the actor's end."""
        # No wake-up is lost: we append and then look at _asleep; the owner sets _asleep and then
        # looks at the queue (see _sleep). Whichever comes second sees what the other did. The
        # owner also changes _sleeper before it looks, so one who reads the old one was seen.
        # One wake-up is enough for a burst: it costs a system call, as much as all the rest.
        self._envelopes.append(envelope)
        if self._asleep:
            self._asleep = False
            try:
                self._sleeper.wake()
            except BaseException:  # a signal handler raised: perhaps nobody was woken
                self._asleep = True
                raise

    def empty(self) -> bool:
        """Tell whether no envelope is queued. After a stop pykka drains them with ``get``."""
        return not self._envelopes

    def take_told(self) -> list[Any]:
        """Take every told message that is queued, for an actor that ends and owes answers."""
        envelopes = [self._envelopes.popleft() for _ in range(len(self._envelopes))]
        told = [envelope.message for envelope in envelopes if not _is_for_pykka(envelope)]
        self._envelopes.extend(envelope for envelope in envelopes if _is_for_pykka(envelope))
        return told

    def get(self) -> Envelope[Any]:
        """Return the next envelope; waits for one. Never raises.

        If it raised, pykka would lose the thread and still call the actor alive.
        """
        while True:
            try:
                envelope = self._next()
            except Exception as failure:  # noqa: BLE001
                return Envelope(Batch(failure=failure))
            if envelope is not None:
                return envelope

    def _next(self) -> Envelope[Any] | None:
        if self._envelopes and self._batch_was_last and self._first_is_for_pykka():
            self._batch_was_last = False
            return self._envelopes.popleft()
        if not self._envelopes:
            self._sleep()
        batch = self._gather()
        if batch:
            self._batch_was_last = True
            return Envelope(batch)
        if self._first_is_for_pykka():
            return self._envelopes.popleft()
        return None

    def _gather(self) -> Batch:
        due, late_ms = self._take_due()
        received: list[Received] = []
        lost: list[str] = []
        failure = None
        if self._transport is not None:
            try:
                if due:
                    self._transport.wait(0)  # look again: what has arrived comes with what is due
                lost = self._transport.lost()  # before, so that what came earlier is received
                received = self._transport.receive(BATCH_MAX)
            except Exception as raised:  # noqa: BLE001
                failure = raised
        return Batch(received, self._take_told(), lost, due, late_ms, failure)

    def _take_due(self) -> tuple[list[Hashable], float]:
        now_s = self._clock_s()
        if now_s < self._none_due_before_s:
            return [], 0.0
        deadlines_s = self._deadlines_s
        due = [timer for timer, deadline_s in deadlines_s.items() if deadline_s <= now_s]
        due.sort(key=deadlines_s.__getitem__)
        late_s = [now_s - deadlines_s.pop(timer) for timer in due]
        self._none_due_before_s = min(deadlines_s.values(), default=math.inf)
        return due, max(late_s, default=0.0) * 1000

    def _take_told(self) -> list[Any]:
        """Take told messages up to the first envelope for pykka: their order is the callers'."""
        told: list[Any] = []
        while self._envelopes and len(told) < BATCH_MAX and not self._first_is_for_pykka():
            told.append(self._envelopes.popleft().message)
        return told

    def _first_is_for_pykka(self) -> bool:
        return bool(self._envelopes) and _is_for_pykka(self._envelopes[0])

    def _sleep(self) -> None:
        """Sleep until an envelope, a body or a timer may be there; not at all if one is."""
        timeout_ms = None
        if self._none_due_before_s < math.inf:
            timeout_ms = max(0.0, (self._none_due_before_s - self._clock_s()) * 1000)
        self._asleep = True
        try:
            if not self._envelopes and not self._sleeper.wait(timeout_ms):
                self._transport = None  # it is closed
                self._sleeper = _Doorbell()
        finally:
            self._asleep = False


def _is_for_pykka(envelope: Envelope[Any]) -> bool:
    return envelope.reply_to is not None or isinstance(envelope.message, _FOR_PYKKA)

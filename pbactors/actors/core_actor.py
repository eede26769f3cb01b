"""``CoreActor``: drives any protocol core over a transport, on one thread.

The whole driver: what arrived, what was told and which timers are due become calls of the core;
the core's outbox is performed in order; then the mailbox waits again. The contract it keeps is
written in ``pbactors.protocol.core``.

An internal error stops the actor loudly and whole: the outbox of the batch in which it happened is
not performed, so nothing half-done is confirmed or answered. Nothing but an ``Exception`` may reach
pykka, which would stop every actor of the process otherwise.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import weakref
from abc import abstractmethod
from typing import Any, Self

import pykka

from pbactors import wire
from pbactors.actors.mailbox import Batch, Mailbox
from pbactors.actors.recorder import Recorder
from pbactors.config import Timing
from pbactors.errors import InvariantViolated, MalformedMessage, PbactorsError
from pbactors.protocol import core as effects
from pbactors.protocol.core import (
    Address,
    Complete,
    ConnectionLost,
    Core,
    Outbox,
    Send,
    Slept,
    Timer,
)
from pbactors.protocol.events import Event
from pbactors.protocol.messages import Message
from pbactors.protocol.view import ViewRecord
from pbactors.topology import Topology
from pbactors.transport.interface import Received, Transport

__all__ = ["CoreActor", "Life"]

logger = logging.getLogger("pbactors")

PAUSE_MS = 250
"""Who did nothing for longer than this has slept, whatever the patience with others: soon after it,
connections get lost for no other reason (``WATCHED`` in ``zeromq_sockets``)."""

STOP_TIMEOUT_S = 5.0
"""How long the end of the interpreter waits for an actor that somebody forgot to stop."""


class Life:
    """What outlives an actor: whether it is closed, and why. Readable from any thread.

    Attributes:
        closed: set when the actor's sockets are closed and nothing of it will happen any more.
            pykka's ``actor_stopped`` is set before that.
        failure: why it stopped by itself, or None.
        left: set when a node that was asked to leave may end in peace (R44), or has ended.
    """

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.failure: BaseException | None = None
        self.left = threading.Event()


class CoreActor(pykka.ThreadingActor):
    """An actor that drives one core.

    ``start`` returns when the actor serves, or raises why it cannot. ``tell``, ``ask`` and proxies
    may be used from any thread; the operations' path between nodes uses none of them.

    Args:
        name: for logs.
        transport: not open yet; the actor owns it from here on.
        timing: intervals.
        message_bytes_max: the largest message that is looked at.
        ready: given by ``start``.
        life: how the actor's end is known outside.

    Attributes:
        core: what it drives.
        recorder: keeps what happens; None unless somebody asks for it.
    """

    use_daemon_thread = True  # the interpreter may end; _stop_all closes the sockets before
    actor_inbox: Mailbox

    def __init__(
        self,
        name: str,
        transport: Transport,
        timing: Timing,
        message_bytes_max: int,
        ready: pykka.Future[None],
        life: Life | None,
    ) -> None:
        super().__init__()
        self.name = name
        self.transport = transport
        self.timing = timing
        self.life = life or Life()
        self.core: Core
        self.recorder: Recorder | None = None
        self._message_bytes_max = message_bytes_max
        self._ready = ready
        self._outbox = Outbox()

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> pykka.ActorRef[Self]:
        """Start the actor, and return when it serves.

        Raises:
            StartError: why it cannot; nothing of it is left running.
        """
        ready: pykka.Future[None] = pykka.ThreadingFuture()
        reference = super().start(*args, ready=ready, **kwargs)
        ready.get()
        return reference

    # -- life ---------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Open everything on the actor's own thread; tell the starter how that went."""
        _running.add(self)
        try:
            self.transport.open()
            self.actor_inbox.attach(self.transport)
            self.begin()
        except BaseException as error:  # noqa: BLE001
            self.life.failure = error
            self._close()
            self._ready.set_exception()
            self.stop()
        else:
            self._ready.set(None)

    @abstractmethod
    def begin(self) -> None:
        """Make the core, and ``run`` it."""

    def run(self, core: Core) -> None:
        """Drive ``core`` from here on."""
        for timer in Timer:
            self.actor_inbox.cancel_timer(timer)
        self.core = core
        core.on_start(self._outbox)
        self._finish()

    def on_stop(self) -> None:
        """Close everything. pykka calls this on the actor's thread."""
        self._close()

    def _close(self) -> None:
        _running.discard(self)
        self.transport.close()
        self.close_resources()
        self.life.closed.set()
        self.life.left.set()

    def close_resources(self) -> None:
        """Close what a subclass holds besides the transport. May be called twice."""

    def _fail(self, error: BaseException) -> None:
        """An internal error: stop this actor whole, and say so."""
        self.life.failure = error
        self._outbox.clear()
        logger.critical("%s stops: %s: %s", self.name, type(error).__name__, error, exc_info=error)
        self._close()
        self.stop()

    # -- batches ------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Handle a batch from the mailbox, or a message that somebody asks with."""
        if not isinstance(message, Batch):
            return self.on_asked(message)
        if self.life.failure is None:
            try:
                self._handle(message)
            except BaseException as error:  # noqa: BLE001
                self._fail(error)
        return None

    def _handle(self, batch: Batch) -> None:
        if batch.failure is not None:
            raise batch.failure
        for received in batch.received:
            self._on_body(received)
        for message in batch.told:
            self.on_told(message)
        if batch.late_ms > min(PAUSE_MS, self.timing.dead_interval_ms / 2):
            self.core.on_signal(Slept(round(batch.late_ms)), self._outbox)
        for node in batch.lost:
            self.core.on_signal(ConnectionLost(node), self._outbox)
        for timer in batch.due:
            if isinstance(timer, Timer):
                self.core.on_timer(timer, self._outbox)
            else:
                self.on_due(timer)
        self._finish()

    def _on_body(self, received: Received) -> None:
        try:
            header, message = wire.decode(received.body, self._message_bytes_max)
        except MalformedMessage as error:
            self.on_malformed(error)
            return
        source = Address(header.node, header.incarnation, header.cluster, received.route)
        if self.recorder is not None:
            self.recorder.received(source, message, received.body)
        self.on_message(source, message)

    def _finish(self) -> None:
        """End of a batch: let the core emit what it gathered, and do it if all is well."""
        self.core.flush(self._outbox)
        broken = self.core.invalid()
        if broken is not None:
            raise InvariantViolated(broken)
        self._perform()
        self.on_finished()

    # -- what subclasses take -----------------------------------------------------------------

    def on_message(self, source: Address, message: Message) -> None:
        """A message arrived."""
        self.core.on_message(source, message, self._outbox)

    def on_malformed(self, error: MalformedMessage) -> None:
        """Bytes arrived that are no message."""
        logger.debug("%s refuses a message: %s", self.name, error)

    def on_asked(self, message: Any) -> Any:
        """Answer ``ask``."""
        raise PbactorsError(f"a {type(self).__name__} takes no {type(message).__name__}")

    def on_told(self, message: Any) -> None:
        """Take a message of a plain ``tell``."""
        logger.warning("%s ignores %r", self.name, message)

    def on_due(self, timer: Any) -> None:
        """Take a timer that is not the core's."""

    def on_event(self, event: Event) -> None:
        """Take an event of the core; events change nothing."""

    def on_complete(self, call: int, outcome: bytes | None, copies: int) -> None:
        """Take the end of a call; only a client's core says so."""

    def on_finished(self) -> None:
        """A batch is done."""

    def persist(self, record: ViewRecord) -> None:
        """Make a view durable; only a view server's core asks for it."""
        raise PbactorsError(f"a {type(self).__name__} has no store")

    def publish(self, message: Message) -> None:
        """Tell everybody who listens; only a view server's core asks for it."""
        raise PbactorsError(f"a {type(self).__name__} publishes no messages")

    def follow_views(self, topology: Topology) -> None:
        """Hear of views as soon as the view server makes them, besides asking for them."""
        view_server = topology.view_server
        self.transport.subscribe(view_server.name, view_server.heartbeat, wire.VIEW_TOPIC)

    # -- effects ------------------------------------------------------------------------------

    def _perform(self) -> None:
        """Do what the core wants, in order; what follows a failure is not done."""
        for effect in self._outbox.effects:
            # These two are nearly all: of a client hundreds come at once.
            if type(effect) is Complete:
                self.on_complete(*effect)
                continue
            if type(effect) is Send:
                self.send(*effect)
                continue
            match effect:
                case effects.SetTimer(timer, delay_ms):
                    self.actor_inbox.set_timer(timer, delay_ms)
                case effects.Emit(event):
                    self.on_event(event)
                case effects.Persist(record):
                    self.persist(record)
                case effects.CancelTimer(timer):
                    self.actor_inbox.cancel_timer(timer)
                case effects.Publish(message):
                    self.publish(message)
        self._outbox.clear()

    def send(self, target: effects.Target, message: Message) -> None:
        """Send a message: to a node by name, or back along the way a message came."""
        body = wire.encode(self.core.cluster, self.core.member, message)
        recorder = self.recorder
        began_ms = recorder.now_ms() if recorder is not None else 0.0
        if isinstance(target, str):
            sent = self.transport.send(target, body, bulk=message.bulk)
        elif target.route:
            sent = self.transport.reply(target.route, body)
        else:
            sent = self.transport.send(target.node, body, bulk=message.bulk)
        if recorder is not None:
            recorder.sent(began_ms, target, message, body, dropped=not sent)


_running: weakref.WeakSet[CoreActor] = weakref.WeakSet()


def _stop_all() -> None:
    """Close the sockets of actors that nobody stopped, before the interpreter goes away."""
    stopping = [actor.actor_ref.stop(block=False) for actor in list(_running)]
    for stopped in stopping:
        with contextlib.suppress(pykka.Timeout, pykka.ActorDeadError):
            stopped.get(timeout=STOP_TIMEOUT_S)


atexit.register(_stop_all)


def _after_fork_in_child() -> None:
    """The threads of the parent are not in its child: there every actor has ended."""
    for actor in list(_running):
        ended = threading.Event()  # a new one: somebody may have held the lock
        ended.set()
        actor.life.closed = actor.life.left = ended
    _running.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)

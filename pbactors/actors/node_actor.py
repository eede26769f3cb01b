"""``NodeActor``: what view server and replica have in common besides driving a core.

A node publishes heartbeats, answers ``GetStatus``, records while ``GetMoments`` asks for it, counts
what it refuses, writes its events to the log, and begins a new life when its core says that this
one is over (R47).
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

import pykka

from pbactors import heartbeat
from pbactors.actors.core_actor import CoreActor, Life
from pbactors.actors.incarnations import new_incarnation
from pbactors.actors.pulse import Pulse
from pbactors.actors.recorder import Recorder
from pbactors.errors import MalformedMessage
from pbactors.protocol.core import Address, Core, Signal
from pbactors.protocol.events import Event, Ignored, Left, StartOver, StateInstalled, ViewInstalled
from pbactors.protocol.messages import Message
from pbactors.protocol.tool_messages import GetMoments, GetStatus, Moments, StatusReply
from pbactors.protocol.view import FRESH, NO_VIEW, Incarnation, Member
from pbactors.topology import Topology
from pbactors.transport.interface import Transport
from pbactors.transport.zeromq import ZeroMQTransport

__all__ = ["NodeActor"]

logger = logging.getLogger("pbactors.node")

HEARTBEAT = "heartbeat"
"""The driver's own timer, beside those of the core."""

RECORDED = "recorded"
"""The driver's own timer: nobody has asked for the recording again."""


class NodeActor(CoreActor):
    """A node of a topology.

    Args:
        topology: the cluster.
        name: which of its nodes this is.
        transport: instead of ZeroMQ sockets on the node's addresses.
        life: how the actor's end is known outside.
    """

    def __init__(
        self,
        topology: Topology,
        name: str,
        ready: pykka.Future[None],
        transport: Transport | None = None,
        life: Life | None = None,
    ) -> None:
        node = topology.node(name)
        peers = {other.name: other.address for other in topology.nodes if other.name != name}
        super().__init__(
            name,
            transport
            or ZeroMQTransport(
                node.bind,
                node.bind_heartbeat,
                peers,
                message_bytes_max=topology.limits.message_bytes_max,
            ),
            topology.timing,
            topology.limits.message_bytes_max,
            ready,
            life,
        )
        self.topology = topology
        self.pulse: Pulse
        self._view = NO_VIEW
        self._over: StartOver | None = None
        self._news = False

    # -- lives --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin the node's first life in this process."""
        self._live(FRESH)

    def _live(self, newest: Incarnation) -> None:
        self.pulse = Pulse(self.topology.name, self.reports_on())
        self.run(self.make_core(Member(self.name, new_incarnation(newest))))
        self._beat()

    @abstractmethod
    def make_core(self, member: Member) -> Core:
        """Return the core of a new life."""

    def reports_on(self) -> list[str]:
        """Return the replicas whose liveness this node knows."""
        return []

    def on_finished(self) -> None:
        """Begin anew if this life is over; publish news at once."""
        if self._over is not None:
            over, self._over = self._over, None
            self._live(over.newest)
        elif self._news:
            self._news = False
            if self.recorder is not None:
                self.recorder.status(self.core.status())
            if self.pulse.changed(self.core):
                self._beat()

    # -- messages and events ------------------------------------------------------------------

    def on_message(self, source: Address, message: Message) -> None:
        """Answer tools; everything else is for the core."""
        if isinstance(message, GetStatus):
            record = self.pulse.record(self.core, self.transport.counters)
            self.send(source, StatusReply(record))
        elif isinstance(message, GetMoments):
            self.send(source, self._recorded(message))
        else:
            self.core.on_message(source, message, self._outbox)

    def on_told(self, message: Any) -> None:
        """Hand signals of the process to the core."""
        if isinstance(message, Signal):
            self.core.on_signal(message, self._outbox)
        else:
            super().on_told(message)

    def _recorded(self, asked: GetMoments) -> Moments:
        """Return what was recorded, and record for as long as asked from here on."""
        recorder = self.recorder
        if recorder is None:
            recorder = Recorder(self.name)
            recorder.status(self.core.status())
        moments = recorder.after(asked.after)
        if asked.record_ms:
            self.recorder = recorder
            self.actor_inbox.set_timer(RECORDED, asked.record_ms)
        elif not moments.left:
            self.recorder = None
            self.actor_inbox.cancel_timer(RECORDED)
        return moments

    def on_malformed(self, error: MalformedMessage) -> None:
        """Count junk."""
        self.pulse.refused["malformed"] += 1
        super().on_malformed(error)

    def on_event(self, event: Event) -> None:
        """Count what was ignored, log what is news."""
        if self.recorder is not None:
            self.recorder.event(event)
        if isinstance(event, Ignored):
            self.pulse.refused[event.reason] += 1
            logger.debug("%s: %s", self.name, event)
            return
        if isinstance(event, StartOver):
            self._over = event
        elif isinstance(event, StateInstalled):
            self.pulse.jumped(event.op)
        elif isinstance(event, Left):
            self.life.left.set()
        elif isinstance(event, ViewInstalled):
            self._forget_former_members(event)
        self._news = True
        logger.info("%s: %s", self.name, event)

    def _forget_former_members(self, event: ViewInstalled) -> None:
        """Drop what is queued for members of the view before: a socket of its own per view."""
        for member in self._view.members():
            if member.name != self.name and member not in event.view.members():
                self.transport.forget(member.name)
        self._view = event.view

    # -- heartbeats ---------------------------------------------------------------------------

    def on_due(self, timer: Any) -> None:
        """Publish at the interval; stop recording when nobody asks any more."""
        if timer == HEARTBEAT:
            self._beat()
        elif timer == RECORDED:
            self.recorder = None

    def _beat(self) -> None:
        record = self.pulse.beat(self.core, self.transport.counters)
        self.transport.publish(heartbeat.TOPIC, record)
        self.actor_inbox.set_timer(HEARTBEAT, self.timing.heartbeat_interval_ms)

"""Writes the trace of a run, where one is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbactors.protocol.core import Core, Timer
from pbactors.protocol.events import Ignored
from pbactors.protocol.messages import Message
from pbactors.sim.network import Packet
from pbactors.sim.process import Process
from pbactors.trace import Moment, Sort, Trace, describe, status_fields

if TYPE_CHECKING:
    from pbactors.sim.world import World

__all__ = ["Recorder"]


class Recorder:
    """Turns what happens in a world into moments.

    Attributes:
        trace: what was written so far.
    """

    def __init__(self) -> None:
        self.trace = Trace()
        self._last: dict[int, object] = {}
        self._kinds: dict[int, str] = {}

    def note(self, world: World, node: str, sort: Sort, text: str) -> None:
        """Write what is no message."""
        self.trace.add(Moment(round(world.agenda.now_ms, 3), node, sort, text))

    def started(self, world: World, process: Process) -> None:
        """A process has begun."""
        self.note(world, process.name, Sort.STARTED, f"life {process.life} begins")

    def stopped(self, world: World, process: Process) -> None:
        """A process has died."""
        self.note(world, process.name, Sort.STOPPED, f"life {process.life} ends")

    def paused(self, world: World, process: Process) -> None:
        """A process was stopped for a while."""
        self.note(world, process.name, Sort.PAUSED, "freezes")

    def resumed(self, world: World, process: Process) -> None:
        """A process goes on."""
        self.note(world, process.name, Sort.RESUMED, "goes on")

    def fired(self, world: World, process: Process, timer: Timer) -> None:
        """A timer fired."""
        self.note(world, process.name, Sort.TIMER, timer.value)

    def event(self, world: World, process: Process, event: object) -> None:
        """A core told something."""
        fields = {"ignored": True} if isinstance(event, Ignored) else {}
        now_ms = round(world.agenda.now_ms, 3)
        self.trace.add(Moment(now_ms, process.name, Sort.EVENT, str(event), fields=fields))

    def sent(self, world: World, process: Process, packet: Packet, message: Message) -> None:
        """A message was put on its way."""
        self._message(world, process.name, Sort.SENT, packet, packet.pair[1], message)

    def received(self, world: World, process: Process, packet: Packet, message: Message) -> None:
        """A message was handed over."""
        self._message(world, process.name, Sort.RECEIVED, packet, packet.pair[0], message)

    def lost(self, world: World, packet: Packet) -> None:
        """A message will not arrive, or arrives where nobody is."""
        text = self._kinds.get(packet.number, "a message")
        now_ms = round(world.agenda.now_ms, 3)
        target, source = packet.pair[1], packet.pair[0]
        self.trace.add(Moment(now_ms, target, Sort.LOST, text, packet.number, source))

    def _message(
        self, world: World, node: str, sort: Sort, packet: Packet, peer: str, message: Message
    ) -> None:
        text, fields = describe(message)
        self._kinds[packet.number] = text
        now_ms = round(world.agenda.now_ms, 3)
        self.trace.add(Moment(now_ms, node, sort, text, packet.number, peer, fields))

    def status(self, world: World, process: Process) -> None:
        """Write what a core shows of itself, where that is something new."""
        core: Core = process.core
        status = core.status()
        if self._last.get(process.life) != status:
            self._last[process.life] = status
            now_ms = round(world.agenda.now_ms, 3)
            fields = status_fields(status)
            self.trace.add(Moment(now_ms, process.name, Sort.STATUS, status.state, fields=fields))

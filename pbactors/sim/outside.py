"""What reaches a node otherwise than over a link: lost connections, and operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pbactors import wire
from pbactors.ensemble import VIEW_SERVER, incarnation
from pbactors.protocol.core import ConnectionLost
from pbactors.protocol.message import Message
from pbactors.protocol.view import Member
from pbactors.sim.network import Packet
from pbactors.sim.process import Process
from pbactors.trace import Sort

if TYPE_CHECKING:
    from pbactors.sim.world import World

__all__ = ["Outside"]

NOTICED_MS: Final = 5.0
"""A crash shows at the other end of a connection within so long, mostly."""

OPERATOR: Final = "operator"
"""Whose messages come over no link, and get no answer."""


class Outside:
    """Tells nodes of a world what no message tells them.

    Args:
        world: whose.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def notice_later(self, process: Process, calm: bool) -> None:
        """A process has ended: the view server's connection to it is lost. That is mostly noticed
        at once, sometimes late, when another life may have begun, and sometimes, unless all is
        ``calm``, not at all.
        """
        chance, delay_ms = process.random.random(), process.random.random() * NOTICED_MS
        if chance < 0.1:
            delay_ms += self._world.plan.timing.dead_interval_ms * 20 * chance
        if chance < 0.9 or calm:
            self._world.agenda.after(delay_ms, self.lose_connection, process.name)

    def lose_connection(self, name: str) -> None:
        """The view server notices, rightly or wrongly, that its connection to a node is lost."""
        view_server = self._world.newest(VIEW_SERVER)
        if view_server is None:
            return
        signal = ConnectionLost(name)
        if self._world.recorder is not None:
            self._world.recorder.note(self._world, VIEW_SERVER, Sort.SIGNAL, str(signal))
        self._world.signal(view_server, signal)

    def ask(self, target: str, message: Message) -> None:
        """Hand a node a message of an operator's tool."""
        world = self._world
        body = wire.encode(world.record.cluster, Member("", incarnation(0)), message)
        packet = Packet((OPERATOR, target), b"", OPERATOR.encode(), body, world.next_packet())
        if world.recorder is not None:
            world.recorder.note(world, target, Sort.FAULT, f"an operator asks: {message}")
        process = world.newest(target)
        if process is not None:
            world.give(process, packet)

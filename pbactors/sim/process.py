"""One process: a core with what a driver keeps for it; and how batches are handed to it."""

from __future__ import annotations

from random import Random

from pbactors.protocol.core import Core, Signal, Timer
from pbactors.sim.network import Packet

__all__ = ["CallGiven", "Process"]

CallGiven = tuple[int, bool, bytes]
"""A call for a client's core: its number, whether it is a query, its body."""


class Process:
    """One life of a node or client.

    Attributes:
        name: of the node; several lives share it.
        life: its rank among all lives.
        route: the way back to this very process.
        core: what it drives.
        random: its choices: batches and timers.
        alive: whether it still runs.
        frozen: whether it is stopped for a while and wakes later, as by SIGSTOP.
        waking: whether what has arrived is to be handed over soon.
        former: whether another life of the same name has begun beside it.
        torn: whether it crashes in the middle of its next outbox.
        left: whether it has said that it may end in peace.
        inbox: what has arrived and is not handed over yet.
        signals: what its driver has noticed meanwhile.
        due: timers that fired meanwhile.
        timers: pending timers, each with the number of its setting.
        seen: what the judge saw of it last.
    """

    __slots__ = (
        "alive",
        "core",
        "due",
        "former",
        "frozen",
        "inbox",
        "left",
        "life",
        "name",
        "random",
        "route",
        "seen",
        "signals",
        "timers",
        "torn",
        "waking",
    )

    def __init__(self, name: str, life: int, core: Core, random: Random) -> None:
        self.name = name
        self.life = life
        self.route = f"{name}/{life}".encode()
        self.core = core
        self.random = random
        self.alive = True
        self.frozen = self.waking = self.former = self.torn = self.left = False
        self.inbox: list[Packet | CallGiven] = []
        self.signals: list[Signal] = []
        self.due: dict[Timer, None] = {}
        self.timers: dict[Timer, int] = {}
        self.seen: tuple[object, ...] = ()

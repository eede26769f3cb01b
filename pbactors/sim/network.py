"""What becomes of messages: lost, late, repeated, overtaken, cut off, clogged.

Each link, from one node to another and separately for bulk, has a random stream of its own and
takes the same number of choices from it for each message, whatever is switched on. So leaving out a
fault, a node or a client changes little of what happens elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple, TypeAlias

from pbactors.sim.agenda import Agenda
from pbactors.sim.plan import Plan

__all__ = ["Network", "Packet", "Pair"]

Pair: TypeAlias = tuple[str, str]
"""Names of two nodes: from the first to the second."""


class Packet(NamedTuple):
    """One message on its way.

    Attributes:
        pair: from where to where.
        route: the process that it goes to, or empty if it goes to whoever has that name then.
        sender: the route back.
        body: the encoded message.
        number: counts messages, from 1.
    """

    pair: Pair
    route: bytes
    sender: bytes
    body: bytes
    number: int


class _Link:
    """One direction between two nodes.

    Attributes:
        random: its choices.
        free_ms: when what was sent before has arrived; nothing overtakes by itself.
        clogged_ms: until when nothing gets through, and everything waits.
    """

    __slots__ = ("clogged_ms", "free_ms", "random")

    def __init__(self, random: Random) -> None:
        self.random = random
        self.free_ms = 0.0
        self.clogged_ms = 0.0


class Network:
    """All links.

    Args:
        plan: how often what goes wrong.
        agenda: virtual time.
        deliver: takes a packet that arrives.
        lose: is told of a packet that never will.
        faults: counts what went wrong.
    """

    def __init__(
        self,
        plan: Plan,
        agenda: Agenda,
        deliver: Callable[[Packet], None],
        lose: Callable[[Packet], None],
        faults: Counter[str],
    ) -> None:
        self._seed = plan.seed
        self._mix = plan.mix
        self._latency_ms = plan.latency_ms
        self._dead_ms = plan.timing.dead_interval_ms
        self._agenda = agenda
        self._deliver = deliver
        self._lose = lose
        self._faults = faults
        self._links: dict[tuple[Pair, bool], _Link] = {}
        self._cuts: Counter[Pair] = Counter()
        self._calm = False

    # -- links --------------------------------------------------------------------------------

    def _link(self, pair: Pair, bulk: bool) -> _Link:
        link = self._links.get((pair, bulk))
        if link is None:
            random = Random(f"{self._seed}/link/{pair[0]}>{pair[1]}/{bulk}")
            link = self._links[pair, bulk] = _Link(random)
        return link

    def cut(self, pairs: Iterable[Pair]) -> None:
        """Let nothing through any more, in these directions."""
        self._cuts.update(pairs)

    def mend(self, pairs: Iterable[Pair]) -> None:
        """Take back one ``cut`` of each of these directions."""
        for pair in pairs:
            if self._cuts[pair] > 1:
                self._cuts[pair] -= 1
            else:
                del self._cuts[pair]

    def is_cut(self, pair: Pair) -> bool:
        """Tell whether nothing gets through in this direction."""
        return pair in self._cuts

    def clog(self, pair: Pair, until_ms: float) -> None:
        """Hold up everything that is sent in this direction until then."""
        for bulk in (False, True):
            link = self._link(pair, bulk)
            link.clogged_ms = max(link.clogged_ms, until_ms)

    def calm(self) -> None:
        """End all faults; what is on its way still arrives, also what is very late."""
        self._calm = True
        self._cuts.clear()
        for link in self._links.values():
            link.clogged_ms = 0.0

    # -- messages -----------------------------------------------------------------------------

    def send(self, packet: Packet, bulk: bool) -> None:
        """Decide what becomes of a packet."""
        link = self._link(packet.pair, bulk)
        draw = link.random.random
        loss, speed, delay, order, copy, late = draw(), draw(), draw(), draw(), draw(), draw()
        if self._cuts and packet.pair in self._cuts:
            self._faults["cut"] += 1
            self._lose(packet)
            return
        agenda, latency_ms = self._agenda, self._latency_ms
        arrival_ms = agenda.now_ms + latency_ms * (0.5 + speed)
        if self._calm:
            arrival_ms = link.free_ms = max(arrival_ms, link.free_ms)
            agenda.at(arrival_ms, self._arrive, packet)
            return
        mix = self._mix
        if loss < mix.loss:
            self._faults["loss"] += 1
            self._lose(packet)
        else:
            if delay < mix.delay:
                self._faults["delay"] += 1
                arrival_ms += self._dead_ms * speed
            if order < mix.reordering:
                self._faults["reordering"] += 1
                arrival_ms += 10 * latency_ms * late
            else:
                arrival_ms = max(arrival_ms, link.free_ms, link.clogged_ms)
                link.free_ms = arrival_ms
            agenda.at(arrival_ms, self._arrive, packet)
        if copy < mix.duplication:
            arrival_ms += latency_ms * late
            if late < mix.late_duplication:
                self._faults["late duplicate"] += 1
                arrival_ms += self._dead_ms * 8 * order
            else:
                self._faults["duplicate"] += 1
            agenda.at(arrival_ms, self._arrive, packet)

    def _arrive(self, packet: Packet) -> None:
        if self._cuts and packet.pair in self._cuts:
            self._faults["cut"] += 1
            self._lose(packet)
        else:
            self._deliver(packet)

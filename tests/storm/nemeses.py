"""Who strikes: kills, stops, cuts links, and heals what it did when its time is over."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import NamedTuple

from pbactors.heartbeat import Record
from tests.storm.cluster import CLIENTS, REPLICAS, VIEW_SERVER, Cluster
from tests.storm.cuts import CUTS, cut_links
from tests.storm.hosts import Cut, Hosts
from tests.storm.schedule import Strike
from tests.storm.sparing import Sparing, unheard

__all__ = ["Nemeses", "NotNow"]


class NotNow(Exception):
    """A strike would hit nobody, or perhaps the last holder of the state."""


class Wound(NamedTuple):
    """What was done, and how it heals.

    Attributes:
        what: what was done, in words.
        heal: undoes it.
        healed: what was undone, in words.
        silent: replicas that the view server may not hear meanwhile.
    """

    what: str
    heal: Callable[[], None]
    healed: str
    silent: frozenset[str] = frozenset()


class Nemeses:
    """Performs strikes on a cluster and heals them. Spares the last holder of the state.

    Args:
        cluster: whom they hit.
        hosts: whose links they cut.
        random: of the choices that a schedule leaves open.
        say: told what happens, as text.

    Attributes:
        done: how many strikes there were, by kind.
        sparing: who must not be struck now.
    """

    def __init__(
        self, cluster: Cluster, hosts: Hosts, random: Random, say: Callable[[str], None]
    ) -> None:
        self.done: Counter[str] = Counter()
        self.sparing = Sparing()
        self._cluster = cluster
        self._hosts = hosts
        self._random = random
        self._say = say
        self._open: list[tuple[float, int, Wound]] = []  # by the time at which they heal
        self._numbers = itertools.count()
        self._slow: set[str] = set()

    # -- striking and healing -----------------------------------------------------------------

    def strike(self, strike: Strike) -> None:
        """Do it, and remember how it heals.

        Raises:
            NotNow: it would hit nobody, or perhaps the last holder of the state.
        """
        records = self._cluster.ask()
        victim = self._choose(strike.role, records)
        if strike.kind == "kill":
            wound = self._kill(victim, records)
        elif strike.kind == "stop":
            wound = self._stop(victim, records)
        elif strike.kind == "slow":
            wound = self._slow_down(victim, strike.strength, records)
        elif strike.kind in CUTS:
            wound = self._cut(strike, victim, records)
        else:
            raise ValueError(f"no such strike: {strike}")
        self.sparing.silenced(wound.silent)
        self._say(f"{wound.what} ({_role(victim, records)}), for {strike.lasts_s:.2f} s")
        self.done[strike.kind] += 1
        due_s = time.monotonic() + strike.lasts_s
        heapq.heappush(self._open, (due_s, next(self._numbers), wound))

    def heal(self, now_s: float) -> None:
        """Heal the wounds whose time is over."""
        while self._open and self._open[0][0] <= now_s:
            _, _, wound = heapq.heappop(self._open)
            wound.heal()
            self.sparing.healed(wound.silent)
            self._say(wound.healed)

    @property
    def wounds(self) -> bool:
        """Whether anything is left to heal."""
        return bool(self._open)

    def _choose(self, role: str, records: Mapping[str, Record]) -> str:
        """Return a process of that role that runs."""
        members = _members(records)
        candidates = {
            "primary": members[:1],
            "backup": members[1:],
            "idle": [name for name in REPLICAS if name not in members],
            "any": list(REPLICAS),
            "client": list(CLIENTS),
            "view": [VIEW_SERVER],
        }[role]
        running = [name for name in candidates if self._cluster.runs(name)]
        if not running:
            raise NotNow(f"there is no {role} that runs")
        return self._random.choice(running)

    # -- what they do -------------------------------------------------------------------------

    def _kill(self, victim: str, records: Mapping[str, Record]) -> Wound:
        silent = frozenset[str]()
        if victim in REPLICAS:
            _refuse(self.sparing.refuse_kill(victim, records))
            self.sparing.killed(victim, records)
        elif victim == VIEW_SERVER:
            silent = self._silence(_pinging(victim), records)
        self._cluster.kill(victim)
        how = {VIEW_SERVER: "with its store"}.get(victim, "new" if victim in CLIENTS else "empty")
        heal = partial(self._cluster.start, victim)
        return Wound(f"kill -9 {victim}", heal, f"{victim} starts again, {how}", silent)

    def _stop(self, victim: str, records: Mapping[str, Record]) -> Wound:
        silent = self._silence(_pinging(victim), records)
        self._cluster.stop(victim)
        heal = partial(self._cluster.go_on, victim)
        return Wound(f"stop {victim}", heal, f"{victim} goes on", silent)

    def _slow_down(
        self, victim: str, kilobits_per_second: int, records: Mapping[str, Record]
    ) -> Wound:
        if victim in self._slow:
            raise NotNow(f"{victim} is slow already")
        silent = self._silence(_pinging(victim), records)
        self._hosts.slow(victim, kilobits_per_second)
        self._slow.add(victim)

        def heal() -> None:
            self._slow.discard(victim)
            self._hosts.slow(victim, None)

        what = f"{victim} sends at most {kilobits_per_second} kbit/s"
        return Wound(what, heal, f"{victim} sends as fast as it can", silent)

    def _cut(self, strike: Strike, victim: str, records: Mapping[str, Record]) -> Wound:
        members = _members(records)
        backup = members[1] if len(members) > 1 else None
        if strike.kind == "part" and backup is None:
            raise NotNow("there is no backup")
        what, links = cut_links(strike.kind, victim, backup, self._random)
        silent = self._silence(unheard(links), records)
        cut = Cut(links, strike.strength or 100)
        if strike.strength:
            what = f"{strike.strength} % of {what}"
        self._hosts.cut(cut)
        return Wound(what, partial(self._hosts.mend, cut), f"mended: {what}", silent)

    def _silence(self, nodes: frozenset[str], records: Mapping[str, Record]) -> frozenset[str]:
        _refuse(self.sparing.refuse_silence(nodes, records))
        return nodes


def _refuse(why_not: str | None) -> None:
    if why_not is not None:
        raise NotNow(why_not)


def _pinging(victim: str) -> frozenset[str]:
    """Return whose pings get lost or late if this one does nothing, or little."""
    return frozenset(REPLICAS if victim == VIEW_SERVER else {victim} & set(REPLICAS))


def _members(records: Mapping[str, Record]) -> list[str]:
    """Return primary and backup, as far as anybody knows."""
    views = [record.view for record in records.values()]
    newest = max(views, key=lambda view: view.number, default=None)
    if newest is None or newest.primary is None:
        return []
    return [newest.primary] if newest.backup is None else [newest.primary, newest.backup]


def _role(victim: str, records: Mapping[str, Record]) -> str:
    if victim in CLIENTS:
        return "client"
    if victim == VIEW_SERVER:
        return "view server"
    members = _members(records)
    return ("primary", "backup")[members.index(victim)] if victim in members else "idle"

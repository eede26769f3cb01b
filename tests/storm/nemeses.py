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

from pbactors.heartbeat import Record, ViewSummary
from tests.storm.cluster import CLIENTS, REPLICAS, VIEW_SERVER, Cluster
from tests.storm.cuts import CUTS, cut_links
from tests.storm.hosts import Cut, Hosts
from tests.storm.schedule import Strike

__all__ = ["Nemeses", "NotNow", "lacks_two_holders"]


class NotNow(Exception):
    """A strike would hit nobody, or perhaps the last holder of the state."""


class Wound(NamedTuple):
    """What was done, and how it heals.

    Attributes:
        what: what was done, in words.
        heal: undoes it.
        healed: what was undone, in words.
    """

    what: str
    heal: Callable[[], None]
    healed: str


class Nemeses:
    """Performs strikes on a cluster and heals them.

    Nobody is killed who could be the last holder of the state. While the view is acknowledged and
    has a backup, both members hold everything; so a member is killed only if the view server says
    so now, and both answer as members of that view.

    Args:
        cluster: whom they hit.
        hosts: whose links they cut.
        random: of the choices that a schedule leaves open.
        say: told what happens, as text.

    Attributes:
        done: how many strikes there were, by kind.
    """

    def __init__(
        self, cluster: Cluster, hosts: Hosts, random: Random, say: Callable[[str], None]
    ) -> None:
        self.done: Counter[str] = Counter()
        self._cluster = cluster
        self._hosts = hosts
        self._random = random
        self._say = say
        self._open: list[tuple[float, int, Wound]] = []  # by the time at which they heal
        self._numbers = itertools.count()
        self._wounded = 0  # the number of the last view of which a member was killed
        self._slow: set[str] = set()

    # -- striking and healing -----------------------------------------------------------------

    def strike(self, strike: Strike) -> None:
        """Do it, and remember how it heals.

        Raises:
            NotNow: it would hit nobody, or perhaps the last holder of the state.
        """
        records = self._cluster.ask()
        victim = self._choose(strike.role, records)
        role = _role(victim, records)
        if strike.kind == "kill":
            wound = self._kill(victim, records)
        elif strike.kind == "stop":
            self._cluster.stop(victim)
            heal = partial(self._cluster.go_on, victim)
            wound = Wound(f"stop {victim}", heal, f"{victim} goes on")
        elif strike.kind == "slow":
            wound = self._slow_down(victim, strike.strength)
        elif strike.kind in CUTS:
            wound = self._cut(strike, victim, records)
        else:
            raise ValueError(f"no such strike: {strike}")
        self._say(f"{wound.what} ({role}), for {strike.lasts_s:.2f} s")
        self.done[strike.kind] += 1
        due_s = time.monotonic() + strike.lasts_s
        heapq.heappush(self._open, (due_s, next(self._numbers), wound))

    def heal(self, now_s: float | None = None) -> None:
        """Heal the wounds whose time is over, or all of them if ``now_s`` is None."""
        while self._open and (now_s is None or self._open[0][0] <= now_s):
            _, _, wound = heapq.heappop(self._open)
            wound.heal()
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
        if victim in REPLICAS:
            number = self._spare_the_last(victim, records)
            self._wounded = max(self._wounded, number)
        self._cluster.kill(victim)
        how = {VIEW_SERVER: "with its store"}.get(victim, "new" if victim in CLIENTS else "empty")
        heal = partial(self._cluster.start, victim)
        return Wound(f"kill -9 {victim}", heal, f"{victim} starts again, {how}")

    def _spare_the_last(self, victim: str, records: Mapping[str, Record]) -> int:
        """Return the number of the view that is hurt if ``victim`` is killed; 0 if none is."""
        server = records.get(VIEW_SERVER)
        if server is None:
            raise NotNow("the view server does not say who holds the state")
        view = server.view
        if victim not in (view.primary, view.backup):
            return 0
        if view.number <= self._wounded:
            raise NotNow(f"{_named(view)} was hit before")
        why_not = lacks_two_holders(records)
        if why_not is not None:
            raise NotNow(why_not)
        return view.number

    def _slow_down(self, victim: str, kilobits_per_second: int) -> Wound:
        if victim in self._slow:
            raise NotNow(f"{victim} is slow already")
        self._hosts.slow(victim, kilobits_per_second)
        self._slow.add(victim)

        def heal() -> None:
            self._slow.discard(victim)
            self._hosts.slow(victim, None)

        what = f"{victim} sends at most {kilobits_per_second} kbit/s"
        return Wound(what, heal, f"{victim} sends as fast as it can")

    def _cut(self, strike: Strike, victim: str, records: Mapping[str, Record]) -> Wound:
        members = _members(records)
        backup = members[1] if len(members) > 1 else None
        if strike.kind == "part" and backup is None:
            raise NotNow("there is no backup")
        what, links = cut_links(strike.kind, victim, backup, self._random)
        cut = Cut(links, strike.strength or 100)
        if strike.strength:
            what = f"{strike.strength} % of {what}"
        self._hosts.cut(cut)
        return Wound(what, partial(self._hosts.mend, cut), f"mended: {what}")


def lacks_two_holders(records: Mapping[str, Record]) -> str | None:
    """Return why not both members of the current view surely hold the whole state, or None."""
    server = records.get(VIEW_SERVER)
    if server is None:
        return "the view server does not answer"
    view = server.view
    if not view.acked or view.backup is None:
        return f"{_named(view)} has one sure holder of the state"
    for member in (view.primary, view.backup):
        record = records.get(member or "")
        if record is None or record.view.number != view.number:
            return f"{member} does not answer as a member of {_named(view)}"
    return None


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


def _named(view: ViewSummary) -> str:
    acked = "" if view.acked else ", not acknowledged"
    return f"view {view.number} ({view.primary}, {view.backup or 'no backup'}{acked})"

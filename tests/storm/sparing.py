"""Who must not be struck now, so that the last holder of the state is spared.

While the view is acknowledged and has a backup, both members hold everything. So one of them may be
killed, if the view server then finds the right one dead. It can err: it knows only who was silent
for how long. Of a backup that was just killed and a primary that has been cut off for a moment
longer, it takes the primary for dead and promotes the backup, which is gone. That is as it should
be, and the end of the state. So nobody is killed while the view server might not hear the other
one, and nobody is made silent while a view with a killed member stands.

On a machine that is too busy a node can be silent without any wound. What then happens is an
``accident``, known by this: the primary of the view behind the one that was hit is who was hit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from pbactors.heartbeat import Record, ViewSummary
from tests.storm.cluster import REPLICAS, VIEW_SERVER

__all__ = ["GONE", "Sparing", "lacks_two_holders", "named", "unheard"]

SETTLES_S: Final = 1.2
"""So long after its wound has healed, a node has been heard again, or has been declared dead."""

GONE: Final = "last holder of the state is gone"
"""What a view server says that is stuck for good."""


class Sparing:
    """Remembers who may be silent, and who was killed in which view."""

    def __init__(self) -> None:
        self._silent: Counter[str] = Counter()  # by how many open wounds
        self._unsure_until_s: dict[str, float] = {}
        self._hit = 0  # the last view of which a member was killed
        self._victim = ""

    def silenced(self, nodes: Iterable[str]) -> None:
        """Note a wound by which the view server may not hear these."""
        self._silent.update(nodes)

    def healed(self, nodes: Iterable[str]) -> None:
        """Note that it has healed."""
        for node in nodes:
            self._silent[node] -= 1
            self._unsure_until_s[node] = time.monotonic() + SETTLES_S

    def killed(self, victim: str, records: Mapping[str, Record]) -> None:
        """Note that a replica is killed now."""
        view = records[VIEW_SERVER].view
        if victim in (view.primary, view.backup):
            self._hit, self._victim = view.number, victim

    def refuse_kill(self, victim: str, records: Mapping[str, Record]) -> str | None:
        """Return why a replica must not be killed now, or None."""
        server = records.get(VIEW_SERVER)
        if server is None:
            return "the view server does not say who holds the state"
        view = server.view
        if victim not in (view.primary, view.backup):
            return None
        why_not = self._stands_hit(view) or lacks_two_holders(records)
        if why_not is not None:
            return why_not
        for member in (view.primary, view.backup):
            if self._may_be_silent(str(member)):
                return f"the view server may not hear {member}"
        return None

    def refuse_silence(self, nodes: Iterable[str], records: Mapping[str, Record]) -> str | None:
        """Return why the view server must not lose sight of these nodes now, or None."""
        if not set(nodes):
            return None
        views = [record.view for record in records.values()]
        newest = max(views, key=lambda view: view.number, default=None)
        return "nobody knows the view" if newest is None else self._stands_hit(newest)

    def accident(self, server: Record) -> str | None:
        """Return why the cluster is stuck although the last holder was to be spared, or None."""
        view = server.view
        if GONE in server.state and (view.number, view.primary) == (self._hit + 1, self._victim):
            return (
                f"{self._victim} was killed in view {self._hit}; before that was known, the other "
                f"member was silent, so {self._victim} was made primary of view {view.number}"
            )
        return None

    def _stands_hit(self, view: ViewSummary) -> str | None:
        if view.number <= self._hit:
            return f"a member of {named(view)} was killed, and no view has followed yet"
        return None

    def _may_be_silent(self, node: str) -> bool:
        unsure_until_s = self._unsure_until_s.get(node, 0.0)
        return self._silent[node] > 0 or time.monotonic() < unsure_until_s


def unheard(links: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return which replicas the view server may not hear if these links are cut."""
    ends = [set(link) for link in links]
    return frozenset(name for name in REPLICAS if {name, VIEW_SERVER} in ends)


def lacks_two_holders(records: Mapping[str, Record]) -> str | None:
    """Return why not both members of the current view surely hold the whole state, or None."""
    server = records.get(VIEW_SERVER)
    if server is None:
        return "the view server does not answer"
    view = server.view
    if not view.acked or view.backup is None:
        return f"{named(view)} has one sure holder of the state"
    for member in (view.primary, view.backup):
        record = records.get(member or "")
        if record is None or record.view.number != view.number:
            return f"{member} does not answer as a member of {named(view)}"
    return None


def named(view: ViewSummary) -> str:
    """Return a view in words."""
    acked = "" if view.acked else ", not acknowledged"
    return f"view {view.number} ({view.primary}, {view.backup or 'no backup'}{acked})"

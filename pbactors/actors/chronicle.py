"""What the view server writes down for people: every view, why it followed, and for how long nobody
was served.

Nothing is decided from it. Times are the view server's own: it hears of the end of service by the
last ping before it, and of its beginning by the first ping that says so. Only pings of members of
the view count: a node that comes back empty says nothing of its former life, and strangers nothing
at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from pbactors.errors import StoreUnavailable
from pbactors.protocol.events import ViewInstalled
from pbactors.protocol.messages import Ping, Report
from pbactors.protocol.view import Cause, Member, View
from pbactors.view_store import HistoryEntry, ViewStore

__all__ = ["Chronicle"]

logger = logging.getLogger("pbactors.node")

_DEATHS: Final = (Cause.KILLED, Cause.FROZEN, Cause.SILENT, Cause.RESTARTED)
_REPORTS: Final = (Cause.LINK_LOST, Cause.DIVERGED)


class _Waiting(NamedTuple):
    """A view whose primary is not known to serve in it yet.

    Attributes:
        entry: what is written of it.
        goes_on: whether nothing says that service has stopped: its primary was primary before.
        since_s: when service was last known to be well; None where nobody saw that.
    """

    entry: HistoryEntry
    goes_on: bool
    since_s: float | None


class Chronicle:
    """Writes the history of views into the view store. Used on the view server's thread alone.

    Args:
        store: where.
        view: the newest view, of which nobody has been heard yet.
        clock_s: seconds that never go back.
        now_s: seconds of the day, as people have them.
    """

    def __init__(
        self,
        store: ViewStore,
        view: View,
        clock_s: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._view = view
        self._clock_s = clock_s
        self._now_s = now_s
        self._heard_s: dict[Member, float] = {}  # by member of the view: its newest ping
        self._served_s: float | None = None  # the newest ping of a primary that nothing hinders
        self._serves = False  # whether the primary's newest ping was one
        self._alone = False  # whether it said then that it fills a backup, and needs none (R33)
        self._waiting: _Waiting | None = None

    def pinged(self, member: Member, ping: Ping) -> None:
        """A replica has pinged."""
        if member not in self._view.members():
            return
        now_s = self._clock_s()
        self._heard_s[member] = now_s
        if member != self._view.primary:
            return
        # Who answers alone is not hindered by a backup that it misses (R33).
        self._alone = ping.filling > 0
        self._serves = ping.serving and (ping.report == Report.NONE or self._alone)
        if self._serves:
            self._served_s = now_s
        elif not ping.serving and self._waiting is not None and self._waiting.goes_on:
            self._wait(self._waiting.entry, self._served_s)

    def installed(self, event: ViewInstalled) -> None:
        """A view was made, and is durable."""
        view, cause = event.view, event.cause
        if view.primary is None or cause is None:
            return
        entry = HistoryEntry(
            number=view.number,
            at_ms=round(self._now_s() * 1000),
            primary=view.primary.name,
            backup=None if view.backup is None else view.backup.name,
            cause=cause.value,
            node=event.node,
            without_service_ms=None,
        )
        before, self._view = self._view, view
        stays = view.primary == before.primary
        if self._waiting is not None and not self._waiting.goes_on:
            self._wait(entry, self._waiting.since_s)  # the same time without service goes on
        elif stays and self._serves and (self._alone or cause not in (*_DEATHS, *_REPORTS)):
            self._waiting = _Waiting(entry, True, None)
            self._write(entry._replace(without_service_ms=0))
        else:
            self._wait(entry, self._stopped_s(before, cause, event.node))
        self._serves = self._serves and stays
        now_s = self._clock_s()  # who was chosen is alive
        self._heard_s = {member: self._heard_s.get(member, now_s) for member in view.members()}

    def _stopped_s(self, before: View, cause: Cause, node: str) -> float | None:
        """Return when service was last known to be well; None where nobody was there to see it.

        A primary does not notice at once that its backup is dead, and says that it serves.
        """
        if cause not in _DEATHS or self._served_s is None:
            return self._served_s
        dead = next((member for member in before.members() if member.name == node), None)
        heard_s = None if dead is None else self._heard_s.get(dead)
        return None if heard_s is None else min(heard_s, self._served_s)

    def _wait(self, entry: HistoryEntry, since_s: float | None) -> None:
        """Nobody is served, as far as anyone knows, until ``served``."""
        self._waiting = _Waiting(entry, False, since_s)
        self._write(entry)

    def served(self) -> None:
        """The primary of the newest view is known to serve in it."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.goes_on or waiting.since_s is None:
            return
        ms = round((self._clock_s() - waiting.since_s) * 1000)
        self._write(waiting.entry._replace(without_service_ms=ms))

    def _write(self, entry: HistoryEntry) -> None:
        try:
            self._store.note(entry)
        except StoreUnavailable as error:  # the view itself stands; people lose a line
            logger.warning("the history of views lacks view %d: %s", entry.number, error)

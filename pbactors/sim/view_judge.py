"""Judges the view server: who may follow whom, by counts of its own."""

from __future__ import annotations

from collections.abc import Mapping

from pbactors.protocol.core import Core
from pbactors.protocol.invariants import INVARIANTS, World, promotes_the_gone
from pbactors.protocol.messages import Ping, Report
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import Incarnation, Member, ViewRecord
from pbactors.protocol.view_service import ViewService
from pbactors.sim.violation import Violation

__all__ = ["ViewJudge"]


class ViewJudge:
    """Holds every stored view against what the view server has heard.

    Args:
        world: what invariants look at.
        dead_pings: after so many silent ping checks a server is dead.
    """

    def __init__(self, world: World, dead_pings: int) -> None:
        self._world = world
        self._dead_pings = dead_pings
        self._newest: dict[str, tuple[Incarnation, Ping]] = {}  # by node: its newest ping
        self._silent: dict[str, int] = {}  # by node: ping checks since that
        self._unproven: dict[str, set[str]] = {}  # by a node in doubt: who has not pinged since
        self._wished: set[str] = set()  # whom operators wanted as primary

    # -- what the view server is told ---------------------------------------------------------

    def started(self) -> None:
        """To a view server that starts every ping is news, and nobody is in doubt."""
        self._newest.clear()
        self._unproven.clear()
        self._wished.clear()

    def pinged(self, name: str, incarnation: Incarnation, ping: Ping) -> None:
        """It was handed a ping."""
        newest = self._newest.get(name)
        if newest is not None and (incarnation, ping.sequence) <= (newest[0], newest[1].sequence):
            return
        self._newest[name] = (incarnation, ping)
        self._silent[name] = 0
        self._unproven.pop(name, None)
        for unproven in self._unproven.values():
            unproven.discard(name)

    def doubted(self, name: str) -> None:
        """Its connection to a node is lost, it seems."""
        self._unproven.setdefault(name, set(self._silent))

    def checked(self) -> None:
        """It was told to check pings."""
        for name in self._silent:
            self._silent[name] += 1

    def wished(self, name: str) -> None:
        """An operator wants this primary."""
        self._wished.add(name)

    # -- what it decides ----------------------------------------------------------------------

    def stored(self, before: ViewRecord, core: Core | None) -> None:
        """It has stored a record: hold it against the one ``before``.

        Args:
            before: the record that stood until now.
            core: the view server's, if it knows no more than when it decided.
        """
        reason = INVARIANTS["one_history"](_LastTwo(self._world, before))
        if reason is None and isinstance(core, ViewService):
            reason = promotes_the_gone(before, self._world.record, core)
            reason = reason or self._refuse_backup(before)
            reason = reason or self._refuse_promotion(before) or self._refuse_haste(before)
        if reason is not None:
            raise Violation(f"one_history: {reason}")

    def _newest_of(self, member: Member) -> Ping | None:
        incarnation, ping = self._newest.get(member.name, (b"", None))
        return ping if incarnation == member.incarnation else None

    def _is_given_up(self, member: Member) -> bool:
        """Tell whether a member was silent for long, or is in doubt, or lives no more (R9, R49)."""
        return (
            self._silent.get(member.name, self._dead_pings) >= self._dead_pings
            or member.name in self._unproven
            or self._newest.get(member.name, (b"", None))[0] != member.incarnation
        )

    def _asks(self, before: ViewRecord, *reports: Report) -> bool:
        """Tell whether the primary's newest ping says one of this of its backup, in this view."""
        primary, backup = before.view.members()
        ping = self._newest_of(primary)
        return (
            ping is not None
            and ping.report in reports
            and ping.about == backup.incarnation
            and before.view.number in (ping.number, ping.filling)
        )

    def _refuse_backup(self, before: ViewRecord) -> str | None:
        """R8: only servers that are alive now and stay may be chosen."""
        chosen = self._world.record.view.backup
        if chosen is None or chosen in before.view.members():
            return None
        silent = self._silent.get(chosen.name, self._dead_pings)
        if silent >= self._dead_pings:
            return f"R8: {chosen.name} is chosen as backup, and was silent for {silent} ping checks"
        ping = self._newest_of(chosen)
        if ping is not None and ping.leaving:
            return f"R44: {chosen.name} is chosen as backup, and is leaving"
        return None

    def _refuse_promotion(self, before: ViewRecord) -> str | None:
        """A backup follows its primary where that is given up, or has handed over (R5, R44); where
        a suspicion condemned the primary, the backup has pinged since (R49).
        """
        after, former = self._world.record.view, before.view.primary
        if former is None or after.primary is None or after.primary == former:
            return None
        if not self._is_given_up(former):
            handed_over = self._asks(before, Report.HANDED_OVER)
            return None if handed_over else f"R5: {former.name} lives, and has not handed over"
        hasty = self._silent.get(former.name, 0) < self._dead_pings
        if hasty and after.primary.name in self._unproven.get(former.name, ()):
            return f"R49: {after.primary.name} is promoted on a suspicion, and was not heard since"
        return None

    def _refuse_haste(self, before: ViewRecord) -> str | None:
        """Who is left out of a view is given up, leaves, is reported by its primary, or makes room
        for whom an operator wants (R5).
        """
        after = self._world.record.view
        for member in before.view.members():
            if member in after.members() or self._is_given_up(member):
                continue
            ping = self._newest_of(member)
            leaves = ping is not None and ping.leaving
            reported = member == before.view.backup and self._asks(
                before, Report.UNREACHABLE, Report.DIVERGED
            )
            makes_room = after.backup is not None and after.backup.name in self._wished
            if not (leaves or reported or makes_room):
                silent = self._silent.get(member.name)
                return f"R49: {member.name} is given up, and was silent for {silent} ping checks"
        return None


class _LastTwo:
    """A world with only the last step of its history of views: what was before is judged."""

    def __init__(self, world: World, before: ViewRecord) -> None:
        self.record = world.record
        self.records = (before, world.record)
        self.replicas: Mapping[str, Replica] = world.replicas
        self.answered = world.answered
        self.view_server_runs = world.view_server_runs

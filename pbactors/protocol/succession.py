"""Which view must follow the present one, and why (R2-R8, R35; R43, R44, R50).

A view changes when a member dies, restarts or leaves, when there is an idle server for a view
without backup, when its primary asks for another backup or hands over, and when an operator wants
another primary. Only the first and the handing over make a new primary, and only out of an
acknowledged view (R4).

A backup that lives is given up on request only while its primary is heard: if that is dead already,
though not yet known to be, the backup holds the only copy.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from pbactors.config import Timing
from pbactors.protocol.hold_down import HoldDown
from pbactors.protocol.liveness import Liveness
from pbactors.protocol.messages import Report
from pbactors.protocol.view import Cause, Member, View

__all__ = ["Change", "Succession"]

HOLD_DOWN_MS = 1_000
"""For how long a pair is not formed again, after its link was lost or its results differed, the
first time."""

STABLE_MS = 10_000
"""A pair that held for so long is trusted again."""

WISH_MS = 10_000
"""For how long an operator's wish for another primary is tried, besides the time to fill it."""


class Change(NamedTuple):
    """A view that must follow, why, and whom that is about."""

    view: View
    cause: Cause
    node: str


class Succession:
    """Decides which view follows.

    Args:
        liveness: who lives.
        timing: intervals.

    Attributes:
        hold_down: which pairs are not formed again for a while.
    """

    def __init__(self, liveness: Liveness, timing: Timing) -> None:
        self._liveness = liveness
        self._timing = timing
        self.hold_down = HoldDown(self._checks(HOLD_DOWN_MS), self._checks(STABLE_MS))
        self._link_checks = 0  # ping checks since the primary says that it misses its backup (R43)
        self._wish: Member | None = None  # the primary that an operator wants (R44)
        self._wish_heard = False  # whether it has pinged since
        self._wish_checks = 0  # for how long it is tried

    def _checks(self, duration_ms: int) -> int:
        """Return a duration in ping checks, rounded up."""
        return -(-duration_ms // self._timing.ping_interval_ms)

    # -- what happens -------------------------------------------------------------------------

    def hear(self, view: View, member: Member) -> None:
        """A member has pinged, and ``liveness`` knows what it said."""
        self.hold_down.forget_life(*member)
        if member == self._wish:
            self._wish_heard = True
        if member == view.primary and self._report(view) is not Report.UNREACHABLE:
            self._link_checks = 0

    def check(self, view: View, acked: bool) -> None:
        """A ping check.

        It counts for how long the primary has missed its backup, while both are heard (R43). If one
        is silent towards us too, it is a matter of patience (R9), not of their link.
        """
        self.hold_down.check()
        misses = self._report(view) is Report.UNREACHABLE
        if misses and all(map(self._liveness.heard_lately, view.members())):
            self._link_checks += 1
        if acked or view.backup != self._wish:  # to be filled takes as long as the state is large
            self._wish_checks = max(0, self._wish_checks - 1)
        if self._wish is not None and (not self._wish_checks or self._liveness.gone(self._wish)):
            self._wish = None

    def wish(self, member: Member) -> None:
        """An operator wants this primary; the wish before is forgotten (R44)."""
        self._wish, self._wish_heard = member, False
        self._wish_checks = self._checks(WISH_MS)

    def refuse_wish(self, view: View, member: Member) -> str | None:
        """Return in words why this member cannot be made primary now, or None."""
        name = member.name
        if not self._liveness.living(member):
            return f"{name} is not alive"
        if self._liveness.leaving(member):
            return f"{name} is about to end"
        primary = view.primary
        if primary is None or member in view.members() or not self.hold_down.bars(primary, member):
            return None
        if name in self.hold_down.outcasts():
            return f"{name} stays out until started again: other results, three times"
        return (
            f"{primary.name} and {name} are held apart for a while: a lost link, or other results"
        )

    def changed(self, before: View, change: Change) -> None:
        """The view has changed: do not form a pair again at once whose link is bad or whose results
        differ.
        """
        self._link_checks = 0
        if self._wish == change.view.primary:
            self._wish = None
        if before.primary is None or before.backup is None:
            return
        if change.cause is Cause.DIVERGED:
            self.hold_down.diverged(before.backup)
        if change.cause in (Cause.DIVERGED, Cause.LINK_LOST):
            self.hold_down.hold(before.primary, before.backup)

    # -- what follows -------------------------------------------------------------------------

    def wants_hand_over(self, view: View, acked: bool) -> bool:
        """Tell whether the primary shall let its backup take over (R44)."""
        if not acked or view.primary is None or view.backup is None:
            return False
        wished = view.backup == self._wish and self._wish_heard
        leaves = self._liveness.leaving(view.primary)
        return self._stays(view.backup) and (wished or leaves)

    def _stays(self, member: Member) -> bool:
        """Tell whether a member is alive and not about to end."""
        return self._liveness.living(member) and not self._liveness.leaving(member)

    def next_view(self, view: View, acked: bool) -> Change | None:
        """Return the view that must follow now, or None (R2-R8, R35)."""
        primary, backup = view.primary, view.backup
        if primary is None:
            first = next(self._liveness.candidates(), None)
            return first and Change(View(1, first, None), Cause.NEWCOMER, first.name)
        if not acked:
            return self._next_while_filling(view, primary)
        if self._liveness.gone(primary) and backup is not None:
            return self._promotion(view, primary, backup)
        if self._liveness.restarted(primary):
            return None  # its state is gone, and nobody else ever had it (R7, R25)
        if backup is not None and self._report(view) is Report.HANDED_OVER:
            return self._swap(view, primary, backup)
        return self._next_backup(view, primary) or self._wished_backup(view, primary)

    def _promotion(self, view: View, primary: Member, backup: Member) -> Change | None:
        """The primary is gone: its backup takes over, with another backup or none (R6)."""
        if not self._liveness.living(backup):
            return None  # both are dead, or the backup was not heard since a start (R7, R46)
        if not self._liveness.outlives(backup, primary):
            return None
        cause = self._liveness.why_gone(primary)
        return _after(view, backup, self._choose_backup(view, backup), cause, primary)

    def _swap(self, view: View, primary: Member, backup: Member) -> Change | None:
        """The backup holds everything and shall take over (R44)."""
        if not self._stays(backup):
            return self._next_backup(view, primary)
        if self._liveness.leaving(primary):
            return _after(view, backup, self._choose_backup(view, backup), Cause.LEFT, primary)
        return _after(view, backup, primary, Cause.SWITCHOVER, backup)

    def _next_while_filling(self, view: View, primary: Member) -> Change | None:
        """The view is not acked: only its backup may be replaced, and only while the primary, in
        the same life, says that it has not joined the view yet (R35).
        """
        server = self._liveness.of(primary)
        if server is None or not self._liveness.living(primary):
            return None
        return self._next_backup(view, primary) if server.filling == view.number else None

    def _next_backup(self, view: View, primary: Member) -> Change | None:
        """Same primary: replace a backup that is gone or unwanted, or take a first one (R5, R6)."""
        backup, chosen = view.backup, self._choose_backup(view, primary)
        if backup is None:
            return chosen and _after(view, primary, chosen, Cause.NEWCOMER, chosen)
        cause = self._why_not(view, primary, backup)
        return cause and _after(view, primary, chosen, cause, backup)

    def _why_not(self, view: View, primary: Member, backup: Member) -> Cause | None:
        """Return why the view needs another backup, or None."""
        if self._liveness.gone(backup):
            return self._liveness.why_gone(backup)
        if self._liveness.leaving(backup) and self._liveness.heard_lately(primary):
            return Cause.LEFT
        report = self._report(view)
        if report is Report.DIVERGED:
            return Cause.DIVERGED
        lost = self._link_checks >= self._checks(self._timing.link_loss_ms)
        return Cause.LINK_LOST if report is Report.UNREACHABLE and lost else None

    def _wished_backup(self, view: View, primary: Member) -> Change | None:
        """Whom an operator wants as primary is made backup first (R3, R5)."""
        wish = self._wish
        if wish is None or wish in view.members() or self.refuse_wish(view, wish) is not None:
            return None
        if not self._liveness.heard_lately(primary):
            return None
        return _after(view, primary, wish, Cause.SWITCHOVER, wish)

    def _choose_backup(self, view: View, primary: Member) -> Member | None:
        """Return the idle server that is longest alive (R8) and not held down (R43), or better whom
        an operator wants.
        """
        for candidate in sorted(self._liveness.candidates(), key=self._is_not_wished):
            in_view = candidate in view.members() or candidate.name == primary.name
            if not in_view and not self.hold_down.bars(primary, candidate):
                return candidate
        return None

    def _is_not_wished(self, member: Member) -> bool:
        return member != self._wish

    def _report(self, view: View) -> Report:
        """Return what the primary's newest ping says of its backup, if it is about this view."""
        server = None if view.primary is None else self._liveness.of(view.primary)
        if server is None or view.backup is None or server.about != view.backup.incarnation:
            return Report.NONE
        is_current = view.number in (server.number, server.filling)
        return Report(server.report) if is_current else Report.NONE

    # -- copies -------------------------------------------------------------------------------

    def clone(self, liveness: Liveness) -> Succession:
        """Return an independent copy over ``liveness``, an equal one."""
        copy = object.__new__(Succession)
        copy.__dict__.update(self.__dict__)
        copy._liveness = liveness
        copy.hold_down = self.hold_down.clone()
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        wish = (self._wish, self._wish_heard, self._wish_checks)
        return (self._link_checks, wish, self.hold_down.freeze())


def _after(
    view: View, primary: Member, backup: Member | None, cause: Cause, about: Member
) -> Change:
    return Change(View(view.number + 1, primary, backup), cause, about.name)

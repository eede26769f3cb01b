"""Views: who is primary and who is backup, and what may follow what.

A view is one assignment of roles. The rules (R1, R3, R7 of the view service; the "Primary/Backup"
lecture of CSE 452) are stated here once, as a predicate over two consecutive views, so that the
view service, the invariants and the tests all speak of the same thing.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = [
    "FRESH",
    "INCARNATION_BYTES",
    "NO_VIEW",
    "Cause",
    "Incarnation",
    "Member",
    "Role",
    "View",
    "ViewRecord",
    "invalid_successor",
]

Incarnation = bytes
"""Tells a restarted, empty node from its former self: 16 bytes, ordered (R47)."""

INCARNATION_BYTES = 16

FRESH: Incarnation = bytes(INCARNATION_BYTES)
"""Lower than every incarnation that a node takes."""


class Member(NamedTuple):
    """A node in one of its lives: the unit that views name (R47)."""

    name: str
    incarnation: Incarnation


class Role(Enum):
    """What a node is. A replica is exactly one of the first three."""

    PRIMARY = "primary"
    BACKUP = "backup"
    IDLE = "idle"
    VIEW_SERVER = "view_server"
    CLIENT = "client"


class Cause(Enum):
    """Why a view followed the one before."""

    NEWCOMER = "newcomer"
    KILLED = "killed"
    FROZEN = "frozen"
    SILENT = "silent"
    RESTARTED = "restarted"
    LEFT = "left"
    SWITCHOVER = "switchover"
    LINK_LOST = "link to backup lost"
    DIVERGED = "diverged"


class View(NamedTuple):
    """One assignment of roles. Number 0 with nobody is "none yet"; the first real view is 1."""

    number: int
    primary: Member | None
    backup: Member | None

    def __str__(self) -> str:
        if self.primary is None:
            return f"view {self.number}: nobody"
        backup = "no backup" if self.backup is None else f"backup {self.backup.name}"
        return f"view {self.number}: primary {self.primary.name}, {backup}"

    def role_of(self, member: Member) -> Role:
        """Return what this view makes of ``member``; another incarnation of it is idle."""
        if member == self.primary:
            return Role.PRIMARY
        if member == self.backup:
            return Role.BACKUP
        return Role.IDLE

    def members(self) -> tuple[Member, ...]:
        """Return primary and backup, as far as there are any."""
        return tuple(member for member in (self.primary, self.backup) if member is not None)

    def names_another_life_of(self, member: Member) -> bool:
        """Tell whether the view names this node, but in another incarnation (R47)."""
        return any(
            named.name == member.name and named.incarnation != member.incarnation
            for named in self.members()
        )

    def invalid(self) -> str | None:
        """Return why this is no view at all, or None."""
        if self.number < 0:
            return "negative view number"
        if self.number == 0 and self.members():
            return "view 0 names a member"
        if self.number > 0 and self.primary is None:
            return "a view without a primary"
        names = [member.name for member in self.members()]
        if len(names) != len(set(names)):
            return "one node is both primary and backup"
        return None


NO_VIEW = View(0, None, None)


class ViewRecord(NamedTuple):
    """What the view server makes durable before anyone hears of it (R46)."""

    cluster: bytes
    view: View
    acked: bool


def invalid_successor(before: View, acked: bool, after: View) -> str | None:
    """Return which rule ``after`` breaks as the next view, or None.

    Args:
        before: the current view.
        acked: whether the primary of ``before`` acknowledged it.
        after: the candidate.
    """
    reason = after.invalid()
    if reason is not None:
        return reason
    if after.number != before.number + 1:
        return "R1: numbers go up by one"
    if before.number > 0:
        if after.primary not in before.members():
            return "R3: the next primary was primary or backup of the view before"
        if not acked and after.primary != before.primary:
            return "R4: no promotion out of a view that its primary has not acknowledged"
        if (after.primary, after.backup) == (before.primary, before.backup):
            return "R7: a new number requires a different pair of members"
    elif after.backup is not None:
        return "R2: the first view is a primary alone"
    return None

"""How a replica leaves in peace: it gives up its role first, so that nobody waits for it (R44)."""

from __future__ import annotations

from collections.abc import Hashable

from pbactors.protocol.backup import Backup
from pbactors.protocol.core import Outbox
from pbactors.protocol.events import Left
from pbactors.protocol.idle import Idle
from pbactors.protocol.primary import Primary

__all__ = ["Departure"]


class Departure:
    """The leaving of one life of a replica.

    Attributes:
        asked: whether somebody wants it to leave; its pings say so.
    """

    def __init__(self) -> None:
        self.asked = False
        self._left = False

    def go_on(self, role: Primary | Backup | Idle, out: Outbox) -> None:
        """Once it is asked to: hand over; say once that nothing is left to hand over, or nobody is
        there to take it. A backup waits until a view without it follows.
        """
        if isinstance(role, Primary) and not role.leaves_role:
            role.hand_over()
        nobody_else = isinstance(role, Primary) and role.view.backup is None
        if not self._left and (nobody_else or isinstance(role, Idle)):
            self._left = True
            out.emit(Left())

    # -- copies -------------------------------------------------------------------------------

    def clone(self) -> Departure:
        """Return an independent copy."""
        copy = Departure()
        copy.asked, copy._left = self.asked, self._left
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (self.asked, self._left)

"""How far the handing over of a primary's role is, in one view (R44)."""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["HAND_OVER_PINGS", "Handover"]

HAND_OVER_PINGS = 20
"""If no new view comes within so many pings, a primary that hands over goes on as before (R44)."""


class Handover:
    """Begun by a wish, given up after a while; meanwhile the backup is asked whether it is there.

    Attributes:
        under_way: whether the primary hands over, and so orders nothing new.
    """

    def __init__(self) -> None:
        self.under_way = False
        self._pings = 0
        self._confirm = 0  # the number that the backup has to echo; 0 until it is asked

    def begin(self) -> None:
        """Somebody wishes it, perhaps again."""
        if not self.under_way:
            self._confirm = 0
        self.under_way = True
        self._pings = HAND_OVER_PINGS

    def on_ping_tick(self) -> None:
        """Another ping: no new view came in time, so go on as before."""
        if self.under_way:
            self._pings -= 1
            self.under_way = self._pings > 0

    @property
    def has_to_ask(self) -> bool:
        """Whether the backup was not asked yet."""
        return self.under_way and not self._confirm

    def asks(self, confirm: int) -> None:
        """Something is sent to the backup with this confirm number."""
        if self.has_to_ask:
            self._confirm = confirm

    def waits(self, echo: int) -> bool:
        """Tell whether the backup, which has echoed so far, has not said since that it is there."""
        return not self._confirm or echo < self._confirm

    def clone(self) -> Handover:
        """Return an independent copy."""
        copy = object.__new__(Handover)
        copy.__dict__.update(self.__dict__)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (self.under_way, self._pings, self._confirm)

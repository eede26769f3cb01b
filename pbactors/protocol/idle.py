"""What a replica is while it is neither primary nor backup."""

from __future__ import annotations

from collections.abc import Hashable

from pbactors.protocol.state import ReplicatedState

__all__ = ["Idle"]


class Idle:
    """Neither primary nor backup: waits to be chosen.

    Attributes:
        barred: why this replica may not have the role that its view gives it, or None (R36).
    """

    def __init__(self, state: ReplicatedState, barred: str | None = None) -> None:
        self.state = state
        self.barred = barred

    def describe(self) -> str:
        """Return the state of the role in words."""
        return "idle" if self.barred is None else f"stuck: {self.barred}"

    @property
    def stuck(self) -> bool:
        """Whether a rule forbids what the view wants."""
        return self.barred is not None

    def clone(self, state: ReplicatedState) -> Idle:
        """Return an independent copy over ``state``."""
        return Idle(state, self.barred)

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return ("idle", self.barred)

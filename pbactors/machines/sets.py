"""Replicated sets of texts, by name."""

from __future__ import annotations

from pbactors.machines.state_machine import StateMachine, command, query
from pbactors.machines.table import Table

__all__ = ["Sets"]


class Sets(StateMachine):
    """Sets of texts under text names. A set that nothing was ever added to is empty."""

    def __init__(self) -> None:
        self.sets: Table[str, set[str]] = Table()

    @query
    def contains(self, name: str, item: str) -> bool:
        """Tell whether an item is in a set."""
        return item in self.sets.get(name, ())

    @query
    def members(self, name: str) -> list[str]:
        """Return the items of a set, sorted."""
        return sorted(self.sets.get(name, ()))

    @command
    def add(self, name: str, item: str) -> bool:
        """Put an item into a set.

        Returns:
            Whether it was not there before.
        """
        items = self.sets.setdefault(name, set())
        if item in items:
            return False
        items.add(item)
        return True

    @command
    def remove(self, name: str, item: str) -> bool:
        """Take an item out of a set; a set that is empty then is forgotten.

        Returns:
            Whether it was there.
        """
        items = self.sets.get(name, set())
        if item not in items:
            return False
        items.remove(item)
        if not items:
            del self.sets[name]
        return True

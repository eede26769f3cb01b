"""Which pairs are not formed again for a while, so that a bad link does not make views flap (R43,
R50).

It bars the choice of a backup, never a promotion, and it is forgotten with the view server: it
affects how soon something happens, never what is safe.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import astuple, dataclass, replace

from pbactors.protocol.view import Member

__all__ = ["DIVERGED_MAX", "HoldDown"]

DOUBLINGS_MAX = 6
DIVERGED_MAX = 3
"""A member that has diverged so often stays out until its process is another one."""


@dataclass(slots=True)
class _Held:
    """One pair.

    Attributes:
        left: ping checks until it may be formed again.
        length: of the newest hold-down, in ping checks.
        quiet: ping checks since it ran out.
    """

    left: int
    length: int
    quiet: int = 0


class HoldDown:
    """The pairs that are held down.

    Args:
        first: ping checks of a first hold-down; each repeat doubles it.
        stable: a pair that was not held down again for so many ping checks, and twice its last
            hold-down, is forgotten.
    """

    def __init__(self, first: int, stable: int) -> None:
        self._first = first
        self._stable = stable
        self._pairs: dict[frozenset[Member], _Held] = {}
        self._diverged: dict[str, tuple[bytes, int]] = {}

    def hold(self, one: Member, other: Member) -> None:
        """The link between these two is bad, or their results differ."""
        pair = frozenset((one, other))
        held = self._pairs.get(pair)
        length = self._first
        if held is not None:
            length = min(2 * held.length, self._first << DOUBLINGS_MAX)
        self._pairs[pair] = _Held(length, length)

    def diverged(self, member: Member) -> None:
        """A backup has come to other results than its primary (R50)."""
        self._diverged[member.name] = (member.incarnation, 1 + self.times_diverged(member))

    def times_diverged(self, member: Member) -> int:
        """Return how often a member has diverged, in this life."""
        incarnation, times = self._diverged.get(member.name, (member.incarnation, 0))
        return times if incarnation == member.incarnation else 0

    def bars(self, primary: Member, backup: Member) -> bool:
        """Tell whether these two may not be made a pair now."""
        held = self._pairs.get(frozenset((primary, backup)))
        out = self.times_diverged(backup) >= DIVERGED_MAX
        return out or (held is not None and held.left > 0)

    def outcasts(self) -> list[str]:
        """Return the names of those that stay out."""
        return sorted(name for name, (_, times) in self._diverged.items() if times >= DIVERGED_MAX)

    def check(self) -> None:
        """A ping check."""
        for pair, held in list(self._pairs.items()):
            if held.left:
                held.left -= 1
            elif held.quiet < max(2 * held.length, self._stable):
                held.quiet += 1
            else:
                del self._pairs[pair]

    def forget_life(self, name: str, incarnation: bytes) -> None:
        """Another process has this name now: what was wrong with the former one is over."""
        if self._diverged.get(name, (incarnation, 0))[0] != incarnation:
            del self._diverged[name]

    # -- copies -------------------------------------------------------------------------------

    def clone(self) -> HoldDown:
        """Return an independent copy."""
        copy = HoldDown(self._first, self._stable)
        copy._pairs = {pair: replace(held) for pair, held in self._pairs.items()}
        copy._diverged = dict(self._diverged)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        pairs = frozenset((pair, astuple(held)) for pair, held in self._pairs.items())
        return (pairs, tuple(sorted(self._diverged.items())))

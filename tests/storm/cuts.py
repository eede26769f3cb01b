"""Which links a partition cuts, and how that is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

from tests.storm.cluster import HOSTS

__all__ = ["CUTS", "Links", "cut_links"]

Links = frozenset[tuple[str, str]]
"""Pairs of sending and receiving host."""

CUTS: Final = ("isolate", "split", "part", "deafen", "mute", "lose")


def cut_links(kind: str, victim: str, backup: str | None, random: Random) -> tuple[str, Links]:
    """Return in words what a cut of this kind does, and which links it takes.

    Args:
        kind: one of ``CUTS``.
        victim: the host that it is about.
        backup: the backup's host, for ``part``.
        random: for ``split``.
    """
    others = [host for host in HOSTS if host != victim]
    match kind:
        case "isolate":
            return f"cut off {victim}", _both_ways([victim], others)
        case "deafen":
            return f"nothing reaches {victim}", _one_way(others, [victim])
        case "mute":
            return f"nothing comes from {victim}", _one_way([victim], others)
        case "lose":
            return f"packets to and from {victim} get lost", _both_ways([victim], others)
        case "part" if backup is not None:
            return f"cut between {victim} and {backup}", _both_ways([victim], [backup])
        case "split":
            mixed = random.sample(HOSTS, len(HOSTS))
            place = random.randint(2, len(HOSTS) - 2)
            here, there = sorted(mixed[:place]), sorted(mixed[place:])
            return f"cut {' '.join(here)} from {' '.join(there)}", _both_ways(here, there)
    raise ValueError(f"no such cut: {kind}")


def _one_way(sources: Sequence[str], targets: Iterable[str]) -> Links:
    return frozenset((source, target) for target in targets for source in sources)


def _both_ways(here: Sequence[str], there: Sequence[str]) -> Links:
    return _one_way(here, there) | _one_way(there, here)

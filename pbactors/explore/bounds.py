"""How far an exploration goes: what may happen how often, and among which nodes.

Messages are never removed from the network, so every message may be lost, late, repeated or out of
order any number of times; that needs no bound. What would make the space of states infinite by
itself is bounded here, and *exhausted* always means: within these bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pbactors.protocol.core import Timer

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """What may happen in an exploration.

    Attributes:
        timers: how often each timer may fire at each node; those not named never fire.
        restarts: how often each replica may crash and start again, empty.
        view_server_restarts: how often the view server may, with what it has stored.
        naps: how often the view server may notice that it slept.
        losses: how often it may notice, rightly or wrongly, that a connection to a replica is lost.
        confirms: the highest confirm number of a primary. A repeated query makes it send another
            (R37), so without a bound there would be no end.
        views: the highest view number; None for any.
        among: names of the nodes among which messages pass; None for all. (A cut in one direction
            needs no bound: it is the loss of messages, which is always possible.)
    """

    timers: Mapping[Timer, int] = field(default_factory=dict)
    restarts: int = 0
    view_server_restarts: int = 0
    naps: int = 0
    losses: int = 0
    confirms: int = 6
    views: int | None = None
    among: frozenset[str] | None = None

    def joins(self, source: str, target: str) -> bool:
        """Tell whether messages from one node reach another."""
        return self.among is None or (source in self.among and target in self.among)

    def but(self, **changes: object) -> Bounds:
        """Return these bounds with some changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def __str__(self) -> str:
        timers = ", ".join(f"{timer.value} {count}" for timer, count in self.timers.items())
        parts = [
            f"timers per node: {timers or 'none'}",
            f"restarts per replica: {self.restarts}",
            f"of the view server: {self.view_server_restarts}",
            f"naps: {self.naps}",
            f"lost connections: {self.losses}",
            f"confirm numbers to {self.confirms}",
        ]
        if self.views is not None:
            parts.append(f"views to {self.views}")
        if self.among is not None:
            parts.append(f"messages among {', '.join(sorted(self.among))} alone")
        return "; ".join(parts)

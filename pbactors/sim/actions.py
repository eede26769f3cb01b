"""The nemesis's actions: what it does to nodes and links, each for a while, as a list in the plan.

A list that stands before the run begins can be cut: leaving out one action moves no other.
"""

from __future__ import annotations

from enum import Enum
from random import Random
from typing import NamedTuple

__all__ = ["Action", "Fault", "draw_actions"]


class Fault(Enum):
    """What the nemesis can do."""

    CRASH = "crash"
    TORN_CRASH = "crash in the middle of an outbox"
    RESTART_AT_ONCE = "empty restart at once"
    CRASH_PAIR = "crash of primary and backup"
    SECOND_LIFE = "second life beside the first"
    FREEZE = "freeze"
    ONE_WAY_CUT = "one-way cut"
    LINK_CUT = "cut link"
    ISOLATION = "isolation"
    HALVES = "partition into halves"
    STRANDED = "node cut off together with a client"
    PAIR_CUT = "cut between primary and backup"
    BRIDGE = "partition with a bridge"
    VIEW_SERVER_CUT = "view server cut off"
    CLOGS = "clogged links"
    VIEW_SERVER_CRASH = "view server crash"
    VIEW_SERVER_TORN_CRASH = "view server crash in the middle of an outbox"
    VIEW_SERVER_PAUSE = "view server pause"
    FALSE_SUSPICION = "false suspicion"
    DIVERGENCE = "divergence"
    DEPARTURE = "departure in peace"
    SWITCHOVER = "switchover"
    STORE_FAILURE = "failing view store"
    CLIENT_CRASH = "client crash"
    CLIENT_LEAVES = "client closes its session"


class Action(NamedTuple):
    """One thing that the nemesis does.

    Attributes:
        number: its place in the seed's list, which stays when others are left out.
        at_ms: when it begins.
        lasts_ms: for how long; until the node is back, the link whole.
        fault: what.
        whom: "primary" or "backup" as the newest stored view has it at that moment, or "any".
        choice: decides what is left open, such as which node is "any".
    """

    number: int
    at_ms: int
    lasts_ms: int
    fault: Fault
    whom: str
    choice: int

    def __str__(self) -> str:
        whom = f" ({self.whom})" if self.fault in _ON_NODES else ""
        return f"{self.number}: {self.fault.value}{whom} at {self.at_ms} ms for {self.lasts_ms} ms"


_ON_NODES = frozenset(
    {
        Fault.CRASH,
        Fault.TORN_CRASH,
        Fault.RESTART_AT_ONCE,
        Fault.SECOND_LIFE,
        Fault.FREEZE,
        Fault.FALSE_SUSPICION,
        Fault.DEPARTURE,
        Fault.SWITCHOVER,
        Fault.ISOLATION,
        Fault.STRANDED,
        Fault.VIEW_SERVER_CUT,
        Fault.ONE_WAY_CUT,
        Fault.LINK_CUT,
    }
)
_OFTEN = (Fault.CRASH, Fault.RESTART_AT_ONCE, Fault.FREEZE, Fault.STRANDED, Fault.LINK_CUT)


def draw_actions(random: Random, horizon_ms: int, dead_interval_ms: int) -> tuple[Action, ...]:
    """Return actions of some kinds, spread over ``horizon_ms``.

    Args:
        random: the source of choices.
        horizon_ms: when the last one begins at the latest.
        dead_interval_ms: silence after which a node counts as dead; most actions last around it.
    """
    kinds = [fault for fault in Fault if random.random() < (0.6 if fault in _OFTEN else 0.4)]
    kinds = kinds or list(_OFTEN)
    count = max(6, round(horizon_ms / dead_interval_ms * random.uniform(0.7, 1.5)))
    moments = sorted(random.randrange(horizon_ms) for _ in range(min(count, 24)))
    return tuple(
        Action(
            number,
            at_ms,
            round(dead_interval_ms * random.choice((0.0, 0.3, 1.2, 1.5, 3.0))),
            random.choice(kinds),
            random.choice(("primary", "primary", "backup", "any", "any")),
            random.randrange(1 << 30),
        )
        for number, at_ms in enumerate(moments, 1)
    )

"""What strikes when: drawn from a seed before a storm begins, and printed.

A strike names a role, since nobody can know beforehand which node will have it. So equal seeds give
equal schedules, and about the same storm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

__all__ = ["ALL_NEMESES", "CAN_DO_WITHOUT_LINKS", "WAVE_S", "Strike", "draw", "in_words"]

WAVE_S: Final = 15.0
"""How long it storms before the cluster is left alone until it serves again."""

CAN_DO_WITHOUT_LINKS: Final = ("kills", "stops", "restarts", "view-server")
ALL_NEMESES: Final = ("kills", "stops", "partitions", "restarts", "view-server")

FIRST_S: Final = 0.5
GAP_S: Final = (0.3, 2.5)


@dataclass(frozen=True, slots=True)
class Strike:
    """One thing that a nemesis does.

    Attributes:
        at_s: when, in seconds from the beginning of its wave.
        kind: what is done: a method of ``Nemeses``.
        role: to whom: primary, backup, idle, view, client; or "any" replica.
        lasts_s: for how long, until it is healed.
        strength: percent of packets lost, or kilobits per second; 0 where it has no meaning.
    """

    at_s: float
    kind: str
    role: str
    lasts_s: float
    strength: int = 0

    def __str__(self) -> str:
        strength = f", {self.strength} {UNITS[self.kind]}" if self.strength else ""
        return f"{self.kind} {self.role}{strength}, for {self.lasts_s:.2f} s"


UNITS: Final = {"lose": "% of packets", "slow": "kbit/s"}

MEMBERS: Final = ("primary", "primary", "backup", "backup", "idle")
SHORT_S: Final = (0.05, 0.4)
"""Shorter than it takes to be declared dead."""

LONG_S: Final = (1.2, 4.0)
"""Longer than that, in any case: who is silent for a second counts as dead."""


def draw(seed: int, seconds: float, nemeses: Sequence[str]) -> list[list[Strike]]:
    """Return the strikes of each wave of a storm.

    Args:
        seed: of all choices.
        seconds: how long the waves last together.
        nemeses: some of ``ALL_NEMESES``; each strike is one of theirs.
    """
    random = Random(seed)
    waves = []
    left_s = seconds
    while left_s > 0:
        waves.append(_wave(random, min(WAVE_S, left_s), nemeses))
        left_s -= WAVE_S
    return waves


def _wave(random: Random, length_s: float, nemeses: Sequence[str]) -> list[Strike]:
    wave = []
    at_s = FIRST_S
    while at_s < length_s:
        wave.append(STRIKES[random.choice(nemeses)](random, at_s))
        at_s += random.uniform(*GAP_S)
    return wave


def _kill(random: Random, at_s: float) -> Strike:
    role = random.choice((*MEMBERS, "client"))
    return Strike(at_s, "kill", role, random.uniform(0.2, 2.0))


def _restart(random: Random, at_s: float) -> Strike:
    return Strike(at_s, "kill", random.choice(MEMBERS), 0.0)


def _stop(random: Random, at_s: float) -> Strike:
    role = random.choice((*MEMBERS, "view", "client"))
    return Strike(at_s, "stop", role, random.uniform(*random.choice((SHORT_S, LONG_S))))


def _partition(random: Random, at_s: float) -> Strike:
    lasts_s = random.uniform(*random.choice((SHORT_S, LONG_S, LONG_S)))
    role = random.choice((*MEMBERS, "view", "client"))
    match random.choice(("isolate", "split", "part", "deafen", "mute", "lose", "slow")):
        case "split":
            return Strike(at_s, "split", "any", lasts_s)
        case "part":
            return Strike(at_s, "part", "primary", lasts_s)
        case "lose":
            return Strike(at_s, "lose", role, lasts_s, random.choice((5, 20, 40)))
        case "slow":
            return Strike(at_s, "slow", role, lasts_s, random.choice((100, 300, 1000)))
        case kind:
            return Strike(at_s, kind, role, lasts_s)


def _view_server(random: Random, at_s: float) -> Strike:
    if random.random() < 0.6:
        return Strike(at_s, "kill", "view", random.choice((0.0, random.uniform(0.2, 3.0))))
    return Strike(at_s, "stop", "view", random.uniform(*LONG_S))


STRIKES: Final = {
    "kills": _kill,
    "restarts": _restart,
    "stops": _stop,
    "partitions": _partition,
    "view-server": _view_server,
}


def in_words(waves: Sequence[Sequence[Strike]]) -> str:
    """Return a schedule for a person to read, a line for each strike."""
    lines = []
    for number, wave in enumerate(waves, start=1):
        lines.append(f"wave {number}")
        lines += [f"  {strike.at_s:5.2f} s  {strike}" for strike in wave]
    return "\n".join(lines)

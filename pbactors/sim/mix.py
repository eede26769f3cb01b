"""What goes wrong with single messages, timers and batches, and how often.

Every knob is a probability; 0 switches it off. A seed switches on some of them and draws their
strengths: a run in which everything always goes wrong finds less than many runs in which a few
things go badly wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["Mix"]


@dataclass(frozen=True, slots=True)
class Mix:
    """How often what goes wrong.

    Attributes:
        loss: messages that never arrive.
        duplication: messages that arrive twice.
        late_duplication: the share of these second copies that arrive much later, several dead
            intervals after the first.
        reordering: messages that others of their link overtake.
        delay: messages that are on their way for much longer, and hold up those behind them.
        batching: arrivals that wait for others, to be handed over together before one flush.
        early_timers: timers that fire before they are due.
        late_timers: timers that fire long after they are due.
        spurious_timers: timers that fire once more, for nothing.
        withdrawal: calls that are given up at a deadline.
    """

    loss: float = 0.0
    duplication: float = 0.0
    late_duplication: float = 0.0
    reordering: float = 0.0
    delay: float = 0.0
    batching: float = 0.0
    early_timers: float = 0.0
    late_timers: float = 0.0
    spurious_timers: float = 0.0
    withdrawal: float = 0.0

    @classmethod
    def draw(cls, random: Random) -> Mix:
        """Return a mix: some knobs on, each mildly or strongly."""
        strengths = {
            name: random.choice((most / 20, most / 5, most)) * random.uniform(0.5, 1.0)
            if random.random() < chance
            else 0.0
            for name, (chance, most) in _STRONGEST.items()
        }
        return cls(**strengths)


_STRONGEST = {
    "loss": (0.6, 0.3),
    "duplication": (0.6, 0.5),
    "late_duplication": (0.7, 1.0),
    "reordering": (0.6, 0.5),
    "delay": (0.4, 0.2),
    "batching": (0.7, 0.9),
    "early_timers": (0.4, 0.4),
    "late_timers": (0.4, 0.4),
    "spurious_timers": (0.4, 0.3),
    "withdrawal": (0.3, 0.2),
}
"""For each knob how likely it is on, and its greatest strength."""

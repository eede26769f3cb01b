"""Classes of a user's own, for the simulator to judge."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pbactors import StateMachine, command, query


class Lottery(StateMachine):
    """Uses ``self.context``: no sequential model could foresee what it answers."""

    def __init__(self) -> None:
        self.drawn: list[int] = []

    @command
    def draw(self, most: int) -> int:
        self.drawn.append(self.context.random.randint(0, abs(most)))
        return self.drawn[-1]

    @command
    def ticket(self) -> str:
        return f"{self.context.new_id()} {self.context.now.isoformat()}"

    @query
    def history(self) -> list[int]:
        return list(self.drawn)


class RiggedLottery(Lottery):
    """Draws from the process's own randomness: its copies differ."""

    @command
    def draw(self, most: int) -> int:
        self.drawn.append(random.randint(0, abs(most) + 10))
        return self.drawn[-1]


class Attic(StateMachine):
    """Restores another state than the one that it gave away."""

    def __init__(self) -> None:
        self.count = 0

    @command
    def add(self) -> int:
        self.count += 1
        return self.count

    @query
    def total(self) -> int:
        return self.count

    def snapshot_pieces(self) -> Iterator[object]:
        yield self.count

    def restore_piece(self, piece: object) -> None:
        """Forget what was given."""

"""All processes of a world: who runs under which name, in which life, and how to reach it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pbactors.ensemble import incarnation
from pbactors.protocol.core import Core
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import Incarnation
from pbactors.sim.process import Process

__all__ = ["Population"]


class Population:
    """Who runs. Of one name there may be several lives at a time; the newest one counts.

    Attributes:
        lives: the running processes by name, the newest life last.
        replicas: the cores of running replicas by name; a former life has a name of its own.
    """

    def __init__(self) -> None:
        self.lives: dict[str, list[Process]] = {}
        self.replicas: dict[str, Replica] = {}
        self._routes: dict[bytes, Process] = {}
        self._rank = 0

    def __iter__(self) -> Iterator[Process]:
        return iter([process for lives in self.lives.values() for process in lives])

    def next_life(self) -> tuple[int, Incarnation]:
        """Return rank and incarnation of the life that begins next: above all before (R47)."""
        self._rank += 1
        return self._rank, incarnation(self._rank)

    def begin(self, name: str, rank: int, core: Core, random: Random) -> Process:
        """Add a process that begins; a running one of its name is a former life from here on."""
        if isinstance(core, Replica):
            for other in self.lives.get(name, ()):
                if not other.former:
                    other.former = True
                    self.replicas[_former_name(other)] = self.replicas.pop(name)
            self.replicas[name] = core
        process = Process(name, rank, core, random)
        self.lives.setdefault(name, []).append(process)
        self._routes[process.route] = process
        return process

    def end(self, process: Process) -> None:
        """Take a process out that has ended."""
        self.lives[process.name].remove(process)
        del self._routes[process.route]
        if isinstance(process.core, Replica):
            del self.replicas[_former_name(process) if process.former else process.name]

    def newest(self, name: str) -> Process | None:
        """Return the newest running life of a name."""
        lives = self.lives.get(name)
        return lives[-1] if lives else None

    def at(self, route: bytes) -> Process | None:
        """Return the very process that a way back leads to, if it runs."""
        return self._routes.get(route)

    def somebody(self, name: str, random: Random) -> Process | None:
        """Return a running life of a name: whichever a message happens to reach."""
        lives = self.lives.get(name)
        if not lives:
            return None
        return lives[0] if len(lives) == 1 else random.choice(lives)


def _former_name(process: Process) -> str:
    return f"{process.name}, life {process.life}"

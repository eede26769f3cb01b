"""How fast clients are served, side by side with what else one could use.

A case has contestants, the first of which is the measure of the others. They take turns in every
round, each with processes of its own that end before the next begins; a figure is the median of
the rounds, and a ratio is the median of the ratios within a round. So what else the machine does
strikes all of them alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks import pysyncobj_peer, redis_peer
from benchmarks.cluster_clients import ClusterClients, formed
from benchmarks.floor import Floor
from benchmarks.loads import Load, Seen, System, measure

__all__ = ["CASES", "SWEEP", "Case", "Contestant", "Figures", "compete", "missing"]

WARM_S = 1.0


@contextmanager
def _pbactors(way: str) -> Iterator[System]:
    with formed() as cluster:
        yield ClusterClients(cluster.path, way)


@contextmanager
def _redis(*, grouped: bool) -> Iterator[System]:
    with redis_peer.running() as port:
        yield redis_peer.Redis(port, grouped)


SYSTEMS: dict[str, Callable[[], AbstractContextManager[System]]] = {
    "floor": Floor,
    "wire client": lambda: _pbactors("wire"),
    "submit": lambda: _pbactors("submit"),
    "call": lambda: _pbactors("call"),
    "PySyncObj": pysyncobj_peer.running,
    "Redis, SET and WAIT": lambda: _redis(grouped=False),
    "Redis, n SET, one WAIT": lambda: _redis(grouped=True),
}
"""What can be measured, and how it is started."""

PEERS = {
    "PySyncObj": pysyncobj_peer.is_installed,
    "Redis, SET and WAIT": redis_peer.is_installed,
    "Redis, n SET, one WAIT": redis_peer.is_installed,
}
"""What is measured only where it is installed."""


@dataclass(frozen=True)
class Contestant:
    """A system under a load.

    Attributes:
        system: a key of ``SYSTEMS``.
        load: what its clients do.
        label: its name in tables; that of the system if empty.
    """

    system: str
    load: Load
    label: str = ""

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.label or self.system


@dataclass(frozen=True)
class Case:
    """What is compared.

    Attributes:
        about: what it is, in a line.
        contestants: who; the first is the measure.
        one_core: whether all processes share one core.
    """

    about: str
    contestants: tuple[Contestant, ...]
    one_core: bool = False


def _alike(about: str, load: Load, *systems: str, one_core: bool = False) -> Case:
    return Case(about, tuple(Contestant(system, load) for system in systems), one_core)


_ALL = tuple(name for name in SYSTEMS if name != "call")

CASES: dict[str, Case] = {
    "one-client": _alike("one client, 64 open, values of 16 B", Load(64), *_ALL),
    "large-values": _alike(
        "one client, 64 open, values of 1 KiB", Load(64, value_bytes=1024), *_ALL
    ),
    "many-open": _alike("one client, 1,024 open, 16 B", Load(1024), *_ALL),
    "four-clients": _alike(
        "four clients, 16 open each, 16 B", Load(16, processes=4), "floor", "wire client", "submit"
    ),
    "one-at-a-time": _alike(
        "one client, one at a time, all on one core, 16 B",
        Load(1),
        "floor",
        "wire client",
        "call",
        "PySyncObj",
        "Redis, SET and WAIT",
        one_core=True,
    ),
    "queries": Case(
        "one client, 64 open, 95 of 100 are queries",
        (
            Contestant("wire client", Load(64), "puts alone"),
            Contestant("wire client", Load(64, queries=95), "95 % queries"),
            Contestant("submit", Load(64), "submit, puts alone"),
            Contestant("submit", Load(64, queries=95), "submit, 95 % queries"),
        ),
    ),
    "keys": Case(
        "one client, 64 open, by how many keys the state has",
        (
            Contestant("wire client", Load(64), "1,000 keys"),
            Contestant("wire client", Load(64, keys=1_000_000), "1,000,000 keys"),
        ),
    ),
    "sessions": Case(
        "four clients, 16 open each, by how many sessions they have",
        (
            Contestant("wire client", Load(16, processes=4), "4 sessions"),
            Contestant("wire client", Load(16, processes=4, sessions=64), "256 sessions"),
        ),
    ),
}
"""What ``tools/bench speed`` compares."""

SWEEP = {
    outstanding: _alike(f"{outstanding} open", Load(outstanding), "floor", "wire client", "submit")
    for outstanding in (1, 4, 16, 64, 256, 1024)
}
"""What ``tools/bench sweep`` compares, by how many operations are open."""


@dataclass
class Figures:
    """What one contestant has come to, round by round.

    Attributes:
        name: of the contestant.
        rates_per_s: operations per second.
        ratios: to the first contestant, in the same round.
        p50_us: of the time that operations took.
        p99_us: as well.
    """

    name: str
    rates_per_s: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)

    def add(self, seen: Seen, first: float) -> None:
        """Add a round, in which the first contestant had such a rate."""
        self.rates_per_s.append(seen.rate_per_s)
        self.ratios.append(seen.rate_per_s / first)
        self.p50_us.append(seen.wait_us(0.5))
        self.p99_us.append(seen.wait_us(0.99))

    def medians(self) -> dict[str, float]:
        """Return the median of everything, by its name."""
        return {
            "rate_per_s": median(self.rates_per_s),
            "ratio": median(self.ratios),
            "p50_us": median(self.p50_us),
            "p99_us": median(self.p99_us),
        }


def missing(case: Case) -> list[str]:
    """Return which systems of a case are not installed here."""
    return [one.system for one in case.contestants if not PEERS.get(one.system, lambda: True)()]


def compete(
    case: Case, rounds: int, seconds: float, tell: Callable[[int, str], None]
) -> list[Figures]:
    """Let the contestants that are installed take turns.

    Args:
        case: who.
        rounds: how many.
        seconds: for each contestant in each round.
        tell: is told the round, from 1, and who comes now.

    Raises:
        RuntimeError: somebody could not be started, or a client failed.
    """
    absent = missing(case)
    contestants = [one for one in case.contestants if one.system not in absent]
    found = [Figures(one.name) for one in contestants]
    with _cores(one_core=case.one_core):
        for number in range(1, rounds + 1):
            first = 0.0
            for contestant, figures in zip(contestants, found, strict=True):
                tell(number, contestant.name)
                seen = _seen(contestant, number, seconds)
                first = first or seen.rate_per_s
                figures.add(seen, first)
    return found


def _seen(contestant: Contestant, number: int, seconds: float) -> Seen:
    try:
        with SYSTEMS[contestant.system]() as system:
            return measure(system, contestant.load, WARM_S, seconds)
    except RuntimeError as error:
        raise RuntimeError(f"round {number}, {contestant.name}: {error}") from error


@contextmanager
def _cores(*, one_core: bool) -> Iterator[None]:
    """Let this process and those that it starts use one core alone."""
    if not one_core:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

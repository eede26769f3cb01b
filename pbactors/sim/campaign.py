"""Many seeds, in several processes, added up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from pbactors.machines.state_machine import StateMachine
from pbactors.sim.plan import OPERATIONS
from pbactors.sim.run import Report, simulate
from pbactors.sim.workers import spread
from pbactors.workload import Workload

__all__ = ["COUNTED_FAULTS", "COUNTED_OPERATIONS", "Campaign", "Tally"]

COUNTED_OPERATIONS = 300
COUNTED_FAULTS = 5
"""A schedule counts if it has at least so many client operations and kinds of fault."""

_TWINS = 3
_HASH_SEEDS = (1, 2)
_HASHING_MATTERS = (
    "R26: with PYTHONHASHSEED={} this run goes another way than with {}, and each process hashes "
    "in a way of its own: the class depends on the order of a set, or on hash()"
).format(*_HASH_SEEDS)


@dataclass(slots=True)
class Tally:
    """Runs added up.

    Attributes:
        schedules: how many runs.
        counted: how many of them had enough operations and kinds of fault to count.
        operations: client calls in all of them.
        steps: things that happened.
        views: views that were made.
        cpu_s: seconds of processor time.
        outcomes: how many ended how.
        faults: how often each kind of fault happened.
        broken: seeds that broke a promise, with the promise, in ascending order.
    """

    schedules: int = 0
    counted: int = 0
    operations: int = 0
    steps: int = 0
    views: int = 0
    cpu_s: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[int, str]] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Add one run."""
        self.schedules += 1
        enough = report.operations >= COUNTED_OPERATIONS and len(report.faults) >= COUNTED_FAULTS
        self.counted += enough
        self.operations += report.operations
        self.steps += report.steps
        self.views += report.views
        self.outcomes[report.outcome] += 1
        self.faults.update(report.faults)
        if report.violation is not None:
            self.broken.append((report.plan.seed, report.violation))

    def add_all(self, other: Tally) -> None:
        """Add what another process has added up."""
        self.schedules += other.schedules
        self.counted += other.counted
        self.operations += other.operations
        self.steps += other.steps
        self.views += other.views
        self.cpu_s += other.cpu_s
        self.outcomes.update(other.outcomes)
        self.faults.update(other.faults)
        self.broken = sorted(self.broken + other.broken)

    @property
    def operations_per_cpu_s(self) -> float:
        """Client operations per second of one core, with all checks."""
        return self.operations / self.cpu_s if self.cpu_s else 0.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """Which runs.

    Attributes:
        machine: the class; other processes import it by its name.
        seeds: which ones.
        operations: of each run.
        workload: for all runs; drawn by each seed if None.
        jobs: how many processes; with 1 every run that counts happens in this one.
    """

    machine: type[StateMachine]
    seeds: Sequence[int]
    operations: int = OPERATIONS
    workload: Workload | None = None
    jobs: int = 1

    def run(self) -> Generator[Tally, None, None]:
        """Yield what single seeds came to, in order; then those that hashing sends other ways.
        Nothing goes on afterwards.

        Raises:
            WorkerDied: a process ended while it ran a seed.
        """
        if self.jobs == 1 or len(self.seeds) < 2:
            yield from map(self.tally, self.seeds)
        else:
            yield from spread(self.tally, self.seeds, self.jobs)
        yield self._twins()

    def tally(self, seed: int) -> Tally:
        """Run one seed in this process."""
        tally = Tally()
        began_s = time.process_time()
        tally.add(self._simulate(seed))
        tally.cpu_s = time.process_time() - began_s
        return tally

    def _twins(self) -> Tally:
        """Run some seeds in two processes that hash texts differently.

        All copies of a simulated run live in one process, where a set of texts has one order;
        those of a cluster do not.
        """
        ways = [
            dict(spread(self.digest, self.seeds[:_TWINS], 1, hash_seed))
            for hash_seed in _HASH_SEEDS
        ]
        parted = [seed for seed, digest in ways[0].items() if ways[1][seed] != digest]
        return Tally(broken=[(seed, _HASHING_MATTERS) for seed in parted])

    def digest(self, seed: int) -> tuple[int, int]:
        """Return a seed, and the digest of its run in this process."""
        return seed, self._simulate(seed).digest

    def _simulate(self, seed: int) -> Report:
        return simulate(self.machine, seed, operations=self.operations, workload=self.workload)

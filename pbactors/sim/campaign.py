"""Many seeds, in several processes, added up."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from pbactors.machines.state_machine import StateMachine
from pbactors.sim.plan import OPERATIONS
from pbactors.sim.run import Report, simulate
from pbactors.workload import Workload

__all__ = ["COUNTED_FAULTS", "COUNTED_OPERATIONS", "Campaign", "Tally"]

COUNTED_OPERATIONS = 300
COUNTED_FAULTS = 5
"""A schedule counts if it has at least so many client operations and kinds of fault."""

_SHARE = 10


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
        jobs: how many processes; with 1 everything happens in this one.
    """

    machine: type[StateMachine]
    seeds: Sequence[int]
    operations: int = OPERATIONS
    workload: Workload | None = None
    jobs: int = 1

    def run(self) -> Generator[Tally, None, None]:
        """Yield what single groups of seeds came to, as they end. Nothing goes on afterwards."""
        shares = [self.seeds[at : at + _SHARE] for at in range(0, len(self.seeds), _SHARE)]
        if self.jobs == 1 or len(shares) < 2:
            for share in shares:
                yield self.tally(share)
            return
        context = multiprocessing.get_context("spawn")  # forked threads and sockets help nobody
        with context.Pool(min(self.jobs, len(shares)), _serve_campaign) as pool:
            yield from pool.imap_unordered(self.tally, shares)

    def tally(self, seeds: Sequence[int]) -> Tally:
        """Run some seeds in this process, one after the other."""
        tally = Tally()
        began_s = time.process_time()
        for seed in seeds:
            tally.add(
                simulate(self.machine, seed, operations=self.operations, workload=self.workload)
            )
        tally.cpu_s = time.process_time() - began_s
        return tally


def _serve_campaign() -> None:
    """Prepare a process: Ctrl-C reaches the whole group, and the first process ends the others;
    what the class prints must not stand among results.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a run makes much and leaves little
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr

"""The simulator: whole runs of a cluster in virtual time, from a seed.

The real cores and the real wire codec; faults of every kind, drawn from the seed; every step
judged. A seed replays bit for bit.
"""

from pbactors.sim.campaign import Campaign, Tally
from pbactors.sim.minimise import minimise
from pbactors.sim.mix import Mix
from pbactors.sim.plan import OPERATIONS, Plan
from pbactors.sim.run import Report, simulate
from pbactors.sim.workers import WorkerDied

__all__ = [
    "OPERATIONS",
    "Campaign",
    "Mix",
    "Plan",
    "Report",
    "Tally",
    "WorkerDied",
    "minimise",
    "simulate",
]

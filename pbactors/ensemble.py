"""The cores of one cluster, as a driver without sockets makes them.

Simulator, explorer and tests drive the same cores as real nodes do. What they need besides a
driver stands here once: the names, the class, the numbers, and how the core of each node is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pbactors.config import Limits, Timing
from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.state_machine import StateMachine
from pbactors.protocol.client import Client
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import INCARNATION_BYTES, NO_VIEW, Incarnation, Member, ViewRecord
from pbactors.protocol.view_service import ViewService

__all__ = ["CLUSTER", "CONTRACT", "VIEW_SERVER", "Ensemble", "counting_stamps", "incarnation"]

VIEW_SERVER = "view"
CLUSTER = b"c" * 16
CONTRACT = "an ensemble"

_SECOND_NS = 1_000_000_000


def incarnation(rank: int) -> Incarnation:
    """Return the incarnation of that rank: a higher rank is a later life (R47)."""
    return rank.to_bytes(INCARNATION_BYTES, "big")


def counting_stamps(last: bytes) -> bytes:
    """Return stamps that count up by a second, so that runs with equal input are equal (R51)."""
    seconds = int.from_bytes(last[:8], "big") // _SECOND_NS + 1
    return (seconds * _SECOND_NS).to_bytes(8, "big") + bytes(8)


class Ensemble:
    """What the cores of one cluster have in common.

    Args:
        machine: the class that is replicated.
        replicas: names of the replicas that may ping the view server.
        timing: intervals, in milliseconds of whatever time the driver has.
        limits: bounds.
        stamps: source of stamps, given the last one (R26).
        adapter: what makes a machine of the class.
        min_copies: how many copies of the state an answer needs.
    """

    def __init__(
        self,
        machine: type[StateMachine],
        replicas: Sequence[str],
        timing: Timing,
        limits: Limits,
        stamps: Callable[[bytes], bytes] = counting_stamps,
        adapter: type[ReplicatedMachine] = ReplicatedMachine,
        min_copies: int = 1,
    ) -> None:
        self.machine = machine
        self.replicas = tuple(replicas)
        self.timing = timing
        self.limits = limits
        self._stamps = stamps
        self._adapter = adapter
        self.min_copies = min_copies

    def first_record(self) -> ViewRecord:
        """Return what the store of a newly formed cluster holds."""
        return ViewRecord(CLUSTER, NO_VIEW, False)

    def view_service(self, life: Incarnation, record: ViewRecord) -> ViewService:
        """Return the core of a view server that starts with ``record`` in its store."""
        member = Member(VIEW_SERVER, life)
        return ViewService(member, record, self.replicas, CONTRACT, self.timing)

    def replica(self, name: str, life: Incarnation) -> Replica:
        """Return the core of a replica that starts, empty."""
        machine = self._adapter(self.machine, self.limits.result_bytes_max)
        member = Member(name, life)
        return Replica(
            member,
            VIEW_SERVER,
            machine,
            CONTRACT,
            self.timing,
            self.limits,
            self._stamps,
            self.min_copies,
        )

    def client(self, life: Incarnation, tokens: Callable[[], bytes]) -> Client:
        """Return the core of a client.

        Args:
            life: tells it from other clients.
            tokens: returns a new random token for a session (R41).
        """
        member = Member("", life)
        return Client(member, VIEW_SERVER, CONTRACT, self.timing, self.limits, tokens)

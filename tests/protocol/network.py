"""A scripted network: the real cores, and a test that decides what is delivered, lost or repeated.

Nothing happens by itself. Messages that cores send lie in ``in_flight`` until the test delivers or
drops them; timers fire when the test says so. Every message passes the real wire codec.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from pbactors import wire
from pbactors.config import Limits, Timing
from pbactors.ensemble import CLUSTER, CONTRACT, VIEW_SERVER, Ensemble, incarnation
from pbactors.errors import InvariantViolated
from pbactors.machines.calls import decode_outcome, encode_call
from pbactors.machines.kv import KeyValueStore
from pbactors.machines.state_machine import StateMachine
from pbactors.protocol import core as effects
from pbactors.protocol.backup import Backup
from pbactors.protocol.client import Client
from pbactors.protocol.core import Address, Core, Outbox, Timer
from pbactors.protocol.events import Event, Ignored, StartOver
from pbactors.protocol.idle import Idle
from pbactors.protocol.invariants import Answered, broken
from pbactors.protocol.messages import Message, Reply
from pbactors.protocol.primary import Primary
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import View, ViewRecord
from pbactors.protocol.view_service import ViewService

__all__ = [
    "CLUSTER",
    "CONTRACT",
    "QUERIES",
    "VIEW",
    "Kinds",
    "Network",
    "Node",
    "Packet",
    "Step",
    "call_step",
    "incarnation",
]

VIEW = VIEW_SERVER
QUERIES = ("get", "keys")


Kinds: TypeAlias = type[Message] | tuple[type[Message], ...]
Step: TypeAlias = Callable[[Core, Outbox], None]
"""One call of a core's method. It gets the core, so that a clone can be given the same step."""


@dataclass(eq=False)
class Packet:
    """One message on its way."""

    source: str
    target: str
    route: bytes
    body: bytes
    message: Message

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}: {self.message}"


@dataclass
class Node:
    """One core with what a driver keeps for it."""

    core: Core
    timers: dict[Timer, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Network:
    """A view server, replicas and clients on a network that obeys the test.

    It is a ``World``: after every step all invariants are checked.

    Args:
        replicas: names of the replicas that the view server knows; started by ``start``.
        dead_pings: as in the topology.
        machine: the class that is replicated.
        limits: bounds.
        publishes: whether anybody hears what the view server publishes; without it they ask.
        min_copies: as in the topology.
    """

    def __init__(
        self,
        replicas: str = "abc",
        dead_pings: int = 2,
        machine: type[StateMachine] = KeyValueStore,
        limits: Limits | None = None,
        publishes: bool = False,
        min_copies: int = 1,
    ) -> None:
        self.publishes = publishes
        self.timing = Timing(dead_pings=dead_pings)
        self.limits = limits or Limits()
        self.names = list(replicas)
        self.ensemble = Ensemble(
            machine, self.names, self.timing, self.limits, min_copies=min_copies
        )
        self.nodes: dict[str, Node] = {}
        self.in_flight: list[Packet] = []
        self.sent: list[Message] = []
        self.record = self.ensemble.first_record()
        self.records = [self.record]
        self.answered = Answered(0, b"")
        self.outcomes: dict[int, bytes | None] = {}
        self.copies: dict[int, int] = {}
        self.cut: set[tuple[str, str]] = set()
        self.steps = 0
        self.performed: list[effects.Effect] = []
        self.delivered: Counter[tuple[str, type[Message]]] = Counter()
        self._lives = 0
        self._calls = 0

    # -- what invariants look at --------------------------------------------------------------

    @property
    def replicas(self) -> dict[str, Replica]:
        """Return the running replicas by name."""
        return {
            name: node.core for name, node in self.nodes.items() if isinstance(node.core, Replica)
        }

    @property
    def view_server_runs(self) -> bool:
        """Whether the view server is up."""
        return VIEW in self.nodes

    @property
    def views(self) -> list[View]:
        """Return the history of views."""
        views: list[View] = []
        for record in self.records:
            if not views or views[-1] != record.view:
                views.append(record.view)
        return views

    # -- nodes --------------------------------------------------------------------------------

    def start_view_server(self) -> None:
        """Start, or start again from what is stored, the view server."""
        self._start(VIEW, self.ensemble.view_service(self._new_incarnation(), self.record))

    def start(self, *names: str, rank: int | None = None) -> None:
        """Start replicas, empty; a running one of that name is gone.

        Args:
            names: which ones.
            rank: of the incarnation; above all before if not given.
        """
        for name in names:
            life = incarnation(rank) if rank else self._new_incarnation()
            self._start(name, self.ensemble.replica(name, life))

    def start_client(self, name: str) -> None:
        """Start a client."""

        def token() -> bytes:  # a new one per step, the same one for a clone
            return f"{name}{self.steps}".encode().ljust(16)

        self._start(name, self.ensemble.client(self._new_incarnation(), token))

    def stop(self, *names: str) -> None:
        """Kill nodes: what they knew is gone."""
        for name in names:
            del self.nodes[name]

    def _new_incarnation(self) -> bytes:
        self._lives += 1
        return incarnation(self._lives)

    def _start(self, name: str, core: Core) -> None:
        self.nodes[name] = Node(core)
        self.act(name, lambda core, out: core.on_start(out))

    def role(self, name: str) -> Primary | Backup | Idle:
        """Return what a replica is."""
        return self.replicas[name].role

    def client(self, name: str) -> Client:
        """Return the core of a client."""
        core = self.nodes[name].core
        assert isinstance(core, Client)
        return core

    @property
    def view_service(self) -> ViewService:
        """Return the core of the view server."""
        core = self.nodes[VIEW].core
        assert isinstance(core, ViewService)
        return core

    @property
    def view(self) -> tuple[str | None, str | None, int]:
        """Return (primary, backup, number), as the cases of both suites write views."""
        view = self.view_service.view
        return (
            view.primary.name if view.primary else None,
            view.backup.name if view.backup else None,
            view.number,
        )

    # -- driving ------------------------------------------------------------------------------

    def act(self, name: str, *steps: Step) -> None:
        """Do steps on one core, flush once, and perform its outbox; then check every invariant."""
        self.steps += 1
        node = self.nodes[name]
        out = Outbox()
        for step in steps:
            step(node.core, out)
        node.core.flush(out)
        for effect in out.effects:
            self._perform(name, node, effect)
        self.performed = out.effects
        reason = node.core.invalid() or broken(self)
        if reason is not None:
            raise InvariantViolated(f"{name}: {reason}")

    def _perform(self, name: str, node: Node, effect: effects.Effect) -> None:
        match effect:
            case effects.Send(target, message):
                self._send(name, node.core, target, message)
            case effects.Publish(message):
                for other in self.nodes if self.publishes else ():
                    if other != name:
                        self.inject(name, other, message)
            case effects.Persist(record):
                self._persist(record)
            case effects.SetTimer(timer, delay_ms):
                node.timers[timer] = delay_ms
            case effects.CancelTimer(timer):
                node.timers.pop(timer, None)
            case effects.Complete(call, outcome, copies):
                assert call not in self.outcomes, "a call completes once"
                self.outcomes[call] = outcome
                self.copies[call] = copies
            case effects.Emit(event):
                node.events.append(event)
                if isinstance(event, StartOver) and name in self.names:
                    self.start(name)

    def _persist(self, record: ViewRecord) -> None:
        if record.cluster != self.record.cluster:  # the former cluster was abandoned
            self.records, self.answered = [], Answered(0, b"")
        self.record = record
        self.records.append(record)

    def _send(self, name: str, core: Core, target: effects.Target, message: Message) -> None:
        if isinstance(message, Reply) and isinstance(core, Replica):
            self.answered = max(self.answered, Answered(core.state.op, core.state.stamp))
        self.sent.append(message)
        self.inject(name, target if isinstance(target, str) else target.route.decode(), message)

    def inject(self, source: str, target: str, message: Message) -> Packet:
        """Put a message on its way that a node might have sent, and did not."""
        core = self.nodes[source].core
        body = wire.encode(core.cluster, core.member, message)
        packet = Packet(source, target, source.encode(), body, message)
        self.in_flight.append(packet)
        return packet

    def hand(self, source: str, target: str, message: Message) -> None:
        """Inject a message and deliver it at once."""
        self.deliver(self.inject(source, target, message))

    def deliver(self, packet: Packet, keep: bool = False) -> None:
        """Deliver one packet, now; with ``keep`` it may be delivered again later."""
        if not keep:
            self.in_flight.remove(packet)
        if packet.target not in self.nodes or (packet.source, packet.target) in self.cut:
            return
        self.delivered[packet.target, type(packet.message)] += 1
        self.act(packet.target, self.step_of(packet))

    def step_of(self, packet: Packet) -> Step:
        """Return the step that hands over a packet."""
        header, message = wire.decode(packet.body)
        source = Address(header.node, header.incarnation, header.cluster, packet.route)
        return lambda core, out: core.on_message(source, message, out)

    def deliver_next(
        self,
        kind: Kinds = Message,
        source: str | None = None,
        target: str | None = None,
        *,
        keep: bool = False,
    ) -> Packet:
        """Deliver the oldest packet of that kind, and return it."""
        packet = self.waiting(kind, source, target)[0]
        self.deliver(packet, keep)
        return packet

    def waiting(
        self,
        kind: Kinds = Message,
        source: str | None = None,
        target: str | None = None,
    ) -> list[Packet]:
        """Return packets in flight, oldest first."""
        return [
            packet
            for packet in self.in_flight
            if isinstance(packet.message, kind)
            and source in (None, packet.source)
            and target in (None, packet.target)
        ]

    def drop(
        self,
        kind: Kinds = Message,
        source: str | None = None,
        target: str | None = None,
    ) -> int:
        """Lose packets in flight; return how many."""
        lost = self.waiting(kind, source, target)
        for packet in lost:
            self.in_flight.remove(packet)
        return len(lost)

    def settle(
        self, *, hold: Callable[[Packet], bool] = lambda packet: False, most: int = 10_000
    ) -> None:
        """Deliver everything, oldest first, until only held packets are in flight."""
        for _ in range(most):
            packet = next((packet for packet in self.in_flight if not hold(packet)), None)
            if packet is None:
                return
            self.deliver(packet)
        raise AssertionError(f"still busy after {most} deliveries: {self.in_flight[0]}")

    def fire(self, name: str, timer: Timer) -> None:
        """Fire a timer that is set."""
        node = self.nodes[name]
        del node.timers[timer]
        self.act(name, lambda core, out: core.on_timer(timer, out))

    def insist(self, client: str) -> None:
        """Let a client run out of patience twice, and everything that follows happen."""
        for _ in range(2):
            self.tick(client, Timer.RETRY)

    def resend(self, primary: str) -> None:
        """Let a primary repeat what its backup has not confirmed, with all that follows."""
        for _ in range(2):
            self.tick(primary, Timer.RESEND)

    def tick(self, name: str, timer: Timer) -> None:
        """Fire a timer if it is set, and deliver everything that follows."""
        if timer in self.nodes[name].timers:
            self.fire(name, timer)
        self.settle()

    def ping(self, *names: str) -> None:
        """Let replicas ping, and deliver everything that follows."""
        for name in names:
            self.fire(name, Timer.PING)
        self.settle()

    def check(self) -> None:
        """One ping check, with everything that follows."""
        self.fire(VIEW, Timer.PING_CHECK)
        self.settle()

    def checks(self, count: int, *alive: str) -> None:
        """``count`` ping checks, before each of which ``alive`` ping."""
        for _ in range(count):
            self.ping(*(name for name in alive if name in self.nodes))
            self.check()

    def form(self, *names: str) -> None:
        """Start the view server and replicas, and settle into an acknowledged view."""
        self.start_view_server()
        for name in names or self.names:
            self.start(name)
            self.settle()
        self.ping(*(names or self.names))
        assert self.view_service.acked, "the first view with a backup is acknowledged"

    def ignored(self, name: str) -> list[str]:
        """Return the reasons why a node ignored messages, oldest first."""
        return [event.reason for event in self.nodes[name].events if isinstance(event, Ignored)]

    # -- calls --------------------------------------------------------------------------------

    def call(self, client: str, method: str, *arguments: object) -> int:
        """Give a call to a client's core; return its name."""
        return self.calls(client, (method, *arguments))[0]

    def calls(self, client: str, *calls: tuple[object, ...]) -> list[int]:
        """Give several calls, each ``(method, *arguments)``, before one flush."""
        steps: list[Step] = []
        numbers = []
        for method, *arguments in calls:
            self._calls += 1
            numbers.append(self._calls)
            steps.append(call_step(self._calls, str(method), *arguments))
        self.act(client, *steps)
        return numbers

    def result(self, call: int) -> object:
        """Return the result of a call that has ended."""
        outcome = self.outcomes[call]
        assert outcome is not None, "the session was lost"
        return decode_outcome(outcome)

    def do(self, client: str, method: str, *arguments: object) -> object:
        """Call, settle, and return the result."""
        call = self.call(client, method, *arguments)
        self.settle()
        return self.result(call)


def call_step(number: int, method: str, *arguments: object) -> Step:
    """Return the step that gives a call to a client's core."""
    body = encode_call(method, arguments, {})

    def step(core: Core, out: Outbox) -> None:
        assert isinstance(core, Client)
        core.on_call(number, method in QUERIES, body)

    return step

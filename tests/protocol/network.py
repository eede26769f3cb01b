"""A scripted network: the real cores, and a test that decides what is delivered, lost or repeated.

Nothing happens by itself. Messages that cores send lie in ``in_flight`` until the test delivers or
drops them; timers fire when the test says so. Every message passes the real wire codec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pbactors import wire
from pbactors.config import Limits, Timing
from pbactors.errors import InvariantViolated
from pbactors.machines.adapter import ReplicatedMachine
from pbactors.machines.calls import decode_outcome, encode_call
from pbactors.machines.kv import KeyValueStore
from pbactors.machines.state_machine import StateMachine
from pbactors.protocol import core as effects
from pbactors.protocol.client import Client
from pbactors.protocol.core import Address, Core, Event, Outbox, StartOver, Timer
from pbactors.protocol.messages import Message
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import NO_VIEW, Member, View, ViewRecord
from pbactors.protocol.view_service import ViewService

VIEW = "view"
CLUSTER = b"c" * 16
CONTRACT = "kv"


def incarnation(number: int) -> bytes:
    """Return the incarnation of that rank."""
    return number.to_bytes(16, "big")


def constant_stamps(last: bytes) -> bytes:
    """Return stamps that count up, so that runs with equal input are equal."""
    return (int.from_bytes(last or b"\0", "big") + 1).to_bytes(16, "big")


@dataclass
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

    Args:
        replicas: names of the replicas that the view server knows; started by ``start``.
        dead_pings: as in the topology.
        machine: the class that is replicated.
        limits: bounds.
    """

    def __init__(
        self,
        replicas: str = "abc",
        dead_pings: int = 2,
        machine: type[StateMachine] = KeyValueStore,
        limits: Limits | None = None,
    ) -> None:
        self.timing = Timing(dead_pings=dead_pings)
        self.limits = limits or Limits()
        self.machine = machine
        self.names = list(replicas)
        self.nodes: dict[str, Node] = {}
        self.in_flight: list[Packet] = []
        self.stored = ViewRecord(CLUSTER, NO_VIEW, False)
        self.views: list[View] = []
        self.outcomes: dict[int, bytes | None] = {}
        self.copies: dict[int, int] = {}
        self._lives = 0
        self._calls = 0
        self.cut: set[tuple[str, str]] = set()

    # -- nodes --------------------------------------------------------------------------------

    def start_view_server(self) -> None:
        """Start, or start again from what is stored, the view server."""
        member = Member(VIEW, self._new_incarnation())
        core = ViewService(member, self.stored, self.names, CONTRACT, self.timing)
        self._start(VIEW, core)

    def start(self, *names: str) -> None:
        """Start replicas, empty; a running one of that name is gone."""
        for name in names:
            machine = ReplicatedMachine(self.machine, self.limits.result_bytes_max)
            member = Member(name, self._new_incarnation())
            core = Replica(
                member, VIEW, machine, CONTRACT, self.timing, self.limits, constant_stamps
            )
            self._start(name, core)

    def start_client(self, name: str) -> None:
        """Start a client."""
        rank = self._new_incarnation()
        tokens = iter(f"{name}{count}".encode().ljust(16) for count in range(1000))
        core = Client(
            Member("", rank), VIEW, CONTRACT, self.timing, self.limits, lambda: next(tokens)
        )
        self._start(name, core)

    def stop(self, *names: str) -> None:
        """Kill nodes: what they knew is gone."""
        for name in names:
            del self.nodes[name]

    def _new_incarnation(self) -> bytes:
        self._lives += 1
        return incarnation(self._lives)

    def _start(self, name: str, core: Core) -> None:
        self.nodes[name] = Node(core)
        self.act(name, core.on_start)

    def replica(self, name: str) -> Replica:
        """Return the core of a replica."""
        core = self.nodes[name].core
        assert isinstance(core, Replica)
        return core

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

    def act(self, name: str, *steps: Callable[[Outbox], None], flush: bool = True) -> None:
        """Do steps on one core, flush once, and perform its outbox."""
        node = self.nodes[name]
        out = Outbox()
        for step in steps:
            step(out)
        if flush:
            node.core.flush(out)
        for effect in out.effects:
            self._perform(name, node, effect)
        reason = node.core.invalid()
        if reason is not None:
            raise InvariantViolated(f"{name}: {reason}")

    def _perform(self, name: str, node: Node, effect: effects.Effect) -> None:
        match effect:
            case effects.Send(target, message):
                self._send(name, node.core, target, message)
            case effects.Persist(record):
                self.stored = record
                if not self.views or record.view != self.views[-1]:
                    self.views.append(record.view)
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

    def _send(self, name: str, core: Core, target: effects.Target, message: Message) -> None:
        to_name = target if isinstance(target, str) else target.route.decode()
        body = wire.encode(core.cluster, core.member, message)
        self.in_flight.append(Packet(name, to_name, name.encode(), body, message))

    def deliver(self, packet: Packet, keep: bool = False) -> None:
        """Deliver one packet, now; with ``keep`` it may be delivered again later."""
        if not keep:
            self.in_flight.remove(packet)
        if packet.target not in self.nodes or (packet.source, packet.target) in self.cut:
            return
        header, message = wire.decode(packet.body)
        source = Address(header.node, header.incarnation, header.cluster, packet.route)
        core = self.nodes[packet.target].core
        self.act(packet.target, lambda out: core.on_message(source, message, out))

    def waiting(
        self,
        kind: type[Message] | tuple[type[Message], ...] = Message,
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
        kind: type[Message] | tuple[type[Message], ...] = Message,
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
        self.act(name, lambda out: node.core.on_timer(timer, out))

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

    # -- calls --------------------------------------------------------------------------------

    def call(self, client: str, method: str, *arguments: object) -> int:
        """Give a call to a client's core; return its name."""
        self._calls += 1
        number = self._calls
        core = self.client(client)
        is_query = method in ("get", "keys")
        body = encode_call(method, arguments, {})
        self.act(client, lambda out: core.on_call(number, is_query, body))
        return number

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

    def replicas(self) -> Iterator[tuple[str, Replica]]:
        """Yield the running replicas."""
        for name, node in self.nodes.items():
            if isinstance(node.core, Replica):
                yield name, node.core

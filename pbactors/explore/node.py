"""One node as the explorer sees it: a value. A step makes another one and changes nothing.

What a node does depends on itself and on what is handed to it, on nothing else. So a step of one
node is computed once and remembered, in however many states of the whole it occurs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple, TypeAlias

from pbactors import wire
from pbactors.ensemble import VIEW_SERVER, Ensemble, incarnation
from pbactors.errors import InvariantViolated
from pbactors.machines.calls import encode_call
from pbactors.machines.state_machine import interface
from pbactors.protocol import core as effects
from pbactors.protocol.client import Client
from pbactors.protocol.core import Address, ConnectionLost, Core, Outbox, Slept, Timer
from pbactors.protocol.events import Event, Ignored, StartOver
from pbactors.protocol.invariants import Answered, promotes_the_gone
from pbactors.protocol.messages import Message, Reply
from pbactors.protocol.replica import Replica
from pbactors.protocol.view import Incarnation, ViewRecord, invalid_successor
from pbactors.protocol.view_service import ViewService
from pbactors.workload import Invocation

__all__ = ["Fault", "Input", "Node", "Packet", "Stage", "Step"]

LIVES_MAX = 1000
"""More lives than a node ever has; incarnations of different nodes never meet."""


class Fault(Enum):
    """What happens to a node besides messages and timers."""

    CRASH = "crashes"
    RESTART = "starts again"
    NAP = "notices that it slept"
    TORN = "crashes before it has stored a view"


class Packet(NamedTuple):
    """A message that was sent once, and may arrive any number of times.

    Attributes:
        source: name of the node that sent it.
        target: name of the node that it goes to.
        body: as on the wire.
        message: what is in it.
    """

    source: str
    target: str
    body: bytes
    message: Message


Input: TypeAlias = Packet | Timer | Fault | ConnectionLost


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node at one moment.

    Attributes:
        name: its name; a client has one here too.
        core: what it knows; None while it is down. Never changed: steps work on a clone.
        timers: those that are set.
        fired: how often each has fired so far.
        restarts: how often it has crashed.
        naps: how often it has noticed that it slept.
        losses: how often it has noticed that a connection was lost.
        record: what the view server has stored.
        begun: how many calls of its load a client has begun.
    """

    name: str
    core: Core | None
    timers: frozenset[Timer] = frozenset()
    fired: Mapping[Timer, int] = field(default_factory=dict)
    restarts: int = 0
    naps: int = 0
    losses: int = 0
    record: ViewRecord | None = None
    begun: int = 0

    def rested(self) -> Node:
        """Return this node with nothing counted so far but its lives."""
        return replace(self, fired={}, naps=0, losses=0)

    def key(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            self.name,
            None if self.core is None else self.core.freeze(),
            self.timers,
            tuple(self.fired.get(timer, 0) for timer in Timer),
            (self.restarts, self.naps, self.losses, self.begun),
            self.record,
        )


class Step(NamedTuple):
    """What one node does when something is handed to it.

    Attributes:
        node: the node afterwards.
        sent: what it sent.
        events: what it said of itself.
        answered: how far its answers go, if it answered anybody.
        completed: outcomes of the calls that ended, oldest first; None where unknown.
        violation: which rule that broke, or None.
    """

    node: Node
    sent: tuple[Packet, ...] = ()
    events: tuple[Event, ...] = ()
    answered: Answered | None = None
    completed: tuple[tuple[int, bytes | None], ...] = ()
    violation: str | None = None


class Stage:
    """Makes the nodes of one ensemble, and steps them.

    Args:
        ensemble: what the cores are made from.
        loads: what each client calls, in order; client ``i`` is called ``client i+1``.
        window: how many calls a client has under way at once.

    Raises:
        UnsupportedValue: a call cannot be sent.
    """

    def __init__(
        self, ensemble: Ensemble, loads: Mapping[str, Sequence[Invocation]], window: int = 1
    ) -> None:
        self.ensemble = ensemble
        self.loads = loads
        self.window = window
        self.names = (VIEW_SERVER, *ensemble.replicas, *loads)
        kinds = interface(ensemble.machine)
        self._calls = {
            name: [
                (kinds[call.method] == "query", encode_call(call.method, call.arguments))
                for call in load
            ]
            for name, load in loads.items()
        }

    # -- lives --------------------------------------------------------------------------------

    def start(self, name: str) -> Step:
        """Return the first step of a node."""
        record = self.ensemble.first_record() if name == VIEW_SERVER else None
        return self._begin(Node(name, None, record=record))

    def _begin(self, node: Node, above: Incarnation = b"") -> Step:
        core = self._core(node, above)
        return self._run(replace(node, core=core, timers=frozenset()), core, None)

    def _core(self, node: Node, above: Incarnation) -> Core:
        rank = self.names.index(node.name) * LIVES_MAX + node.restarts + 1
        life = max(incarnation(rank), incarnation(int.from_bytes(above, "big") + 1))
        if node.record is not None:
            return self.ensemble.view_service(life, node.record)
        if node.name in self.loads:
            return self.ensemble.client(life, lambda: node.name.encode().ljust(16)[:16])
        return self.ensemble.replica(node.name, life)

    # -- steps --------------------------------------------------------------------------------

    def step(self, node: Node, given: Input) -> Step:
        """Return what ``node`` does with ``given``. An exception in a handler is a violation."""
        if given is Fault.CRASH:
            return Step(_down(node))
        if given is Fault.RESTART:
            return self._begin(node)
        if node.core is None:
            return Step(node)
        core = node.core.clone()
        if isinstance(given, Timer):
            fired = {**node.fired, given: node.fired.get(given, 0) + 1}
            node = replace(node, timers=node.timers - {given}, fired=fired)
        elif given is Fault.NAP:
            node = replace(node, naps=node.naps + 1)
        elif isinstance(given, ConnectionLost):
            node = replace(node, losses=node.losses + 1)
        return self._run(node, core, given)

    def _run(self, node: Node, core: Core, given: Input | None) -> Step:
        out = Outbox()
        try:
            self._hand_over(core, given, out)
            begun = self._call(node, core, node.begun)
            core.flush(out)
            effects_of = list(out.effects)
            ended = sum(isinstance(effect, effects.Complete) for effect in effects_of)
            if ended:  # the user's next call, at once
                out.clear()
                begun = self._call(replace(node, begun=begun), core, begun, ended)
                core.flush(out)
                effects_of += out.effects
            violation = core.invalid()
        except Exception as error:  # noqa: BLE001 - whatever comes out of a handler is a finding
            return Step(node, violation=f"{node.name}: {type(error).__name__}: {error}")
        step = self._perform(replace(node, core=core, begun=begun), core, effects_of)
        return step if violation is None else step._replace(violation=f"{node.name}: {violation}")

    def _hand_over(self, core: Core, given: Input | None, out: Outbox) -> None:
        match given:
            case None:
                core.on_start(out)
            case Packet(source, _, body, _):
                header, message = wire.decode(body)
                route = source.encode()
                address = Address(header.node, header.incarnation, header.cluster, route)
                core.on_message(address, message, out)
            case Timer():
                core.on_timer(given, out)
            case Fault.NAP:
                core.on_signal(Slept(), out)
            case ConnectionLost():
                core.on_signal(given, out)
            case _:
                raise InvariantViolated(f"no input of a running node: {given}")

    def _call(self, node: Node, core: Core, begun: int, room: int | None = None) -> int:
        """Begin as many calls as there is room for; return how many are begun then."""
        calls = self._calls.get(node.name)
        if calls is None or not isinstance(core, Client):
            return begun
        if room is None:  # only at the start
            room = 0 if begun else self.window
        for is_query, body in calls[begun : begun + room]:
            core.on_call(begun + 1, is_query, body)
            begun += 1
        return begun

    # -- effects ------------------------------------------------------------------------------

    def _perform(self, node: Node, core: Core, done: Sequence[effects.Effect]) -> Step:
        timers = set(node.timers)
        record = node.record
        sent: list[Packet] = []
        events: list[Event] = []
        completed: list[tuple[int, bytes | None]] = []
        answered = violation = over = None
        for effect in done:
            match effect:
                case effects.Send(target, message):
                    sent.append(_packet(node.name, core, target, message))
                    if isinstance(message, Reply) and isinstance(core, Replica):
                        answered = Answered(core.state.op, core.state.stamp)
                case effects.Publish(message):
                    others = [name for name in self.names if name != node.name]
                    sent += [_packet(node.name, core, name, message) for name in others]
                case effects.SetTimer(timer, _):
                    timers.add(timer)
                case effects.CancelTimer(timer):
                    timers.discard(timer)
                case effects.Persist(after):
                    violation = violation or _refuse_record(record, after, core)
                    record = after
                case effects.Complete(call, outcome, _):
                    completed.append((call, outcome))
                case effects.Emit(event):
                    if isinstance(event, StartOver):
                        over = event
                    elif not isinstance(event, Ignored):
                        events.append(event)
        after_all = replace(node, timers=frozenset(timers), record=record)
        step = Step(after_all, tuple(sent), tuple(events), answered, tuple(completed), violation)
        return step if over is None else self._start_over(step, over)

    def _start_over(self, step: Step, over: StartOver) -> Step:
        """A superseded life ends, and another begins at once (R47)."""
        begun = self._begin(_down(step.node), over.newest)
        return begun._replace(sent=step.sent + begun.sent, events=(*step.events, over))

    def torn(self, node: Node, given: Input) -> Step | None:
        """Return the step in which the node crashes just before it stores something, or None
        where it stores nothing. Whatever it sent before that is sent (R14).
        """
        if node.core is None or node.record is None or isinstance(given, Fault):
            return None
        core = node.core.clone()
        out = Outbox()
        self._hand_over(core, given, out)
        core.flush(out)
        places = [
            place for place, effect in enumerate(out.effects) if isinstance(effect, effects.Persist)
        ]
        if not places:
            return None
        before = self._perform(node, core, out.effects[: places[0]])
        return Step(_down(node), before.sent)


def _down(node: Node) -> Node:
    return replace(node, core=None, timers=frozenset(), restarts=node.restarts + 1)


def _packet(name: str, core: Core, target: effects.Target, message: Message) -> Packet:
    to = target if isinstance(target, str) else target.route.decode()
    return Packet(name, to, wire.encode(core.cluster, core.member, message), message)


def _refuse_record(before: ViewRecord | None, after: ViewRecord, core: Core) -> str | None:
    """Return which rule breaks when ``after`` replaces ``before`` in the store, or None."""
    if before is None or before.cluster != after.cluster:
        return None
    if before.view == after.view:
        return "R4: an ack was taken back" if before.acked and not after.acked else None
    reason = invalid_successor(before.view, before.acked, after.view)
    if reason is None and isinstance(core, ViewService):
        reason = promotes_the_gone(before, after, core)
    return reason

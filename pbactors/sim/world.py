"""The world: nodes, clients and the view store in virtual time, driving the real cores.

It keeps the driver's contract (``protocol/core.py``) as nastily as the contract allows, and every
message passes the real wire codec. After every step the judge looks at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from zlib import crc32

from pbactors import wire
from pbactors.ensemble import VIEW_SERVER, Ensemble
from pbactors.machines.state_machine import StateMachine
from pbactors.protocol.core import (
    Address,
    CancelTimer,
    Complete,
    ConnectionLost,
    Core,
    Effect,
    Emit,
    Outbox,
    Persist,
    Publish,
    Send,
    SetTimer,
    Signal,
    Slept,
    Target,
    Timer,
)
from pbactors.protocol.events import Left, SessionClosed
from pbactors.protocol.idle import Idle
from pbactors.protocol.invariants import Answered
from pbactors.protocol.messages import Message, Ping, Reply, Request
from pbactors.protocol.replica import Replica
from pbactors.protocol.tool_messages import SwitchOver
from pbactors.protocol.view import View, ViewRecord
from pbactors.protocol.view_service import ViewService
from pbactors.sim.agenda import Agenda
from pbactors.sim.client_side import ClientSide
from pbactors.sim.clock import Clock
from pbactors.sim.judge import Judge
from pbactors.sim.network import Network, Packet
from pbactors.sim.outside import Outside
from pbactors.sim.plan import Plan
from pbactors.sim.population import Population
from pbactors.sim.process import CallGiven, Process
from pbactors.sim.recorder import Recorder
from pbactors.sim.timers import Timers
from pbactors.sim.view_judge import ViewJudge
from pbactors.sim.violation import Violation
from pbactors.sim.watched import watch

__all__ = ["World"]

REPLICAS = "abcdefgh"
_BATCH_MS = 8.0
_KNOWN_MAX = 1000


class World:
    """Everything there is; see ``protocol.invariants.World`` for what invariants look at.

    Args:
        machine: the class that is replicated.
        plan: what happens.
        recorder: writes a trace, if one is wanted.

    Attributes:
        plan: what happens.
        agenda: virtual time.
        network: all links.
        judge: holds everything against the rules.
        faults: how often what went wrong.
        population: who runs.
        outside: tells nodes what no message tells them.
        record: what the view server's store holds.
        answered: how far answers have gone.
        views: how many views there were.
        clients: takes what clients' cores say.
        digest: differs where anything that was sent or answered differs.
    """

    def __init__(
        self, machine: type[StateMachine], plan: Plan, recorder: Recorder | None = None
    ) -> None:
        self.plan = plan
        self.agenda = Agenda()
        self.faults: Counter[str] = Counter()
        self.network = Network(plan, self.agenda, self._arrived, self._lost, self.faults)
        self.names = tuple(REPLICAS[: plan.replicas])
        self.population = Population()
        self.outside = Outside(self)
        self.judge = Judge(self, plan.min_copies)
        self.view_judge = ViewJudge(self, plan.timing.dead_pings)
        self.clients = ClientSide()
        self.recorder = recorder
        self.digest = 0
        self.answered = Answered(0, b"")
        self.views = 0
        self.store_fails = False
        self._ensemble = Ensemble(
            machine, self.names, plan.timing, plan.limits, min_copies=plan.min_copies
        )
        self.record = self._ensemble.first_record()
        self._machine = machine
        self._random = Random(f"{plan.seed}/world")
        self._packets = 0
        self._timers = Timers(plan.mix, self.agenda, self._fired, self.faults)
        self._calm = False
        self._dirty = False
        self._single = True  # whether the step under way is about one message or timer
        self._known: dict[bytes, tuple[wire.Header, Message]] = {}

    @property
    def records(self) -> tuple[ViewRecord, ...]:
        """What is stored; the judge has held each record against the one before."""
        return (self.record,)

    @property
    def lives(self) -> dict[str, list[Process]]:
        """The running processes by name, the newest life last."""
        return self.population.lives

    @property
    def replicas(self) -> dict[str, Replica]:
        """The running replicas by name; a former life has a name of its own."""
        return self.population.replicas

    @property
    def view_server_runs(self) -> bool:
        """Whether the view server is up."""
        return bool(self.lives.get(VIEW_SERVER))

    @property
    def view(self) -> View:
        """The newest view that was stored."""
        return self.record.view

    # -- lives --------------------------------------------------------------------------------

    def start_view_server(self) -> None:
        """Start the view server from what is stored."""
        self.view_judge.started()
        rank, life = self.population.next_life()
        self._begin(VIEW_SERVER, rank, self._ensemble.view_service(life, self.record))

    def start_replica(self, name: str) -> None:
        """Start a replica, empty, also beside another life of the same name."""
        rank, life = self.population.next_life()
        plan = self.plan
        stamps = Clock(self.agenda, Random(f"{plan.seed}/clock/{name}/{rank}"))
        ensemble = Ensemble(
            self._machine,
            self.names,
            plan.timing,
            plan.limits,
            stamps,
            min_copies=plan.min_copies,
        )
        core = ensemble.replica(name, life)
        watch(core, self.judge.executed)
        self._begin(name, rank, core)

    def start_client(self, name: str, random: Random) -> Process:
        """Start a client, whose tokens are drawn from ``random``."""
        rank, life = self.population.next_life()
        core = self._ensemble.client(life, lambda: random.randbytes(16))
        return self._begin(name, rank, core)

    def _begin(self, name: str, rank: int, core: Core) -> Process:
        random = Random(f"{self.plan.seed}/process/{name}/{len(self.lives.get(name, ()))}")
        process = self.population.begin(name, rank, core, random)
        if self.recorder is not None:
            self.recorder.started(self, process)
        out = Outbox()
        core.on_start(out)
        core.flush(out)
        self._perform(process, out.effects)
        return process

    def crash(self, process: Process) -> None:
        """End a process: what it knew is gone."""
        if not process.alive:
            return
        process.alive = False
        self.population.end(process)
        if isinstance(process.core, Replica):
            self.outside.notice_later(process, self._calm)
        if self.recorder is not None:
            self.recorder.stopped(self, process)

    def signal(self, process: Process, signal: Signal) -> None:
        """Give a process a signal: at once, or when it wakes."""
        if process.frozen or process.waking:
            process.signals.append(signal)
        else:
            self.run(process, (), (signal,))

    def next_packet(self) -> int:
        """Return the number of the message that is sent next."""
        self._packets += 1
        return self._packets

    def newest(self, name: str) -> Process | None:
        """Return the newest running life of a name."""
        return self.population.newest(name)

    # -- arrivals -----------------------------------------------------------------------------

    def _arrived(self, packet: Packet) -> None:
        if packet.route:
            process = self.population.at(packet.route)
        else:
            process = self.population.somebody(packet.pair[1], self._random)
        if process is None:
            self._lost(packet)
        else:
            self.give(process, packet)

    def _lost(self, packet: Packet) -> None:
        if self.recorder is not None:
            self.recorder.lost(self, packet)

    def give(self, process: Process, item: Packet | CallGiven) -> None:
        """Give a process a message or a call: at once, or together with what comes next."""
        if process.frozen or process.waking:
            process.inbox.append(item)
        elif (
            self.plan.mix.batching
            and not self._calm
            and process.random.random() < self.plan.mix.batching
        ):
            process.inbox.append(item)
            process.waking = True
            self.agenda.after(process.random.random() * _BATCH_MS, self._wake, process)
        else:
            self.run(process, (item,))

    def give_soon(self, process: Process, item: CallGiven) -> None:
        """Give a client a call, together with all others of the same moment."""
        process.inbox.append(item)
        if not process.waking:
            process.waking = True
            self.agenda.after(0, self._wake, process)

    def _wake(self, process: Process) -> None:
        process.waking = False
        if process.alive and not process.frozen:
            self.hand_over(process)

    def hand_over(self, process: Process, slept: bool = False) -> None:
        """Hand over all that has arrived, and then the timers that are due."""
        items, process.inbox = process.inbox, []
        signals, process.signals = process.signals, []
        due, process.due = process.due, {}
        if slept:
            signals.insert(0, Slept())
        if items or signals or due:
            self.run(process, items, signals, tuple(due))

    def _fired(self, process: Process, timer: Timer) -> None:
        if process.frozen or process.waking:
            process.due[timer] = None
        else:
            self.run(process, (), (), (timer,))

    # -- steps --------------------------------------------------------------------------------

    def run(
        self,
        process: Process,
        items: tuple[Packet | CallGiven, ...] | list[Packet | CallGiven],
        signals: Sequence[Signal] = (),
        timers: tuple[Timer, ...] = (),
    ) -> None:
        """Hand a group of things to a core, flush once, perform the outbox, and judge."""
        core, out, judge = process.core, Outbox(), self.judge
        judge.begins(core)
        self._single = len(items) + len(signals) + len(timers) == 1
        recorder = self.recorder
        try:
            for item in items:
                if type(item) is Packet:
                    header, message = self._read(item.body)
                    if recorder is not None:
                        recorder.received(self, process, item, message)
                    source = Address(header.node, header.incarnation, header.cluster, item.sender)
                    core.on_message(source, message, out)
                    if type(message) is Ping:
                        self.view_judge.pinged(header.node, header.incarnation, message)
                    elif type(message) is SwitchOver and type(core) is ViewService:
                        backup = core.view.backup
                        self.view_judge.wished(message.to or (backup.name if backup else ""))
                else:
                    core.on_call(*item)  # type: ignore[attr-defined]
            for signal in signals:
                if type(signal) is ConnectionLost:
                    self.view_judge.doubted(signal.node)
                core.on_signal(signal, out)
            for timer in timers:
                if recorder is not None:
                    recorder.fired(self, process, timer)
                if timer is Timer.PING_CHECK and process.name == VIEW_SERVER:
                    self.view_judge.checked()
                core.on_timer(timer, out)
            core.flush(out)
            reason = core.invalid()
        except Violation:
            raise
        except (Exception, SystemExit) as error:
            raise Violation(f"{process.name}: {type(error).__name__}: {error}") from error
        if reason is not None:
            raise Violation(f"{process.name}: {reason}")
        self._dirty |= judge.after_handling(process)
        self._perform(process, out.effects)
        if self._dirty:
            self._dirty = False
            judge.check()
        if recorder is not None:
            recorder.status(self, process)

    def _read(self, body: bytes) -> tuple[wire.Header, Message]:
        """Decode a message; what is the same bytes as before need not be decoded again."""
        known = self._known.get(body)
        if known is None:
            if len(self._known) > _KNOWN_MAX:
                self._known.clear()
            known = self._known[body] = wire.decode(body)
        return known

    def act(self, process: Process) -> Outbox:
        """Return an outbox for something a caller does to a client's core; then ``perform`` it."""
        self.judge.begins(process.core)
        return Outbox()

    def finish(self, process: Process, out: Outbox) -> None:
        """Flush a core and perform its outbox."""
        process.core.flush(out)
        self._perform(process, out.effects)

    def _perform(self, process: Process, effects: list[Effect]) -> None:
        """Do what the core wants, in order; a process that dies meanwhile does only a part."""
        if process.torn and effects:
            del effects[process.random.randrange(len(effects)) :]
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                self._send(process, effect.target, effect.message)  # type: ignore[union-attr]
            elif kind is SetTimer:
                self._timers.set(process, effect.timer, effect.delay_ms)  # type: ignore[union-attr]
            elif kind is Emit:
                self._take_event(process, effect.event)  # type: ignore[union-attr]
            elif kind is Complete:
                self.digest = crc32(effect.outcome or b"", self.digest)  # type: ignore[union-attr]
                self.clients.completed(process, effect.call, effect.outcome)  # type: ignore[union-attr]
            elif kind is Publish:
                self._publish(process, effect.message)  # type: ignore[union-attr]
            elif kind is Persist:
                if not self._persist(process, effect.record):  # type: ignore[union-attr]
                    return
            elif kind is CancelTimer:
                process.timers.pop(effect.timer, None)  # type: ignore[union-attr]
        if process.torn:
            self.crash(process)
        elif process.core.over:
            self._start_over(process)

    def _send(self, process: Process, target: Target, message: Message) -> None:
        core = process.core
        if type(message) is Reply and type(core) is Replica:
            self.judge.replied(message)
            state = core.state
            if state.op > self.answered.op:
                self.answered = Answered(state.op, state.stamp)
                self._dirty = True
        elif type(message) is Request:
            self.clients.requested(process, message)
        elif type(message) is Ping:
            self.judge.pings(core.member, message)
        body = wire.encode(core.cluster, core.member, message)
        self.digest = crc32(body, self.digest ^ int(1000 * self.agenda.now_ms))
        number = self.next_packet()
        if type(target) is str:
            route, name = b"", target
        else:
            peer = self.population.at(target.route)  # type: ignore[union-attr]
            if peer is None:
                return
            route, name = peer.route, peer.name
        packet = Packet((process.name, name), route, process.route, body, number)
        if self.recorder is not None:
            self.recorder.sent(self, process, packet, message)
        self.network.send(packet, message.bulk)

    def _publish(self, process: Process, message: Message) -> None:
        """Send a message to everybody else, each over a link that may lose it."""
        for name in [name for name in self.lives if name != process.name]:
            self._send(process, name, message)

    def _persist(self, process: Process, record: ViewRecord) -> bool:
        """Store a record. Returns False where that failed, and the view server has stopped."""
        if self.store_fails:
            self.store_fails = False
            self.faults["failing view store"] += 1
            if process.random.random() < 0.5:  # a failed write may have been written
                self._store(process, record)
            self.crash(process)
            return False
        self._store(process, record)
        return True

    def _store(self, process: Process, record: ViewRecord) -> None:
        before, self.record = self.record, record
        self._dirty = True
        if record.view.number != before.view.number:
            self.views += 1
        self.view_judge.stored(before, process.core if self._single else None)

    def _take_event(self, process: Process, event: object) -> None:
        if self.recorder is not None:
            self.recorder.event(self, process, event)
        if type(event) is SessionClosed:
            self.clients.closed(process)
        elif type(event) is Left:
            process.left = True

    def _start_over(self, process: Process) -> None:
        """A life is over; the driver begins another, except in a process that is a former one."""
        self.crash(process)
        if not process.former:
            self.start_replica(process.name)

    # -- faults -------------------------------------------------------------------------------

    def freeze(self, process: Process) -> None:
        """Stop a process for a while."""
        process.frozen = True
        if self.recorder is not None:
            self.recorder.paused(self, process)

    def thaw(self, process: Process, notices: bool) -> None:
        """Let a process go on: all that came meanwhile is handed over in one batch."""
        if process.alive and process.frozen:
            process.frozen = False
            if self.recorder is not None:
                self.recorder.resumed(self, process)
            self.hand_over(process, slept=notices)

    def calm(self) -> None:
        """End all faults: everything runs, in one life each, and every link is whole."""
        self._calm = True
        self.store_fails = False
        self.network.calm()
        self._timers.calm()
        for process in self.population:
            process.torn = False
            if process.former:
                self.crash(process)
            else:
                self.thaw(process, notices=True)
        if not self.view_server_runs:
            self.start_view_server()
        for name in self.names:
            if self.newest(name) is None:
                self.start_replica(name)
        self.renew_the_left()

    def renew_the_left(self) -> None:
        """In calm, a replica that has left in peace ends, and starts again."""
        for process in self.population:
            core = process.core
            if process.left and isinstance(core, Replica) and isinstance(core.role, Idle):
                self.crash(process)
                self.start_replica(process.name)

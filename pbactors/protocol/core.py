"""The shape of a protocol core, and the contract of whoever drives one.

A core is a pure state machine: no clock, no randomness, no thread, no socket. It is handed what
happened and writes what shall be done into an :class:`Outbox`. Three drivers exist, for real
sockets (``pbactors.actors``), virtual time and exhaustive search; none knows the rules, and no rule
knows a driver.

**The driver's contract.** Call one method at a time. Messages may be lost, repeated, delayed and
reordered. Hand over first the messages that have arrived, then signals, then timers that are due; a
periodic timer that is late fires once. After any group of calls, call :meth:`Core.flush` once,
perform the outbox in order, and clear it. What follows a :class:`Persist` is not done if it fails.
Where group boundaries fall may change *when* something is answered, never *what* is executed or
answered.

**Time is a timer that fires.** Timers are names. Firing one early, late or for nothing must be
harmless; they affect liveness, never safety.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, NamedTuple, Self, TypeAlias

from pbactors.protocol.events import Event, Ignored, StartOver
from pbactors.protocol.message import Message
from pbactors.protocol.view import Incarnation, Member, Role, View, ViewRecord

__all__ = [
    "Address",
    "CancelTimer",
    "Complete",
    "ConnectionLost",
    "Core",
    "Effect",
    "Emit",
    "Leave",
    "Outbox",
    "Persist",
    "Publish",
    "Send",
    "SetTimer",
    "Signal",
    "Slept",
    "Status",
    "Target",
    "Timer",
]


class Address(NamedTuple):
    """Where a message came from, as its header says, and the way back.

    Attributes:
        node: name of the sending node; empty for a client.
        incarnation: which life of it.
        cluster: the cluster id it believes in; empty if it knows none yet.
        route: the transport's way back to the sender; empty where only the name leads there.
    """

    node: str
    incarnation: Incarnation
    cluster: bytes
    route: bytes


Target: TypeAlias = str | Address
"""A node by its name, or the way back to whoever asked."""


class Timer(Enum):
    """The names of all timers."""

    PING = "ping"
    PING_CHECK = "ping check"
    RESEND = "resend"
    RETRY = "retry"


# -- signals: what a driver noticed or a person asked ----------------------------------------


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that is no message and no timer. It may come early, late, wrongly or never."""


@dataclass(frozen=True, slots=True)
class Slept(Signal):
    """The driver did nothing for a long time, and does not know what happened meanwhile.

    Attributes:
        ms: for how long, in milliseconds; 0 if it cannot tell.
    """

    ms: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionLost(Signal):
    """The connection to a node was closed, or nothing came through it for too long (R49).

    What the node sent before has been handed over, as far as it has arrived.

    Attributes:
        node: whom to. Which of its lives that was, nobody knows.
    """

    node: str

    def __str__(self) -> str:
        return f"the connection to {self.node} is lost"


@dataclass(frozen=True, slots=True)
class Leave(Signal):
    """Somebody wants this replica to end in peace: it gives up its role first (R44)."""

    def __str__(self) -> str:
        return "is to leave"


# -- effects ----------------------------------------------------------------------------------


class Send(NamedTuple):
    """Send a message. It may be lost."""

    target: Target
    message: Message


class Publish(NamedTuple):
    """Tell everybody who listens. It may be lost, by each of them alone."""

    message: Message


class Persist(NamedTuple):
    """Make this durable before anything that follows."""

    record: ViewRecord


class SetTimer(NamedTuple):
    """Fire ``timer`` after ``delay_ms``; replaces a pending one of that name."""

    timer: Timer
    delay_ms: int


class CancelTimer(NamedTuple):
    """Do not fire ``timer``."""

    timer: Timer


class Complete(NamedTuple):
    """Client cores: a call has ended.

    Attributes:
        call: the driver's name for the call.
        outcome: the encoded outcome, or None where it may have happened and is no longer known.
        copies: how many copies of the state there were when it was answered.
    """

    call: int
    outcome: bytes | None
    copies: int


class Emit(NamedTuple):
    """Tell people."""

    event: Event


Effect: TypeAlias = Send | Publish | Persist | SetTimer | CancelTimer | Complete | Emit


class Outbox:
    """What a core wants done, in order. Owned, performed and cleared by the driver."""

    __slots__ = ("effects",)

    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def send(self, target: Target, message: Message) -> None:
        """Send ``message`` to a node by name, or back along an address."""
        self.effects.append(Send(target, message))

    def publish(self, message: Message) -> None:
        """Tell ``message`` to everybody who listens."""
        self.effects.append(Publish(message))

    def persist(self, record: ViewRecord) -> None:
        """Make ``record`` durable; what follows is not done if that fails."""
        self.effects.append(Persist(record))

    def set_timer(self, timer: Timer, delay_ms: int) -> None:
        """Fire ``timer`` after ``delay_ms`` milliseconds."""
        self.effects.append(SetTimer(timer, delay_ms))

    def cancel_timer(self, timer: Timer) -> None:
        """Forget ``timer``."""
        self.effects.append(CancelTimer(timer))

    def complete(self, call: int, outcome: bytes | None, copies: int) -> None:
        """End a call of the client's user."""
        self.effects.append(Complete(call, outcome, copies))

    def emit(self, event: Event) -> None:
        """Report ``event``."""
        self.effects.append(Emit(event))

    def clear(self) -> None:
        """Forget everything, after it was performed."""
        self.effects.clear()


@dataclass(frozen=True, slots=True)
class Status:
    """What a node shows of itself, in heartbeats and ``pbactors status``.

    Attributes:
        role: what it is.
        state: the state of the role in words, for example "filling backup".
        view: the view it knows.
        acked: whether that view is acknowledged, as far as it knows.
        op: the last executed op number.
        copies: copies of the state that every answer waits for: 0, 1 or 2.
        alive: names of the replicas that count as alive; empty but on the view server.
        stuck: whether progress needs a person, or a node to come back.
    """

    role: Role
    state: str
    view: View
    acked: bool
    op: int
    copies: int
    alive: tuple[str, ...] = ()
    stuck: bool = False


class Core(ABC):
    """A protocol core. Subclasses list their handlers in ``handlers``, by message type.

    Attributes:
        member: this node in this life.
        cluster: the id of the cluster; empty until a fresh node hears it (R46).
        over: whether this life has ended; the driver replaces the core.
    """

    handlers: ClassVar[Mapping[type[Message], str]] = {}

    def __init__(self, member: Member, cluster: bytes) -> None:
        self.member = member
        self.cluster = cluster
        self.over = False

    @abstractmethod
    def on_start(self, out: Outbox) -> None:
        """Begin: set the first timers, say the first words."""

    def on_message(self, source: Address, message: Message, out: Outbox) -> None:
        """Hand over one message. Junk and strangers change nothing."""
        if self.over:
            return
        if not self.cluster:
            self.learn_cluster(source, message, out)
        reason = None
        if source.cluster != self.cluster or not self.cluster:
            reason = self.ignore_stranger(source, message)
        if reason is None:
            name = self.handlers.get(type(message))
            if name is not None:
                getattr(self, name)(source, message, out)
                return
            reason = f"a {type(self).__name__} takes no {type(message).__name__}"
        out.emit(Ignored(type(message), reason))
        self.on_stranger(source, message, reason, out)

    def learn_cluster(  # noqa: B027
        self, source: Address, message: Message, out: Outbox
    ) -> None:
        """Take the cluster's id from this message, if it may name one (R46)."""

    def ignore_stranger(self, source: Address, message: Message) -> str | None:
        """Return why this message, whose sender has not our cluster's id, is not for us; None if it
        is (R46).
        """
        if not source.cluster and type(message).without_cluster:
            return None
        if not source.cluster:
            return "carries no cluster id"
        if not self.cluster:
            return "this node knows no cluster yet"
        return "another cluster"

    def on_stranger(  # noqa: B027
        self, source: Address, message: Message, reason: str, out: Outbox
    ) -> None:
        """Answer a message that was refused, where an answer helps. Must change nothing."""

    def _start_over(self, newest: Incarnation, reason: str, out: Outbox) -> None:
        """End this life: the driver begins another with an incarnation above ``newest`` (R47)."""
        self.over = True
        out.emit(StartOver(newest, reason))

    @abstractmethod
    def on_timer(self, timer: Timer, out: Outbox) -> None:
        """A timer fired: due, early, late or for nothing."""

    def on_signal(self, signal: Signal, out: Outbox) -> None:  # noqa: B027
        """The driver noticed something, perhaps wrongly."""

    def flush(self, out: Outbox) -> None:  # noqa: B027
        """End of a batch: emit what was gathered."""

    @abstractmethod
    def clone(self) -> Self:
        """Return an independent copy."""

    @abstractmethod
    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""

    def invalid(self) -> str | None:
        """Return which local invariant does not hold, or None."""
        return None

    @abstractmethod
    def status(self) -> Status:
        """Return what people see."""

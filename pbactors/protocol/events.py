"""Events: what a core tells its driver, for people and counters. They change nothing."""

from __future__ import annotations

from dataclasses import dataclass

from pbactors.protocol.message import Message
from pbactors.protocol.view import Cause, Incarnation, Role, View

__all__ = [
    "ClusterJoined",
    "Diverged",
    "Event",
    "GraceGiven",
    "Ignored",
    "Left",
    "RoleChanged",
    "SessionClosed",
    "SessionLost",
    "StartOver",
    "StateInstalled",
    "Suspected",
    "SuspicionVoid",
    "ViewAcknowledged",
    "ViewInstalled",
    "ViewServed",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line in a log. Events change nothing."""


@dataclass(frozen=True, slots=True)
class ClusterJoined(Event):
    """A fresh node learned which cluster it belongs to."""

    cluster: bytes

    def __str__(self) -> str:
        return f"joined cluster {self.cluster.hex()}"


@dataclass(frozen=True, slots=True)
class ViewInstalled(Event):
    """The view service made a view, or a node adopted it.

    Attributes:
        view: the view.
        cause: why it followed, from whom it is made; None where it is adopted.
        node: whom the cause is about.
    """

    view: View
    cause: Cause | None = None
    node: str = ""

    def __str__(self) -> str:
        return str(self.view) if self.cause is None else f"{self.view} ({self._why()})"

    def _why(self) -> str:
        if self.cause in (Cause.SWITCHOVER, Cause.LINK_LOST):
            return f"{self.cause.value}: {self.node}"
        return f"{self.node}: {self.cause.value}" if self.cause else ""


@dataclass(frozen=True, slots=True)
class ViewServed(Event):
    """The primary of the view is known to answer clients in it."""

    number: int

    def __str__(self) -> str:
        return f"view {self.number} serves"


@dataclass(frozen=True, slots=True)
class Diverged(Event):
    """The backup has come to other results than the primary (R50)."""

    node: str
    op: int

    def __str__(self) -> str:
        return (
            f"{self.node} has come to other results up to operation {self.op}: is the machine "
            "deterministic, and the same on both hosts?"
        )


@dataclass(frozen=True, slots=True)
class Left(Event):
    """A replica that was asked to leave has no role any more, or nobody to give it to."""

    def __str__(self) -> str:
        return "has left"


@dataclass(frozen=True, slots=True)
class ViewAcknowledged(Event):
    """The primary has acknowledged the view: it may change from here on (R4)."""

    number: int

    def __str__(self) -> str:
        return f"view {self.number} is acknowledged"


@dataclass(frozen=True, slots=True)
class Suspected(Event):
    """The view service has lost its connection to a server that counts as alive (R49)."""

    node: str

    def __str__(self) -> str:
        return f"suspects {self.node}: the connection is lost"


@dataclass(frozen=True, slots=True)
class SuspicionVoid(Event):
    """A suspect has pinged, or the view service takes the loss for trouble of its own (R49).

    Attributes:
        node: the suspect.
        at_once: whether most connections were lost at once.
    """

    node: str
    at_once: bool = False

    def __str__(self) -> str:
        why = ": most connections were lost at once, it may live" if self.at_once else ""
        return f"no longer suspects {self.node}{why}"


@dataclass(frozen=True, slots=True)
class GraceGiven(Event):
    """The view service slept: nobody is suspected, and every silence counts from now on (R46)."""

    slept_ms: int

    def __str__(self) -> str:
        slept = f"did nothing for {self.slept_ms} ms" if self.slept_ms else "did nothing for long"
        return f"{slept}: everyone has a fresh grace period"


@dataclass(frozen=True, slots=True)
class RoleChanged(Event):
    """A node became something else, or the state of its role changed."""

    role: Role
    state: str

    def __str__(self) -> str:
        return f"{self.role.value}: {self.state}"


@dataclass(frozen=True, slots=True)
class StateInstalled(Event):
    """A backup holds the complete state up to this op number."""

    view: int
    op: int

    def __str__(self) -> str:
        return f"holds the state up to operation {self.op}"


@dataclass(frozen=True, slots=True)
class StartOver(Event):
    """This life of the node is over: begin again, empty, with an incarnation above ``newest``.

    The driver replaces the core (R47).
    """

    newest: Incarnation
    reason: str

    def __str__(self) -> str:
        return f"starts over, empty: {self.reason}"


@dataclass(frozen=True, slots=True)
class SessionLost(Event):
    """A client's session is unknown to the cluster; what was sent may have happened (R41)."""

    session: int

    def __str__(self) -> str:
        return f"session {self.session} is gone"


@dataclass(frozen=True, slots=True)
class SessionClosed(Event):
    """A client's session has ended, as its user asked."""

    def __str__(self) -> str:
        return "session closed"


@dataclass(frozen=True, slots=True)
class Ignored(Event):
    """A message changed nothing, for this reason."""

    message: type[Message]
    reason: str

    def __str__(self) -> str:
        return f"ignored {self.message.__name__}: {self.reason}"

"""Every exception that pbactors raises on purpose.

The tree, and for a call that failed whether the operation *may* have happened::

    PbactorsError
    +-- TopologyError            the topology file is wrong; nothing was started
    +-- StartError               a node cannot start
    |   +-- AddressUnavailable   a socket could not be bound
    |   +-- MachineUnavailable   the class to replicate cannot be loaded or is no StateMachine
    |   +-- StoreUnavailable     the view server's store is missing, locked, corrupt or foreign
    +-- UnsupportedValue         an argument, result or attribute cannot be carried: did not happen
    +-- MalformedMessage         bytes that are no pbactors message
    +-- WorkloadUnavailable      no calls can be made up for a class
    +-- TraceUnreadable          a file is no trace, or a line of it is none
    +-- InvariantViolated        a rule of the protocol does not hold: the node stops
    +-- CallError                a call ended without its result
        +-- NotSent              certainly did not happen
        +-- OutcomeUnknown       may have happened, may still happen
        |   +-- SessionExpired   may have happened; the session is gone, nothing is retried
        +-- MethodRaised         happened: the method ran and raised
        +-- WrongMachine         did not happen: the cluster replicates another class

A class exists only where a caller would act differently on it.
"""

from __future__ import annotations

__all__ = [
    "AddressUnavailable",
    "CallError",
    "InvariantViolated",
    "MachineUnavailable",
    "MalformedMessage",
    "MethodRaised",
    "NotSent",
    "OutcomeUnknown",
    "PbactorsError",
    "SessionExpired",
    "StartError",
    "StoreUnavailable",
    "TopologyError",
    "TraceUnreadable",
    "UnsupportedValue",
    "WorkloadUnavailable",
    "WrongMachine",
]


class PbactorsError(Exception):
    """The root of everything that pbactors raises on purpose."""


class TopologyError(PbactorsError):
    """A topology file is wrong. Nothing was started.

    Attributes:
        problems: every mistake found, one text each, in the order of the file.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StartError(PbactorsError):
    """A node cannot start. Nothing of it is left running."""


class AddressUnavailable(StartError):
    """A socket could not be bound: taken by another process, or not an address of this host."""


class MachineUnavailable(StartError):
    """The class to replicate cannot be imported, built, or is no ``StateMachine``."""


class StoreUnavailable(StartError):
    """The view server's store is missing, locked, corrupt, or of another cluster."""


class UnsupportedValue(PbactorsError):
    """A value cannot be carried exactly. It was not sent, so the operation did not happen."""


class MalformedMessage(PbactorsError):
    """Bytes that are no pbactors message; the text says why. They change nothing."""


class WorkloadUnavailable(PbactorsError):
    """No calls can be made up for a class: a hint says too little, or its ``workload`` is none."""


class TraceUnreadable(PbactorsError):
    """A file is no trace of a run; the text says which line is wrong, and what was expected."""


class InvariantViolated(PbactorsError):
    """A rule of the protocol does not hold. A node that raises it stops rather than guess."""


class CallError(PbactorsError):
    """A call ended without its result."""


class NotSent(CallError):
    """The request never left this process: the operation certainly did not happen."""


class OutcomeUnknown(CallError):
    """The request was sent and not answered in time: it may have happened, or may still happen."""


class SessionExpired(OutcomeUnknown):
    """The cluster no longer knows this client's session: sent calls may have happened.

    Nothing is retried. The client opens a new session for later calls by itself.
    """


class MethodRaised(CallError):
    """The method ran, on every copy, and raised. What it changed before stays changed.

    Attributes:
        type_name: the name of the exception's class, for example ``"KeyError"``.
        text: ``str()`` of the exception.
    """

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}" if text else type_name)
        self.type_name = type_name
        self.text = text

    def __reduce__(self) -> tuple[type[MethodRaised], tuple[str, str]]:
        return (MethodRaised, (self.type_name, self.text))


class WrongMachine(CallError):
    """The cluster replicates another class than the one asked for. Nothing was sent."""

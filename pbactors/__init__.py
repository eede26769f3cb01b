"""A hot standby for any deterministic Python object.

Write a class, start it from a topology file, call its methods: they run in the same order on a
primary and a backup, and a killed process costs milliseconds and nothing that was acknowledged.
"""

from pbactors.actors.client import ClientActor
from pbactors.actors.replica import ReplicaActor
from pbactors.actors.view_server import ViewServerActor
from pbactors.client import Cluster, connect
from pbactors.errors import (
    AddressUnavailable,
    CallError,
    InvariantViolated,
    MachineUnavailable,
    MalformedMessage,
    MethodRaised,
    NotSent,
    OutcomeUnknown,
    PbactorsError,
    SessionExpired,
    StartError,
    StoreUnavailable,
    TopologyError,
    TraceUnreadable,
    UnsupportedValue,
    WorkloadUnavailable,
    WrongMachine,
)
from pbactors.heartbeat import Record
from pbactors.machines import Context, StateMachine, Table, command, query
from pbactors.node import RunningNode, load_machine, start_node
from pbactors.topology import Topology, load
from pbactors.version import __version__
from pbactors.watch import Beat, ask_nodes, tail

__all__ = [
    "AddressUnavailable",
    "Beat",
    "CallError",
    "ClientActor",
    "Cluster",
    "Context",
    "InvariantViolated",
    "MachineUnavailable",
    "MalformedMessage",
    "MethodRaised",
    "NotSent",
    "OutcomeUnknown",
    "PbactorsError",
    "Record",
    "ReplicaActor",
    "RunningNode",
    "SessionExpired",
    "StartError",
    "StateMachine",
    "StoreUnavailable",
    "Table",
    "Topology",
    "TopologyError",
    "TraceUnreadable",
    "UnsupportedValue",
    "ViewServerActor",
    "WorkloadUnavailable",
    "WrongMachine",
    "__version__",
    "ask_nodes",
    "command",
    "connect",
    "load",
    "load_machine",
    "query",
    "start_node",
    "tail",
]

"""State machines: what users write, and what the core replicates of it."""

from pbactors.machines.context import Context
from pbactors.machines.state_machine import StateMachine, command, query
from pbactors.machines.table import Table

__all__ = ["Context", "StateMachine", "Table", "command", "query"]

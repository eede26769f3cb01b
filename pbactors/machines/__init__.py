"""State machines: what users write, and what the core replicates of it."""

from pbactors.machines.context import Context
from pbactors.machines.state_machine import StateMachine, command, query

__all__ = ["Context", "StateMachine", "command", "query"]

"""Which workload a class gets."""

from __future__ import annotations

from pbactors.machines.state_machine import StateMachine
from pbactors.workload.base import Workload
from pbactors.workload.from_hints import from_hints
from pbactors.workload.reference import WORKLOADS

__all__ = ["workload_for"]


def workload_for(machine: type[StateMachine]) -> Workload:
    """Return the class's own workload, the reference one, or one made from its type hints.

    Raises:
        TypeError: its ``workload`` gives none, or a hint is missing or says too little.
    """
    own = getattr(machine, "workload", None)
    if own is not None:
        made = own()
        if not isinstance(made, Workload):
            raise TypeError(
                f"{machine.__name__}.workload() returned {made!r}. Expected a Workload, "
                f"for example pbactors.workload.from_hints({machine.__name__})"
            )
        return made
    for load in WORKLOADS.values():
        if load.machine is machine:
            return load
    return from_hints(machine)

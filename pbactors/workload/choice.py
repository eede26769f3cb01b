"""Which workload a class gets."""

from __future__ import annotations

import inspect
from typing import Any

from pbactors.errors import WorkloadUnavailable
from pbactors.machines.state_machine import StateMachine, interface
from pbactors.workload.base import Workload
from pbactors.workload.from_hints import from_hints
from pbactors.workload.reference import WORKLOADS

__all__ = ["workload_for"]


def workload_for(machine: type[StateMachine]) -> Workload:
    """Return the class's own workload, the reference one, or one made from its type hints.

    Raises:
        WorkloadUnavailable: its ``workload`` gives none, or a hint is missing or says too little.
    """
    if hasattr(machine, "workload") and "workload" not in interface(machine):
        return _own(machine)
    for load in WORKLOADS.values():
        if load.machine is machine:
            return load
    return from_hints(machine)


def _own(machine: Any) -> Workload:
    where = f"{machine.__name__}.workload"
    example = """for example

    @classmethod
    def workload(cls) -> Workload:
        return pbactors.workload.from_hints(cls)"""
    if inspect.isfunction(machine.workload) and inspect.signature(machine.workload).parameters:
        raise WorkloadUnavailable(f"{where} wants an object. Expected a class method, {example}")
    made = machine.workload()
    if not isinstance(made, Workload):
        raise WorkloadUnavailable(f"{where}() returned {made!r}. Expected a Workload, {example}")
    if not issubclass(machine, made.machine):
        raise WorkloadUnavailable(
            f"{where}() calls {made.machine.__name__}. Expected {machine.__name__}"
        )
    return made

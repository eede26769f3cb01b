"""The reference workloads by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pbactors.workload.bank import BankWorkload
from pbactors.workload.base import Workload
from pbactors.workload.sets import SetWorkload
from pbactors.workload.texts import (
    AppendWorkload,
    CounterWorkload,
    MixedWorkload,
    RegisterWorkload,
)

__all__ = ["WORKLOADS"]

WORKLOADS: Final[Mapping[str, Workload]] = {
    load.name: load
    for load in (
        MixedWorkload(),
        RegisterWorkload(),
        AppendWorkload(),
        CounterWorkload(),
        BankWorkload(),
        SetWorkload(),
    )
}
"""The reference workloads by name. The first one for a class is the one it gets unless asked."""

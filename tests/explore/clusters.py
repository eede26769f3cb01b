"""Clusters to explore, as several tests want them."""

from __future__ import annotations

from pbactors.explore import Found, Scenario
from pbactors.machines.kv import KeyValueStore
from pbactors.protocol.core import Timer
from pbactors.workload import WORKLOADS, Invocation

PING, CHECK, RESEND, RETRY = Timer.PING, Timer.PING_CHECK, Timer.RESEND, Timer.RETRY


def call(method: str, *arguments: object) -> Invocation:
    return Invocation(method, arguments)


def cluster(
    replicas: str, *loads: list[Invocation], window: int = 1, dead_pings: int = 2
) -> Scenario:
    """Return a key/value store with a client for each load."""
    named = {f"client {place}": load for place, load in enumerate(loads, start=1)}
    workload = WORKLOADS["kv"]
    return Scenario(KeyValueStore, workload, named, replicas, window=window, dead_pings=dead_pings)


def clean(found: Found) -> Found:
    """Return what was found, if nothing was broken."""
    assert found.violation is None, "\n".join([found.violation, *map(str, found.path)])
    return found


def exhausted(found: Found) -> Found:
    """Return what was found, if nothing was broken and nothing is left."""
    assert clean(found).exhausted
    return found

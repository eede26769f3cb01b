"""How long a client that calls all the time gets no answer, when something happens to a node.

Each round begins in a whole cluster: an acknowledged view with a backup, and the third replica
alive. Then something happens to one node, and the client's answers are noted until primary and
backup hold everything again, and some time more. At last the node comes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from random import Random

from demonstration.cluster import REPLICAS, Cluster

import pbactors
from benchmarks.caller import Caller
from benchmarks.gaps import counted, longest_gap_ms
from pbactors.heartbeat import Record, ViewSummary
from pbactors.machines.kv import KeyValueStore
from pbactors.switchover import send_switch_over

__all__ = ["BEFORE_MS", "BIN_MS", "FAULTS", "Found", "load", "loaded", "measure", "wait_for"]

LOADED_AT_ONCE = 1000
"""How many keys are under way while a state is made."""

WHOLE_S = 120.0
"""How long the cluster may take until it is whole again."""

BEFORE_MS = 200
BIN_MS = 25
"""How the answers over time are counted: from so long before the fault, in such bins."""

AFTER_MS = 500
"""How long answers are noted after primary and backup hold everything again."""

NS_PER_MS = 1_000_000

FROZEN_S = 2.0
"""How long a stopped node stays stopped: longer than it takes to do without it."""

Fault = Callable[[Cluster, ViewSummary], Callable[[], None]]
"""Does something to a node of a view, and returns what brings the node back."""


def kill_primary(cluster: Cluster, view: ViewSummary) -> Callable[[], None]:
    """``kill -9`` of the primary."""
    return _kill(cluster, view.primary or "")


def kill_backup(cluster: Cluster, view: ViewSummary) -> Callable[[], None]:
    """``kill -9`` of the backup."""
    return _kill(cluster, view.backup or "")


def stop_primary(cluster: Cluster, view: ViewSummary) -> Callable[[], None]:
    """SIGSTOP to the primary: its connections stand, and nothing comes from it."""
    name = view.primary or ""
    cluster.stop(name)
    back_s = time.monotonic() + FROZEN_S

    def bring_back() -> None:
        time.sleep(max(0.0, back_s - time.monotonic()))
        cluster.go_on(name)

    return bring_back


def restart_view_server(cluster: Cluster, _view: ViewSummary) -> Callable[[], None]:
    """``kill -9`` of the view server, which then continues its store."""
    name = cluster.topology.view_server.name
    cluster.kill(name)
    cluster.start_node(name)
    return lambda: None


def terminate_primary(cluster: Cluster, view: ViewSummary) -> Callable[[], None]:
    """SIGTERM to the primary: it lets its backup take over before it ends."""
    name = view.primary or ""
    cluster.terminate(name)
    return lambda: cluster.start_node(name)


def switch_over(cluster: Cluster, _view: ViewSummary) -> Callable[[], None]:
    """``pbactors switchover``."""
    record = cluster.ask_view_server()
    if record is not None:
        send_switch_over(cluster.topology, "", bytes.fromhex(record.cluster))
    return lambda: None


def _kill(cluster: Cluster, name: str) -> Callable[[], None]:
    cluster.kill(name)
    return lambda: cluster.start_node(name)


FAULTS: dict[str, Fault] = {
    "kill-primary": kill_primary,
    "stop-primary": stop_primary,
    "kill-backup": kill_backup,
    "switchover": switch_over,
    "terminate-primary": terminate_primary,
    "restart-view-server": restart_view_server,
}

CHANGING = FAULTS.keys() - {"restart-view-server"}
"""Faults after which there must be another view."""


@dataclass
class Found:
    """What the rounds of one fault came to.

    Attributes:
        fault: its name.
        gaps_ms: of each round the longest time without an answer.
        failed: calls that ended with an error, in all rounds.
        over_time: of each round the answers in bins of ``BIN_MS``, from ``BEFORE_MS`` before.
    """

    fault: str
    gaps_ms: list[float] = field(default_factory=list)
    failed: int = 0
    over_time: list[list[int]] = field(default_factory=list)


def load(cluster: Cluster, keys: int) -> None:
    """Give the machine a state of so many keys, each with a value of 16 bytes."""
    wait_for(cluster, lambda record: all(record.alive[r].alive for r in REPLICAS))
    with pbactors.connect(cluster.topology) as client:
        items = loaded(keys)
        while sent := [
            client.submit(KeyValueStore.put, key, value)
            for key, value in islice(items, LOADED_AT_ONCE)
        ]:
            for answer in sent:
                answer.get(timeout=WHOLE_S)


def loaded(keys: int) -> Iterator[tuple[str, str]]:
    """Yield what ``load`` puts."""
    return ((f"key {number}", "v" * 16) for number in range(keys))


def measure(
    cluster: Cluster, caller: Caller, fault: str, rounds: int, random: Random
) -> Iterator[Found]:
    """Yield what was found, after each round.

    Args:
        cluster: it runs.
        caller: calls it all the time.
        fault: one of ``FAULTS``.
        rounds: how many.
        random: of the moments.
    """
    found = Found(fault)
    for _ in range(rounds):
        view = wait_for(cluster, lambda record: all(record.alive[r].alive for r in REPLICAS))
        caller.take()
        # Not always at the same moment between two ping checks.
        time.sleep(random.uniform(2, 4) * BEFORE_MS / 1000)
        fault_ns = time.monotonic_ns()
        bring_back = FAULTS[fault](cluster, view)
        number = view.number + (fault in CHANGING)
        wait_for(cluster, lambda record: record.view.number >= number)  # noqa: B023
        answered_ns = _answers(caller, found, time.monotonic_ns() + AFTER_MS * NS_PER_MS)
        bring_back()
        found.gaps_ms.append(longest_gap_ms(answered_ns, fault_ns))
        until_ms = (answered_ns[-1] - fault_ns) // NS_PER_MS
        found.over_time.append(
            counted(answered_ns, fault_ns, from_ms=-BEFORE_MS, to_ms=until_ms, bin_ms=BIN_MS)
        )
        yield found


def _answers(caller: Caller, found: Found, until_ns: int) -> list[int]:
    """Take answers, the last of them no earlier than ``until_ns``."""
    answered_ns: list[int] = []
    while not answered_ns or answered_ns[-1] < until_ns:
        time.sleep(0.05)
        answers = caller.take()
        answered_ns += answers.answered_ns
        found.failed += answers.failed
    return answered_ns


def wait_for(cluster: Cluster, reached: Callable[[Record], bool]) -> ViewSummary:
    """Return the view once primary and backup hold everything, and ``reached`` is true.

    Raises:
        RuntimeError: that takes too long, or a node has ended by itself.
    """
    until_s = time.monotonic() + WHOLE_S
    while time.monotonic() < until_s:
        ended = cluster.ended()
        if ended:
            raise RuntimeError(ended[0])
        record = cluster.ask_view_server()
        if (
            record is not None
            and record.view.acked
            and record.view.backup is not None
            and reached(record)
        ):
            return record.view
        time.sleep(0.02)
    raise RuntimeError(f"the cluster is not whole after {WHOLE_S:.0f} s")

"""A client that always has the same number of operations open, and what it measures.

Every system is measured by this one loop, so their figures differ by what they do and by nothing
else. A client sends as many operations as were answered, all at once: whoever can put several into
one message does.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Client", "Measured", "drive"]


class Client(Protocol):
    """What is measured: it counts operations, and answers come in the order they were sent."""

    def send(self, count: int) -> None:
        """Send the next ``count`` operations."""

    def receive(self) -> int:
        """Wait until something is answered; return how many operations were."""

    def close(self) -> None:
        """End."""


@dataclass
class Measured:
    """What one client saw.

    Attributes:
        operations: how many were answered.
        seconds: in this time.
        waits: ``(how long, how many)``: operations that were sent and answered together, and the
            nanoseconds between.
    """

    operations: int = 0
    seconds: float = 0.0
    waits: list[tuple[int, int]] = field(default_factory=list)


def drive(client: Client, outstanding: int, seconds: float, at_least: int = 0) -> Measured:
    """Keep ``outstanding`` operations open for so long; return when all are answered.

    They begin as two halves. Where these meet, they go on as one.

    Args:
        client: who sends them.
        outstanding: how many are open.
        seconds: how long new ones are sent.
        at_least: go on until so many were answered.
    """
    measured = Measured()
    open_since: deque[list[int]] = deque()
    began_ns = time.perf_counter_ns()
    until_ns = began_ns + int(seconds * 1e9)
    second_half = outstanding // 2
    for count in (outstanding - second_half, second_half):
        if count:
            open_since.append([time.perf_counter_ns(), count])
            client.send(count)
    while open_since:
        answered = client.receive()
        now_ns = time.perf_counter_ns()
        measured.operations += answered
        _note(measured, open_since, answered, now_ns)
        if now_ns < until_ns or measured.operations < at_least:
            open_since.append([now_ns, answered])
            client.send(answered)
    measured.seconds = (time.perf_counter_ns() - began_ns) / 1e9
    return measured


def _note(measured: Measured, open_since: deque[list[int]], answered: int, now_ns: int) -> None:
    while answered:
        sent_ns, count = open_since[0]
        some = min(count, answered)
        measured.waits.append((now_ns - sent_ns, some))
        answered -= some
        if some == count:
            open_since.popleft()
        else:
            open_since[0][1] -= some

"""Recording a live cluster: what all its nodes send and receive, as one trace.

Nodes record only while they are asked to, each into a bounded ring, and what they have is fetched
in bounded pieces; the operations' path waits for nobody. A node that dies takes along what was not
fetched yet, which is less than a second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pbactors import wire
from pbactors.config import Limits
from pbactors.errors import MalformedMessage
from pbactors.protocol.tool_messages import GetMoments, Moments
from pbactors.protocol.view import FRESH, Member
from pbactors.topology import Topology
from pbactors.trace import Trace
from pbactors.trace.merge import merge
from pbactors.trace.tape import Tape
from pbactors.transport.zeromq import ZeroMQTransport

__all__ = ["MOMENTS_MAX", "Recording", "record"]

MOMENTS_MAX: Final = 200_000
"""Moments of one node that are kept; the oldest give way."""

ASK_EVERY_S: Final = 0.1
ANSWER_WITHIN_S: Final = 0.5
"""How long an answer may take before the node is asked again."""

RECORD_MS: Final = 5000
"""How long a node goes on recording when nobody asks any more."""

_LAST_WORDS_S: Final = 2.0
"""How long the last answers may fail to come."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded.

    Attributes:
        trace: of all nodes together.
        silent: names of the nodes that never answered; the others say what they sent to them.
        missed: how many moments of a node are not in the trace, where they came faster than they
            could be fetched.
    """

    trace: Trace
    silent: tuple[str, ...]
    missed: Mapping[str, int]


def record(
    topology: Topology,
    seconds: float,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda _: None,
    moments_max: int = MOMENTS_MAX,
) -> Recording:
    """Record a cluster for a while. Blocks; from any thread.

    Args:
        topology: whose nodes to record.
        seconds: for how long.
        stop: asked a few times a second whether to end early, with what there is.
        progress: told a few times a second how many seconds are over.
        moments_max: how many moments of each node are kept.
    """
    tapes = {node.name: Tape(node.name, moments_max) for node in topology.nodes}
    addresses = {node.name: node.address for node in topology.nodes}
    transport = ZeroMQTransport(
        None, None, addresses, Limits().message_bytes_max, patience_ms=1000 * ANSWER_WITHIN_S
    )
    transport.open()
    try:
        _Round(transport, tapes).run(seconds, stop, progress)
    finally:
        transport.close()
    silent = tuple(name for name, tape in tapes.items() if tape.heard_ms is None)
    missed = {name: tape.missed for name, tape in tapes.items() if tape.missed}
    return Recording(merge({name: tape.moments for name, tape in tapes.items()}), silent, missed)


class _Round:
    """Asks every node again and again.

    Args:
        transport: open.
        tapes: of the nodes, by name.
    """

    def __init__(self, transport: ZeroMQTransport, tapes: Mapping[str, Tape]) -> None:
        self._transport = transport
        self._tapes = tapes
        self._asked_s: dict[str, float] = {}  # who has not answered since
        self._heard_s = 0.0  # when somebody answered last

    def run(
        self, seconds: float, stop: Callable[[], bool], progress: Callable[[float], None]
    ) -> None:
        """Record until time is over or somebody stops it; then fetch what is left."""
        next_s = began_s = time.monotonic()
        while (now_s := time.monotonic()) < began_s + seconds and not stop():
            if now_s >= next_s:
                next_s = now_s + ASK_EVERY_S
                for name in self._tapes:
                    self._ask(name, RECORD_MS)
                progress(now_s - began_s)
            self._listen(min(next_s, began_s + seconds), RECORD_MS)
        self._fetch_the_rest()

    def _fetch_the_rest(self) -> None:
        """Ask everybody for what is left, and end their recording; wait for those who answer."""
        self._asked_s.clear()
        stopped_ms = _now_ms()
        for name, tape in self._tapes.items():
            if tape.heard_ms is not None:
                self._ask(name, 0)
        self._heard_s = time.monotonic()
        while self._is_owed_an_answer(stopped_ms):
            self._listen(time.monotonic() + ASK_EVERY_S, 0)
        for tape in self._tapes.values():
            tape.end(stopped_ms)

    def _is_owed_an_answer(self, stopped_ms: float) -> bool:
        """Tell whether a node that lives owes an answer, and answers have not ceased to come."""
        pending = any(not self._tapes[name].is_silent(stopped_ms) for name in self._asked_s)
        return pending and time.monotonic() < self._heard_s + _LAST_WORDS_S

    def _ask(self, name: str, record_ms: int) -> None:
        """Ask a node, unless it still has time to answer."""
        now_s = time.monotonic()
        if now_s - self._asked_s.get(name, -math.inf) > ANSWER_WITHIN_S:
            self._asked_s[name] = now_s
            question = GetMoments(self._tapes[name].number, record_ms)
            self._transport.send(name, wire.encode(b"", Member("", FRESH), question))

    def _listen(self, until_s: float, record_ms: int) -> None:
        """Take what has arrived, or arrives first; who has more is asked at once."""
        self._transport.wait(max(0.0, min(until_s - time.monotonic(), ASK_EVERY_S)) * 1000)
        for received in self._transport.receive(len(self._tapes)):
            try:
                header, message = wire.decode(received.body)
                if isinstance(message, Moments):
                    tape = self._tapes[received.node]
                    tape.take(header.incarnation, message, _now_ms())
                    self._asked_s.pop(tape.name, None)
                    self._heard_s = time.monotonic()
                    if tape.left:
                        self._ask(tape.name, record_ms)
            except (MalformedMessage, ValueError):
                continue  # whoever answers so is none of our nodes


def _now_ms() -> float:
    return time.time() * 1000

"""Recording a live cluster: what all its nodes send and receive, as one trace.

Nodes record only while they are asked to, each into a bounded ring, and what they have is fetched
in bounded pieces; the operations' path waits for nobody. A node that dies takes along what was not
fetched yet, which is less than a second.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pbactors import wire
from pbactors.config import Limits
from pbactors.errors import MalformedMessage
from pbactors.protocol.messages import GetMoments, Moments
from pbactors.protocol.view import FRESH, Incarnation, Member
from pbactors.topology import Topology
from pbactors.trace import Moment, Sort, Trace
from pbactors.trace.file import from_line
from pbactors.trace.merge import merge
from pbactors.transport.zeromq import ZeroMQTransport

__all__ = ["MOMENTS_MAX", "Recording", "record"]

MOMENTS_MAX: Final = 200_000
"""Moments of one node that are kept; the oldest give way."""

ASK_EVERY_S: Final = 0.1
ANSWER_WITHIN_S: Final = 0.5
"""How long an answer may take before the node is asked again."""

SILENT_S: Final = 1.0
"""After how long without an answer a node is taken for dead or frozen, in the picture alone."""

RECORD_MS: Final = 5000
"""How long a node goes on recording when nobody asks any more."""

_LAST_WORDS_S: Final = 2.0


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
    tapes = {node.name: _Tape(node.name, deque(maxlen=moments_max)) for node in topology.nodes}
    addresses = {node.name: node.address for node in topology.nodes}
    transport = ZeroMQTransport(
        None, None, addresses, Limits().message_bytes_max, patience_ms=1000 * ANSWER_WITHIN_S
    )
    transport.open()
    try:
        _Round(transport, tapes).run(seconds, stop, progress)
    finally:
        transport.close()
    silent = tuple(name for name, tape in tapes.items() if tape.heard_s is None)
    missed = {name: tape.missed for name, tape in tapes.items() if tape.missed}
    return Recording(merge({name: tape.moments for name, tape in tapes.items()}), silent, missed)


@dataclass(slots=True)
class _Tape:
    """What is known of one node.

    Attributes:
        moments: what it recorded.
        number: of the last of them.
        incarnation: which life of it answered last.
        left: how many more moments it has.
        asked_s: when it was asked, if it has not answered since; on the monotonic clock.
        heard_s: when it answered last, unix time; None if it never did.
        missed: moments that are gone.
    """

    name: str
    moments: deque[Moment]
    number: int = 0
    incarnation: Incarnation = FRESH
    left: int = 0
    asked_s: float | None = None
    heard_s: float | None = None
    missed: int = 0

    def take(self, incarnation: Incarnation, answer: Moments) -> None:
        """Take an answer.

        Raises:
            ValueError: a line of it is no moment.
        """
        moments = [from_line(line) for line in answer.lines.decode().splitlines()]
        gap = answer.first - self.number - 1
        if self.heard_s is not None and moments:
            self._note_silence(moments[0].time_ms, same_life=incarnation == self.incarnation)
            if 0 < gap < MOMENTS_MAX and incarnation == self.incarnation:
                self.missed += gap
        self.moments.extend(moments[max(0, -gap) :])  # what was asked for twice comes twice
        self.number = answer.first + len(moments) - 1
        self.incarnation = incarnation
        self.left = answer.left
        self.asked_s = None
        self.heard_s = time.time()

    def _note_silence(self, until_ms: float, *, same_life: bool) -> None:
        """Note what must have happened since the node answered last, if it was silent or died."""
        if same_life and not self.is_silent():
            return
        gone, back = (Sort.PAUSED, Sort.RESUMED) if same_life else (Sort.STOPPED, Sort.STARTED)
        self._note(gone, "does not answer")
        word = "answers again" if same_life else "answers in another life"
        self.moments.append(Moment(until_ms, self.name, back, word))

    def is_silent(self) -> bool:
        """Tell whether it has answered before, but not lately."""
        return self.heard_s is not None and time.time() - self.heard_s > SILENT_S

    def note_end(self) -> None:
        """Note that the node does not answer any more, if so."""
        if self.is_silent():
            self._note(Sort.STOPPED, "does not answer any more")

    def _note(self, sort: Sort, text: str) -> None:
        heard_ms = 1000 * (self.heard_s or 0.0)
        self.moments.append(Moment(heard_ms, self.name, sort, text))


class _Round:
    """Asks every node again and again."""

    def __init__(self, transport: ZeroMQTransport, tapes: Mapping[str, _Tape]) -> None:
        self._transport = transport
        self._tapes = tapes

    def run(
        self, seconds: float, stop: Callable[[], bool], progress: Callable[[float], None]
    ) -> None:
        """Record until time is over or somebody stops it; then fetch what is left."""
        began_s = time.monotonic()
        next_s = began_s
        while (now_s := time.monotonic()) < began_s + seconds and not stop():
            if now_s >= next_s:
                next_s = now_s + ASK_EVERY_S
                for name in self._tapes:
                    self._ask(name, RECORD_MS)
                progress(now_s - began_s)
            self._listen(min(next_s, began_s + seconds), RECORD_MS)
        self._fetch_the_rest()

    def _fetch_the_rest(self) -> None:
        """Ask everybody who answers for what is left, and end their recording."""
        answering = [tape for tape in self._tapes.values() if tape.heard_s and not tape.is_silent()]
        for tape in self._tapes.values():
            tape.note_end()
        for tape in answering:
            tape.asked_s = None
            self._ask(tape.name, 0)
        until_s = time.monotonic() + _LAST_WORDS_S
        while time.monotonic() < until_s and any(tape.asked_s is not None for tape in answering):
            self._listen(until_s, 0)

    def _ask(self, name: str, record_ms: int) -> None:
        """Ask a node, unless it still has time to answer."""
        tape = self._tapes[name]
        now_s = time.monotonic()
        if tape.asked_s is None or now_s - tape.asked_s > ANSWER_WITHIN_S:
            tape.asked_s = now_s
            question = GetMoments(max(tape.number, 0), record_ms)
            self._transport.send(name, wire.encode(b"", Member("", FRESH), question))

    def _listen(self, until_s: float, record_ms: int) -> None:
        """Take what has arrived, or arrives first; who has more is asked at once."""
        self._transport.wait(max(0.0, min(until_s - time.monotonic(), ASK_EVERY_S)) * 1000)
        for received in self._transport.receive(len(self._tapes)):
            tape = self._tapes.get(received.node)
            try:
                header, message = wire.decode(received.body)
                if tape is None or not isinstance(message, Moments):
                    continue
                tape.take(header.incarnation, message)
            except (MalformedMessage, ValueError):
                continue
            if tape.left:
                self._ask(tape.name, record_ms)

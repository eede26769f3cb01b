"""What one node did lately, kept while somebody asks for it.

A node that nobody asks has no recorder, and pays one look at an attribute for each message. While
it has one, it keeps small tuples in a ring that is bounded in moments and in bytes; they are put
into words only when they are fetched.
"""

from __future__ import annotations

import time
from collections import deque
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from pbactors.protocol.core import Address, Status, Target
from pbactors.protocol.events import Event, Ignored
from pbactors.protocol.messages import Message
from pbactors.protocol.tool_messages import GetMoments, GetStatus, Moments, StatusReply
from pbactors.trace import Moment, Sort, describe, status_fields
from pbactors.trace.file import to_line

__all__ = ["Recorder"]

MOMENTS_MAX: Final = 20_000
BYTES_MAX: Final = 32 * 1024 * 1024
"""Of the messages that the ring keeps alive."""

ROW_BYTES: Final = 200
"""What an operation or a result takes in memory besides its bytes on the wire, about."""

REPLY_MOMENTS_MAX: Final = 250
"""Putting so many into words takes a few milliseconds, which nobody's ping misses."""

REPLY_BYTES_MAX: Final = 256 * 1024

_ROWS: Final = ("operations", "queries", "results", "answers")
_OF_TOOLS: Final = (GetStatus, StatusReply, GetMoments, Moments)

_What: TypeAlias = Message | Event | Status


class _Entry(NamedTuple):
    time_ms: float
    sort: Sort
    peer: str
    what: _What
    digest: int
    size_bytes: int


class Recorder:
    """Keeps the latest moments of one node, numbered. For the node's thread alone.

    Args:
        name: of the node.
        moments_max: how many are kept.
        bytes_max: of the messages among them.
    """

    def __init__(
        self, name: str, moments_max: int = MOMENTS_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        self._name = name
        self._moments_max = moments_max
        self._bytes_max = bytes_max
        self._entries: deque[_Entry] = deque()
        self._bytes = 0
        # Numbers begin with the time, so that those of a node's next process are higher.
        self._first = time.time_ns() // 1000
        self._shown: Status | None = None

    # -- what happens -------------------------------------------------------------------------

    def now_ms(self) -> float:
        """Return the time that this node's clock tells, in unix time."""
        return time.time() * 1000

    def sent(
        self, began_ms: float, target: Target, message: Message, body: bytes, dropped: bool
    ) -> None:
        """Keep a message that was sent.

        Args:
            began_ms: the time before it was given to the transport, since it may have arrived
                before this is called.
            target: whom to.
            message: it.
            body: its bytes.
            dropped: whether the transport knows that it goes nowhere.
        """
        if isinstance(message, _OF_TOOLS):
            return
        peer = target if isinstance(target, str) else _name_of(target)
        digest = _digest(body)
        self._keep(began_ms, Sort.SENT, peer, message, digest, _size_bytes(message, body))
        if dropped:
            self._keep(began_ms, Sort.LOST, peer, message, digest, 0)

    def received(self, source: Address, message: Message, body: bytes) -> None:
        """Keep a message that arrived."""
        if not isinstance(message, _OF_TOOLS):
            now_ms, peer = self.now_ms(), _name_of(source)
            size_bytes = _size_bytes(message, body)
            self._keep(now_ms, Sort.RECEIVED, peer, message, _digest(body), size_bytes)

    def event(self, event: Event) -> None:
        """Keep what the core told."""
        self._keep(self.now_ms(), Sort.EVENT, "", event, 0, 0)

    def status(self, status: Status) -> None:
        """Keep what the node is, where that has changed."""
        if status != self._shown:
            self._shown = status
            self._keep(self.now_ms(), Sort.STATUS, "", status, 0, 0)

    def _keep(
        self, time_ms: float, sort: Sort, peer: str, what: _What, digest: int, size_bytes: int
    ) -> None:
        self._entries.append(_Entry(time_ms, sort, peer, what, digest, size_bytes))
        self._bytes += size_bytes
        while len(self._entries) > self._moments_max or self._bytes > self._bytes_max:
            self._bytes -= self._entries.popleft().size_bytes
            self._first += 1

    # -- what is fetched ----------------------------------------------------------------------

    def after(self, number: int) -> Moments:
        """Return the moments that follow a number, as many as one message may hold.

        Args:
            number: of the last moment that is known. One that is not from here counts as none.
        """
        start = number - self._first + 1
        if not 0 <= start <= len(self._entries):
            start = 0
        lines: list[bytes] = []
        size_bytes = 0
        for entry in islice(self._entries, start, start + REPLY_MOMENTS_MAX):
            lines.append(to_line(self._in_words(entry)).encode() + b"\n")
            size_bytes += len(lines[-1])
            if size_bytes > REPLY_BYTES_MAX:
                break
        left = len(self._entries) - start - len(lines)
        return Moments(self._first + start, left, b"".join(lines))

    def _in_words(self, entry: _Entry) -> Moment:
        time_ms, sort, peer, what, digest, _ = entry
        fields: dict[str, object] = {}
        if isinstance(what, Message):
            text, fields = describe(what)
        elif isinstance(what, Status):
            text, fields = what.state, status_fields(what)
        else:
            text = str(what)
            if isinstance(what, Ignored):
                fields = {"ignored": True}
        if sort is Sort.LOST:  # it is the receiver's lane that it does not reach
            return Moment(time_ms, peer, sort, text, digest, self._name, fields)
        return Moment(time_ms, self._name, sort, text, digest, peer, fields)


def _size_bytes(message: Message, body: bytes) -> int:
    """Return what it takes to keep a message, about."""
    rows = sum(len(getattr(message, name, ())) for name in _ROWS)
    return len(body) + ROW_BYTES * rows


def _name_of(address: Address) -> str:
    """Return what to call a sender; clients have no names, but lives."""
    return address.node or f"client {address.incarnation.hex()[-6:]}"


def _digest(body: bytes) -> int:
    """Return a number for bytes, never 0."""
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "big") >> 1 | 1

"""Heartbeats: the public records that every node publishes, and what it takes to read them.

A heartbeat is two frames on the node's PUB socket: the topic ``heartbeat`` and one msgpack map with
string keys, since strangers read it without this package. ``docs/protocol.md`` lists the keys. They
are for people and tools and drive nothing. A later version may add keys; it never takes one away or
changes its meaning under the same ``format``.

Nothing here knows a clock: times are handed in. The classes that remember something belong to one
thread each.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

import msgpack  # type: ignore[import-untyped]

from pbactors.errors import MalformedMessage
from pbactors.protocol.core import Status
from pbactors.protocol.view import Member

__all__ = [
    "FORMAT",
    "RECORD_BYTES_MAX",
    "TOPIC",
    "Arrival",
    "GapDetector",
    "Liveness",
    "LivenessLog",
    "RateMeter",
    "Record",
    "ViewSummary",
    "decode",
    "encode",
    "record_from",
]

TOPIC: Final = b"heartbeat"
"""The first frame of a heartbeat, and what a SUB socket subscribes to."""

FORMAT: Final = 1
"""The format of the records that this module writes and reads."""

RECORD_BYTES_MAX: Final = 64 * 1024
"""The largest record that is looked at."""

_CONTAINER_ITEMS_MAX: Final = 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ViewSummary:
    """A view by the names of its nodes.

    Attributes:
        number: the view number; 0 before any.
        primary: name of the primary, or None.
        backup: name of the backup, or None.
        acked: whether the primary has acknowledged it, as far as the node knows.
    """

    number: int
    primary: str | None
    backup: str | None
    acked: bool


@dataclass(frozen=True, slots=True)
class Liveness:
    """Whether a node counts as alive, and since when it does or does not.

    Attributes:
        alive: whether the view server heard from it lately.
        since: unix time in seconds.
    """

    alive: bool
    since: float


@dataclass(frozen=True, slots=True)
class Record:
    """What a node says of itself. Equal records have equal bytes.

    Attributes:
        cluster: the cluster id in hexadecimal digits; empty if the node knows none yet.
        cluster_name: the cluster's name in the topology.
        node: the node's name.
        incarnation: which life of the node, in hexadecimal digits; a later life sorts higher.
        role: ``primary``, ``backup``, ``idle``, ``view_server``.
        state: the state of the role in words.
        view: the view the node knows.
        op: the last executed op number.
        sequence: number of the record in this life of the node, from 1 without gaps.
        operations_per_second: executed lately.
        copies: copies of the state that every answer waits for: 0, 1 or 2.
        stuck: whether progress needs a person, or a node to come back.
        time: when the record was made, unix time in seconds.
        uptime_s: how long this life of the node has lasted.
        alive: on the view server every replica by name; empty elsewhere.
        refused: how many messages were refused, by reason.
        format: the format of the record.
    """

    cluster: str
    cluster_name: str
    node: str
    incarnation: str
    role: str
    state: str
    view: ViewSummary
    op: int
    sequence: int
    operations_per_second: float
    copies: int
    stuck: bool
    time: float
    uptime_s: float
    alive: Mapping[str, Liveness] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain dicts, texts and numbers, as in msgpack and JSON."""
        return asdict(self)


def record_from(
    status: Status,
    member: Member,
    *,
    cluster: bytes,
    cluster_name: str,
    sequence: int,
    operations_per_second: float,
    refused: Mapping[str, int],
    time: float,
    uptime_s: float,
    alive: Mapping[str, Liveness] | None = None,
) -> Record:
    """Return the record of a node whose core has this status.

    Args:
        status: what the core says.
        member: the node in this life.
        cluster: the cluster id, or empty.
        cluster_name: the cluster's name in the topology.
        sequence: one more than in the record before; 1 in the first.
        operations_per_second: from a ``RateMeter``.
        refused: counters by reason; copied.
        time: now, unix time in seconds.
        uptime_s: how long this life has lasted.
        alive: on the view server, from a ``LivenessLog``; copied.
    """
    number, primary, backup = status.view
    return Record(
        cluster=cluster.hex(),
        cluster_name=cluster_name,
        node=member.name,
        incarnation=member.incarnation.hex(),
        role=status.role.value,
        state=status.state,
        view=ViewSummary(
            number,
            None if primary is None else primary.name,
            None if backup is None else backup.name,
            status.acked,
        ),
        op=status.op,
        sequence=sequence,
        operations_per_second=operations_per_second,
        copies=status.copies,
        stuck=status.stuck,
        time=time,
        uptime_s=uptime_s,
        alive=dict(alive or {}),
        refused=dict(refused),
    )


# -- bytes ------------------------------------------------------------------------------------


def encode(record: Record) -> bytes:
    """Return the second frame of a heartbeat, which is the body of a ``StatusReply`` too."""
    body: bytes = msgpack.packb(record.to_dict())
    return body


def decode(body: bytes) -> Record:
    """Return the record in ``body``; keys that are not known are passed over.

    Raises:
        MalformedMessage: it is no record of this format. Nothing else is ever raised.
    """
    if len(body) > RECORD_BYTES_MAX:
        raise MalformedMessage(f"{len(body)} bytes; at most {RECORD_BYTES_MAX} are read")
    try:
        content = msgpack.unpackb(
            body,
            raw=False,
            use_list=False,
            strict_map_key=True,
            max_map_len=_CONTAINER_ITEMS_MAX,
            max_array_len=_CONTAINER_ITEMS_MAX,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"no msgpack: {type(error).__name__}: {error}") from error
    record = _Reader("record", content)
    found = record.number("format")
    if found != FORMAT:
        raise MalformedMessage(f"format {found}; this reader knows format {FORMAT} alone")
    view = _Reader("view", record.get("view"))
    return Record(
        cluster=record.text("cluster"),
        cluster_name=record.text("cluster_name"),
        node=record.text("node"),
        incarnation=record.text("incarnation"),
        role=record.text("role"),
        state=record.text("state"),
        view=ViewSummary(
            view.number("number"),
            view.text_or_none("primary"),
            view.text_or_none("backup"),
            view.truth("acked"),
        ),
        op=record.number("op"),
        sequence=record.number("sequence"),
        operations_per_second=record.real("operations_per_second"),
        copies=record.number("copies"),
        stuck=record.truth("stuck"),
        time=record.real("time"),
        uptime_s=record.real("uptime_s"),
        alive=_Reader("alive", record.get("alive")).each(_liveness),
        refused=_Reader("refused", record.get("refused")).each(_Reader.number),
        format=found,
    )


def _liveness(reader: _Reader, name: str) -> Liveness:
    entry = _Reader(f"alive of {name!r}", reader.get(name))
    return Liveness(entry.truth("alive"), entry.real("since"))


class _Reader:
    """Takes values out of a map that a stranger made."""

    __slots__ = ("_content", "_what")

    def __init__(self, what: str, content: object) -> None:
        self._what = what
        if not isinstance(content, dict):
            raise MalformedMessage(f"{what}: expected a map, got {type(content).__name__}")
        self._content = content

    def get(self, key: str) -> object:
        try:
            return self._content[key]
        except KeyError:
            raise MalformedMessage(f"{self._what}: no {key!r}") from None

    def each(self, read: Callable[[_Reader, str], T]) -> dict[str, T]:
        for name in self._content:
            if type(name) is not str:
                raise MalformedMessage(f"{self._what}: a key is {type(name).__name__}, not a text")
        return {name: read(self, name) for name in self._content}

    def text(self, key: str) -> str:
        value = self.get(key)
        return value if type(value) is str else self._refuse(key, "a text", value)

    def text_or_none(self, key: str) -> str | None:
        return None if self.get(key) is None else self.text(key)

    def truth(self, key: str) -> bool:
        value = self.get(key)
        return value if type(value) is bool else self._refuse(key, "true or false", value)

    def number(self, key: str) -> int:
        value = self.get(key)
        if type(value) is not int or value >> 63:
            self._refuse(key, "a number from 0 below 2**63", value)
        return value

    def real(self, key: str) -> float:
        """Return a number with a fraction; some languages write a whole one as an integer."""
        value = self.get(key)
        if type(value) is int:
            return float(value)
        if type(value) is not float or not math.isfinite(value):
            self._refuse(key, "a finite number", value)
        return value

    def _refuse(self, key: str, expected: str, value: object) -> NoReturn:
        raise MalformedMessage(
            f"{self._what}: {key}: expected {expected}, got {type(value).__name__}"
        )


# -- what a node keeps to fill its records ----------------------------------------------------


class RateMeter:
    """Operations per second, over about the last ``window_s`` seconds."""

    def __init__(self, window_s: float = 1.0) -> None:
        self._window_s = window_s
        self._marks: deque[tuple[float, int]] = deque()

    def rate(self, op: int, now_s: float) -> float:
        """Note the op number and return how many operations a second were executed lately.

        Args:
            op: the last executed op number. Lower than before: the node started over.
            now_s: a monotonic clock, in seconds.
        """
        marks = self._marks
        if marks and op < marks[-1][1]:
            marks.clear()
        # Records are made at every change too: a few marks for each window are enough.
        if not marks or now_s - marks[-1][0] >= self._window_s / 16:
            marks.append((now_s, op))
        while len(marks) > 1 and marks[1][0] <= now_s - self._window_s:
            marks.popleft()
        since_s, base = marks[0]
        return (op - base) / (now_s - since_s) if now_s > since_s else 0.0

    def jumped(self, op: int, now_s: float) -> None:
        """Note that the op number changed without executing: a whole state was installed."""
        self._marks.clear()
        self._marks.append((now_s, op))


class LivenessLog:
    """Since when each replica is alive or not, as the view server sees it."""

    def __init__(self, names: Iterable[str], time: float) -> None:
        """Begin with nobody alive.

        Args:
            names: every replica of the topology.
            time: now, unix time in seconds.
        """
        self._entries = dict.fromkeys(sorted(names), Liveness(False, time))

    def update(self, alive: Iterable[str], time: float) -> Mapping[str, Liveness]:
        """Note who is alive now (``Status.alive``) and return every replica by name."""
        now_alive = set(alive)
        for name, entry in self._entries.items():
            if entry.alive != (name in now_alive):
                self._entries[name] = Liveness(not entry.alive, time)
        return self._entries


# -- what a reader keeps to notice what it missed ---------------------------------------------


class Arrival(NamedTuple):
    """What a record's sequence number says about those before it.

    Attributes:
        missed: records of this life of the node that never arrived. What was missed at the end of
            an earlier life, or before the first record that was seen at all, nobody can know.
        restarted: whether the node has begun a new life.
        outdated: whether the record is older than one seen before, or the same again.
    """

    missed: int = 0
    restarted: bool = False
    outdated: bool = False


class GapDetector:
    """Follows the sequence numbers of any number of nodes. PUB sockets drop without a word."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[str, int]] = {}

    def feed(self, record: Record) -> Arrival:
        """Note a record and say what came between it and the one before of this node."""
        latest = self._latest.get(record.node)
        this = (record.incarnation, record.sequence)
        if latest is not None and this <= latest:
            return Arrival(outdated=True)
        self._latest[record.node] = this
        if latest is None:
            return Arrival()
        incarnation, sequence = latest
        if record.incarnation == incarnation:
            return Arrival(missed=record.sequence - sequence - 1)
        return Arrival(missed=max(record.sequence - 1, 0), restarted=True)

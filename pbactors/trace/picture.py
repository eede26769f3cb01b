"""What a picture of a trace is made of: lanes, spans of a role, arrows, bands of views.

Everything is said in numbers of moments, so that a picture can be laid out by time, or by order
where much happens at one time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from pbactors.protocol.view import Role
from pbactors.trace.moments import Moment, Sort

__all__ = ["Arrow", "Band", "Ending", "Lane", "Look", "Picture", "Span", "picture_of"]


class Look(Enum):
    """How a node is, as a colour."""

    VIEW_SERVER = "view server"
    PRIMARY = "primary"
    BACKUP = "backup"
    FILLING = "filling"
    IDLE = "idle"
    STUCK = "stuck"
    PAUSED = "paused"
    STOPPED = "stopped"
    CLIENT = "client"


class Ending(Enum):
    """How a message ended, as far as the trace says."""

    RECEIVED = "received"
    AGAIN = "received again"
    LOST = "lost"
    UNSEEN = "not seen to arrive"
    UNSENT = "not seen to be sent"


class Lane(NamedTuple):
    """A node.

    Attributes:
        name: its name.
        sort: "view server", "replica" or "client".
        silent: whether nothing was recorded there; all that is known of it is what others say.
    """

    name: str
    sort: str
    silent: bool


class Span(NamedTuple):
    """A time in which a node is one thing.

    Attributes:
        lane: of the node.
        first: the moment in which it begins.
        last: the moment in which it ends; one behind the last moment where it does not.
        look: what it is.
        text: the same in the node's own words.
    """

    lane: int
    first: int
    last: int
    look: Look
    text: str


class Arrow(NamedTuple):
    """A message on its way; one that arrives twice is two arrows.

    Attributes:
        source: the lane it leaves.
        target: the lane it is for.
        sent: the moment in which it was sent; the same as ``ended`` where that is not known.
        ended: the moment of its end; the same as ``sent`` where that is not known.
        ending: how it ended.
        kind: of message.
    """

    source: int
    target: int
    sent: int
    ended: int
    ending: Ending
    kind: str


class Band(NamedTuple):
    """A view, from when anybody says it is the newest, until the next one.

    Attributes:
        number: of the view.
        first: the moment in which it begins.
        last: the moment in which it ends.
        text: who is primary and backup.
    """

    number: int
    first: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A trace, laid out.

    Attributes:
        moments: of the trace, in their order.
        lanes: view server, replicas, clients.
        spans: what each node is, and when.
        arrows: messages.
        bands: views.
    """

    moments: Sequence[Moment]
    lanes: Sequence[Lane]
    spans: Sequence[Span]
    arrows: Sequence[Arrow]
    bands: Sequence[Band]


def picture_of(trace: Iterable[Moment]) -> Picture:
    """Lay out a trace."""
    moments = list(trace)
    lanes = _lanes(moments)
    places = {lane.name: place for place, lane in enumerate(lanes)}
    return Picture(
        moments,
        lanes,
        _spans(moments, lanes, places),
        _arrows(moments, lanes, places),
        _bands(moments),
    )


# -- lanes ------------------------------------------------------------------------------------

_ORDER: Final = ("view server", "replica", "client")
_SORTS: Final[Mapping[object, str]] = {
    Role.VIEW_SERVER.value: "view server",
    Role.CLIENT.value: "client",
}


def _lanes(moments: Sequence[Moment]) -> list[Lane]:
    sorts: dict[str, str] = {}
    peers: set[str] = set()
    for moment in moments:
        peers.add(moment.peer)
        if moment.sort is Sort.STATUS and moment.node:
            sorts[moment.node] = _SORTS.get(str(moment.fields.get("role")), "replica")
        elif moment.node:
            sorts.setdefault(moment.node, "")
    silent = peers - sorts.keys() - {""}
    named = {**dict.fromkeys(silent, ""), **sorts}
    lanes = [Lane(name, sort or _guess(name), name in silent) for name, sort in named.items()]
    return sorted(lanes, key=lambda lane: (_ORDER.index(lane.sort), _natural(lane.name)))


def _guess(name: str) -> str:
    """Return what a node may be that never said so."""
    if name.startswith("client"):
        return "client"
    return "view server" if name == "view" else "replica"


def _natural(name: str) -> tuple[int, str]:
    """Sort client2 before client10."""
    return len(name), name


# -- what nodes are ---------------------------------------------------------------------------

_LIFE: Final = {Sort.STOPPED: Look.STOPPED, Sort.PAUSED: Look.PAUSED}
_AT_FIRST: Final = {"view server": Look.VIEW_SERVER, "replica": Look.IDLE, "client": Look.CLIENT}


class _Now(NamedTuple):
    first: int
    look: Look
    text: str


def _spans(
    moments: Sequence[Moment], lanes: Sequence[Lane], places: Mapping[str, int]
) -> list[Span]:
    spans: list[Span] = []
    now: dict[int, _Now] = {}
    before_pause: dict[int, _Now] = {}

    def become(lane: int, index: int, look: Look, text: str) -> None:
        was = now.get(lane)
        if was is not None:
            if (was.look, was.text) == (look, text):
                return
            spans.append(Span(lane, was.first, index, was.look, was.text))
        now[lane] = _Now(index, look, text)

    for index, moment in enumerate(moments):
        if moment.node not in places:
            continue
        lane = places[moment.node]
        if moment.sort is Sort.STATUS:
            become(lane, index, _look(moment.fields), str(moment.fields.get("state", "")))
        elif moment.sort is Sort.STARTED:
            become(lane, index, _AT_FIRST[lanes[lane].sort], "starting")
        elif moment.sort is Sort.RESUMED and lane in before_pause:
            become(lane, index, *before_pause.pop(lane)[1:])
        elif moment.sort in _LIFE:
            if moment.sort is Sort.PAUSED and lane in now:
                before_pause[lane] = now[lane]
            become(lane, index, _LIFE[moment.sort], moment.sort.value)
    spans += [Span(lane, was.first, len(moments), was.look, was.text) for lane, was in now.items()]
    return sorted(spans)


def _look(fields: Mapping[str, object]) -> Look:
    role = fields.get("role")
    if fields.get("stuck"):
        return Look.STUCK
    if role == Role.VIEW_SERVER.value:
        return Look.VIEW_SERVER
    if role == Role.BACKUP.value and fields.get("state") == "being filled":
        return Look.FILLING
    try:
        return Look(role)
    except ValueError:
        return Look.IDLE


# -- messages ---------------------------------------------------------------------------------


def _arrows(
    moments: Sequence[Moment], lanes: Sequence[Lane], places: Mapping[str, int]
) -> list[Arrow]:
    arrows: list[Arrow] = []
    sent: dict[int, int] = {}
    unseen: dict[int, None] = {}  # sendings without an end so far, in order
    arrived: set[int] = set()
    for index, moment in enumerate(moments):
        if not moment.message or not moment.peer or moment.node not in places:
            continue
        if moment.sort is Sort.SENT:
            sent[moment.message] = index
            unseen[index] = None
        elif moment.sort in (Sort.RECEIVED, Sort.LOST):
            began = sent.get(moment.message)
            unseen.pop(-1 if began is None else began, None)
            again = moment.message in arrived
            arrows.append(_ended(moments, lanes, places, index, began, again))
            if moment.sort is Sort.RECEIVED:
                arrived.add(moment.message)
    for index in unseen:
        moment = moments[index]
        target = places[moment.peer]
        ending = Ending.RECEIVED if lanes[target].silent else Ending.UNSEEN
        arrows.append(Arrow(places[moment.node], target, index, index, ending, _kind(moment)))
    return sorted(arrows, key=lambda arrow: (arrow.sent, arrow.ended))


def _ended(
    moments: Sequence[Moment],
    lanes: Sequence[Lane],
    places: Mapping[str, int],
    index: int,
    began: int | None,
    again: bool,
) -> Arrow:
    """Return the arrow of a message that arrived, or was lost."""
    moment = moments[index]
    source, target = places[moment.peer], places[moment.node]
    if moment.sort is Sort.LOST:
        ending = Ending.LOST
    elif began is None and not lanes[source].silent:
        ending = Ending.UNSENT
    else:
        ending = Ending.AGAIN if again else Ending.RECEIVED
    kind = _kind(moments[index if began is None else began])
    return Arrow(source, target, index if began is None else began, index, ending, kind)


def _kind(moment: Moment) -> str:
    return str(moment.fields.get("kind") or moment.text.partition(" ")[0] or "message")


# -- views ------------------------------------------------------------------------------------


def _bands(moments: Sequence[Moment]) -> list[Band]:
    begun: list[tuple[int, int, str]] = []
    newest = 0
    for index, moment in enumerate(moments):
        number = moment.fields.get("view") if moment.sort is Sort.STATUS else None
        if not isinstance(number, int) or number <= newest:
            continue
        newest = number
        primary, backup = moment.fields.get("primary"), moment.fields.get("backup")
        text = f"primary {primary}, " + (f"backup {backup}" if backup else "no backup")
        begun.append((number, index, text))
    ends = [*(first for _, first, _ in begun), len(moments)][1:]
    return [
        Band(number, first, last, text)
        for (number, first, text), last in zip(begun, ends, strict=True)
    ]

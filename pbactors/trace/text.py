"""A trace as text: one line a moment, for terminals and for documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pbactors.trace.moments import Moment, Sort

__all__ = ["lines", "render"]


def render(trace: Iterable[Moment]) -> str:
    """Return the whole as text."""
    return "\n".join(lines(trace))


def lines(trace: Iterable[Moment]) -> Iterator[str]:
    """Yield one line for each moment: when, where, and what."""
    moments = list(trace)
    node = max((len(moment.node) for moment in moments), default=0)
    peer = max((len(moment.peer) for moment in moments), default=0)
    for moment in moments:
        when = f"{moment.time_ms:10.1f}  {moment.node:<{node}}"
        yield f"{when}  {_SIGNS[moment.sort]:<2} {_what(moment, peer)}".rstrip()


_SIGNS: Final[Mapping[Sort, str]] = {
    Sort.SENT: "->",
    Sort.RECEIVED: "<-",
    Sort.LOST: "x-",
    Sort.STATUS: "=",
    Sort.FAULT: "!",
    Sort.BROKEN: "!!",
    Sort.CALLED: "?",
    Sort.ANSWERED: "=>",
    Sort.STARTED: "+",
    Sort.STOPPED: "-",
    Sort.PAUSED: "-",
    Sort.RESUMED: "+",
    Sort.TIMER: "*",
    Sort.SIGNAL: "*",
    Sort.EVENT: "*",
}


def _what(moment: Moment, width: int) -> str:
    if not moment.peer:
        return moment.text
    lost = "lost: " if moment.sort is Sort.LOST else ""
    return f"{moment.peer:<{width}}  {lost}{moment.text}"

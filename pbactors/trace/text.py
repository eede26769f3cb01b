"""A trace as text: one line a moment, for terminals and for documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pbactors.trace.moments import Moment, Sort

__all__ = ["lines", "render"]


def render(trace: Iterable[Moment]) -> str:
    """Return the whole as text."""
    return "\n".join(lines(trace))


def lines(trace: Iterable[Moment]) -> Iterator[str]:
    """Yield one line for each moment: when, where, and what."""
    moments = list(trace)
    width = max((len(moment.node) for moment in moments), default=0)
    for moment in moments:
        yield f"{moment.time_ms:10.1f}  {moment.node:<{width}}  {_what(moment)}".rstrip()


def _what(moment: Moment) -> str:
    if moment.sort is Sort.SENT:
        return f"-> {moment.peer}: {moment.text}"
    if moment.sort is Sort.RECEIVED:
        return f"<- {moment.peer}: {moment.text}"
    if moment.sort is Sort.LOST:
        return f"x  {moment.peer}: lost: {moment.text}"
    if moment.sort is Sort.STATUS:
        return f"=  {moment.text}"
    if moment.sort in (Sort.FAULT, Sort.BROKEN):
        return f"!  {moment.text}"
    if moment.sort in (Sort.CALLED, Sort.ANSWERED):
        return f"?  {moment.text}" if moment.sort is Sort.CALLED else f"=> {moment.text}"
    return f"*  {moment.text}"

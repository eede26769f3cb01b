"""A trace as one page: a space-time diagram that a browser shows without any network."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from importlib import resources
from typing import Final

from pbactors.trace.moments import Moment, Sort
from pbactors.trace.picture import Ending, Look, Picture, picture_of

__all__ = ["render"]

_PLACE: Final = re.compile(r"\{\{([\w.]+)\}\}")
_PARTS: Final = ("page.css", "scene.js", "paint.js", "controls.js")
_SORTS: Final = tuple(Sort)
_LOOKS: Final = tuple(Look)
_ENDINGS: Final = tuple(Ending)


def render(trace: Iterable[Moment], title: str = "A run") -> str:
    """Return the page of a trace: one HTML document with everything in it.

    Args:
        trace: what happened.
        title: of the page, as plain text.
    """
    parts = {name: _part(name) for name in _PARTS}
    parts["title"] = html.escape(title)
    parts["data"] = _inline(_data(picture_of(trace)))
    page = _part("page.html")
    # In one pass, so that nothing in a part is taken for the place of another.
    return _PLACE.sub(lambda place: parts[place[1]], page)


def _part(name: str) -> str:
    return (resources.files("pbactors.trace") / "template" / name).read_text(encoding="utf-8")


def _inline(data: object) -> str:
    """Return JSON that may stand in a script element: nothing in it ends or opens one."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class _Table:
    """Values by number, each once: sent and received messages say the same."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: object) -> int:
        key = json.dumps(value, default=str)
        number = self._numbers.setdefault(key, len(self.values))
        if number == len(self.values):
            self.values.append(json.loads(key))
        return number


def _data(picture: Picture) -> dict[str, object]:
    """Return what the page draws, as columns of numbers and the values that they name."""
    texts, fields, kinds = _Table(), _Table(), _Table()
    places = {lane.name: place for place, lane in enumerate(picture.lanes)}
    moments = [
        (
            round(moment.time_ms, 3),
            places.get(moment.node, -1),
            _SORTS.index(moment.sort),
            texts.number(moment.text),
            fields.number(dict(moment.fields)),
            1 if moment.fields.get("ignored") else 0,
        )
        for moment in picture.moments
    ]
    spans = [
        (span.lane, span.first, span.last, _LOOKS.index(span.look), texts.number(span.text))
        for span in picture.spans
    ]
    arrows = [
        (
            arrow.source,
            arrow.target,
            arrow.sent,
            arrow.ended,
            _ENDINGS.index(arrow.ending),
            kinds.number(arrow.kind),
        )
        for arrow in picture.arrows
    ]
    return {
        "sorts": [sort.value for sort in _SORTS],
        "looks": [look.value for look in _LOOKS],
        "endings": [ending.value for ending in _ENDINGS],
        "texts": texts.values,
        "fields": fields.values,
        "kinds": kinds.values,
        "lanes": [tuple(lane) for lane in picture.lanes],
        "moments": moments,
        "spans": spans,
        "arrows": arrows,
        "bands": [tuple(band) for band in picture.bands],
    }

"""What a primary says to clients: gathered while it works, one message per client and flush.

Coalescing replies is half of the speed of a primary: the unit of cost is the message, not the
operation.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from operator import itemgetter
from typing import TypeAlias, TypeVar

from pbactors.config import Limits
from pbactors.protocol.core import Address, Outbox
from pbactors.protocol.messages import Reason, Refused, Reply, SessionGone
from pbactors.protocol.operations import Answer, Result
from pbactors.protocol.view import View

__all__ = ["Replies"]


REPLY_ITEMS_MAX = 4096
"""Results and answers in one message; more go in several."""

_OUTCOME_OF = itemgetter(2)

Row = TypeVar("Row")
_Part: TypeAlias = tuple[tuple[Result, ...], tuple[Answer, ...]]


class _ToClient:
    """What one client will hear at the next flush."""

    __slots__ = ("answers", "gone", "refusal", "results")

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.answers: list[Answer] = []
        self.gone: set[int] = set()
        self.refusal: tuple[Reason, str] | None = None

    def clone(self) -> _ToClient:
        """Return an independent copy."""
        copy = _ToClient()
        copy.results, copy.answers = list(self.results), list(self.answers)
        copy.gone, copy.refusal = set(self.gone), self.refusal
        return copy


class Replies:
    """Gathers what clients shall hear, and knows the way back to each session with open calls."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._routes: dict[int, Address] = {}
        self._clients: dict[Address, _ToClient] = {}

    def _to(self, source: Address) -> _ToClient:
        client = self._clients.get(source)
        if client is None:
            client = self._clients[source] = _ToClient()
        return client

    def route(self, session: int, source: Address) -> None:
        """Remember where the session's client was last heard from."""
        self._routes[session] = source

    def drop_route(self, session: int) -> None:
        """Forget it: nothing of the session is pending."""
        self._routes.pop(session, None)

    def executed(self, session: int, results: list[Result | None]) -> None:
        """Pending operations of a session were executed, or it was gone by then."""
        source = self._routes.get(session)
        if source is None:
            return
        client = self._to(source)
        client.results += [result for result in results if result is not None]
        if None in results:
            client.gone.add(session)

    def result(self, source: Address, result: Result) -> None:
        """Answer an operation."""
        self._to(source).results.append(result)

    def answer(self, source: Address, answer: Answer) -> None:
        """Answer a query."""
        self._to(source).answers.append(answer)

    def session_gone(self, source: Address, session: int) -> None:
        """Say that a session is unknown (R41)."""
        self._to(source).gone.add(session)

    def refuse(self, source: Address, reason: Reason, text: str) -> None:
        """Say "later" (R40); once per client and flush."""
        self._to(source).refusal = (reason, text)

    def refuse_session(self, session: int, reason: Reason, text: str) -> None:
        """Say "later" to the client of a session."""
        source = self._routes.get(session)
        if source is not None:
            self.refuse(source, reason, text)

    def flush(self, view: View, copies: int, out: Outbox) -> None:
        """Send what was gathered; with no ``copies`` no result and no answer: clients ask again."""
        if not self._clients:
            return
        for source, client in self._clients.items():
            for session in sorted(client.gone):
                out.send(source, SessionGone(session))
            for results, answers in self._parts(client) if copies else ():
                out.send(source, Reply(view.number, copies, results, answers))
            if client.refusal is not None:
                reason, text = client.refusal
                out.send(source, Refused(view.number, int(reason), text))
        self._clients.clear()

    def _parts(self, client: _ToClient) -> Iterator[_Part]:
        """Split what one client hears so that no message outgrows what it would read."""
        results, answers = client.results, client.answers
        size = sum(map(len, map(_OUTCOME_OF, results))) + sum([len(row[1]) for row in answers])
        room = self._limits.message_bytes_max // 2
        if len(results) + len(answers) <= REPLY_ITEMS_MAX and size <= room:
            if results or answers:
                yield tuple(results), tuple(answers)
            return
        for some_results in _split(results, [len(result[2]) for result in results], room):
            yield some_results, ()
        for some_answers in _split(answers, [len(answer[1]) for answer in answers], room):
            yield (), some_answers

    def clone(self) -> Replies:
        """Return an independent copy; only between flushes is there more than routes."""
        copy = Replies(self._limits)
        copy._routes = dict(self._routes)
        copy._clients = {source: client.clone() for source, client in self._clients.items()}
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        gathered = tuple(
            (
                source,
                tuple(client.results),
                tuple(client.answers),
                tuple(sorted(client.gone)),
                client.refusal,
            )
            for source, client in self._clients.items()
        )
        return (tuple(sorted(self._routes.items())), gathered)


def _split(rows: list[Row], sizes: list[int], room: int) -> Iterator[tuple[Row, ...]]:
    """Yield rows in groups of bounded count and size; one larger row goes alone."""
    first = size = 0
    for index, row_bytes in enumerate(sizes):
        if index > first and (index - first == REPLY_ITEMS_MAX or size + row_bytes > room):
            yield tuple(rows[first:index])
            first, size = index, 0
        size += row_bytes
    if first < len(rows):
        yield tuple(rows[first:])

"""What a primary says to clients: gathered while it works, one message per client and flush.

Coalescing replies is half of the speed of a primary: the unit of cost is the message, not the
operation.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from pbactors.config import Limits
from pbactors.protocol.core import Address, Outbox
from pbactors.protocol.messages import Reason, Refused, Reply, SessionGone
from pbactors.protocol.operations import Answer, Result
from pbactors.protocol.view import View

__all__ = ["Replies"]


@dataclass(slots=True)
class _ToClient:
    """What one client will hear at the next flush."""

    results: list[Result] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    refusal: tuple[Reason, str] | None = None


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

    def executed(self, session: int, result: Result | None) -> None:
        """A pending operation was executed, or its session was gone by then."""
        source = self._routes.get(session)
        if source is None:
            return
        if result is None:
            self.session_gone(source, session)
        else:
            self.result(source, result)

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
        """Send what was gathered."""
        for source, client in self._clients.items():
            for session in sorted(client.gone):
                out.send(source, SessionGone(session))
            for results, answers in self._parts(client):
                out.send(source, Reply(view.number, copies, results, answers))
            if client.refusal is not None:
                reason, text = client.refusal
                out.send(source, Refused(view.number, int(reason), text))
        self._clients.clear()

    def _parts(self, client: _ToClient) -> list[tuple[tuple[Result, ...], tuple[Answer, ...]]]:
        """Split what one client hears so that no message outgrows what it would read."""
        budget = self._limits.message_bytes_max // 2
        total = sum(len(result[2]) for result in client.results)
        total += sum(len(answer[1]) for answer in client.answers)
        if not client.results and not client.answers:
            return []
        if total <= budget:
            return [(tuple(client.results), tuple(client.answers))]
        single: list[tuple[tuple[Result, ...], tuple[Answer, ...]]] = []
        single += [((result,), ()) for result in client.results]
        single += [((), (answer,)) for answer in client.answers]
        return single

    def clone(self) -> Replies:
        """Return an independent copy; only between flushes is there more than routes."""
        copy = Replies(self._limits)
        copy._routes = dict(self._routes)
        copy._clients = {
            source: _ToClient(
                list(client.results), list(client.answers), set(client.gone), client.refusal
            )
            for source, client in self._clients.items()
        }
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

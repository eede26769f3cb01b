"""Messages in words: what a trace says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from pbactors.protocol.core import Status
from pbactors.protocol.messages import Message, Reason, Report, Section
from pbactors.protocol.operations import Kind
from pbactors.protocol.view import Member, View
from pbactors.trace.bodies import call_in_words, outcome_in_words

__all__ = ["describe", "status_fields"]

BODY_SHOWN_BYTES_MAX: Final = 24
ROWS_SHOWN_MAX: Final = 6


def describe(message: Message) -> tuple[str, dict[str, object]]:
    """Return a message in one line, and its fields as plain values.

    Returns:
        The line begins with the message's kind. The fields have that as ``"kind"``, and then those
        of the message; what is long is shortened.
    """
    kind = type(message).__name__
    values = {field.name: getattr(message, field.name) for field in fields(message)}
    shown = {name: _SHOW.get(name, _plain)(value) for name, value in values.items()}
    text = _WORDS.get(kind, _all_fields)(shown)
    return f"{kind} {text}".rstrip(), {"kind": kind, **shown}


def status_fields(status: Status) -> dict[str, object]:
    """Return what a moment of the sort ``STATUS`` says of a node."""
    view = status.view
    return {
        "role": status.role.value,
        "state": status.state,
        "view": view.number,
        "primary": view.primary and view.primary.name,
        "backup": view.backup and view.backup.name,
        "op": status.op,
        "stuck": status.stuck,
    }


# -- values -----------------------------------------------------------------------------------


def _plain(value: Any) -> object:
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, Member):
        return f"{value.name}/{_bytes(value.incarnation)}"
    if isinstance(value, View):
        return str(value)
    return value


def _bytes(value: bytes) -> str:
    """Return bytes to be told apart: numbers as numbers, texts as texts, else in hexadecimal."""
    stripped = value.lstrip(b"\0")
    if len(value) == 16 and len(stripped) <= 4:
        return str(int.from_bytes(value, "big"))
    tail = "..." if len(value) > BODY_SHOWN_BYTES_MAX else ""
    value = value[:BODY_SHOWN_BYTES_MAX]
    text = value.decode("ascii", "replace").strip()
    readable = text.isprintable() and "�" not in text
    return (text if readable else value.hex()) + tail


def _rows(show: Callable[[Any], str]) -> Callable[[Sequence[Any]], list[str]]:
    def rows(values: Sequence[Any]) -> list[str]:
        if len(values) <= ROWS_SHOWN_MAX:
            return [show(value) for value in values]
        # No more than is shown: there may be a hundred thousand, sent to keep a node busy.
        shown = [show(value) for value in values[: ROWS_SHOWN_MAX - 1]]
        return [*shown, f"... {len(values) - len(shown)} more"]

    return rows


def _operation(row: Any) -> str:
    session, number, floor, kind, body = row
    if kind == Kind.OPEN:
        return f"open a session ({_bytes(body)})"
    if kind == Kind.CLOSE:
        return f"close session {session} (number {number})"
    return f"session {session} number {number} floor {floor}: {call_in_words(body)}"


def _query(row: Any) -> str:
    number, session, after, body = row
    return f"query {number} of session {session} after {after}: {call_in_words(body)}"


def _result(row: Any) -> str:
    session, number, outcome = row
    if number == 0:
        return f"session {session} is open"
    return f"session {session} number {number}: {outcome_in_words(outcome)}"


def _answer(row: Any) -> str:
    number, outcome = row
    return f"query {number}: {outcome_in_words(outcome)}"


_SHOW: Final[Mapping[str, Callable[[Any], object]]] = {
    "operations": _rows(_operation),
    "queries": _rows(_query),
    "results": _rows(_result),
    "answers": _rows(_answer),
    "reason": lambda value: Reason(value).name.lower().replace("_", " "),
    "section": lambda value: Section(value).name.lower(),
    "report": lambda value: Report(value).name.lower().replace("_", " "),
}


# -- lines ------------------------------------------------------------------------------------


def _all_fields(shown: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _listed(*lists: Iterable[str]) -> str:
    return "; ".join(row for rows in lists for row in rows)


def _ping(shown: Mapping[str, Any]) -> str:
    filling = f", filling {shown['filling']}" if shown["filling"] else ""
    report = f", {shown['report']}" if shown["report"] != "none" else ""
    leaving = ", leaving" if shown["leaving"] else ""
    return f"number {shown['number']}{filling}{report}{leaving} (sequence {shown['sequence']})"


def _view_reply(shown: Mapping[str, Any]) -> str:
    return f"{shown['view']}{', acknowledged' if shown['acked'] else ''}"


def _forward(shown: Mapping[str, Any]) -> str:
    what = _listed(shown["operations"]) or "nothing"
    return f"view {shown['view']}, from op {shown['first']}: {what} (confirm {shown['confirm']})"


def _confirm(shown: Mapping[str, Any]) -> str:
    return f"view {shown['view']}, up to op {shown['op']} (echo {shown['echo']})"


def _piece(shown: Mapping[str, Any]) -> str:
    last = ", the last" if shown["last"] else ""
    return (
        f"{shown['index']} of view {shown['view']}, attempt {shown['attempt']}, "
        f"state at op {shown['base']}: {shown['section']}{last}"
    )


def _piece_received(shown: Mapping[str, Any]) -> str:
    return f"view {shown['view']}, attempt {shown['attempt']}: {shown['received']} pieces"


def _request(shown: Mapping[str, Any]) -> str:
    return f"view {shown['view']}: {_listed(shown['operations'], shown['queries'])}"


def _reply(shown: Mapping[str, Any]) -> str:
    copies = "1 copy" if shown["copies"] == 1 else f"{shown['copies']} copies"
    return f"view {shown['view']}, {copies}: {_listed(shown['results'], shown['answers'])}"


def _refused(shown: Mapping[str, Any]) -> str:
    return f"view {shown['view']}: {shown['reason']} ({shown['text']})"


_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "Ping": _ping,
    "ViewReply": _view_reply,
    "Forward": _forward,
    "Confirm": _confirm,
    "Piece": _piece,
    "PieceReceived": _piece_received,
    "Request": _request,
    "Reply": _reply,
    "Refused": _refused,
}

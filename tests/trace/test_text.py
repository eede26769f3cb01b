"""Messages and traces in words: what a person reads of a run in a terminal."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from pbactors.machines.calls import encode_call, encode_error, encode_result
from pbactors.protocol.core import Status
from pbactors.protocol.message import REGISTRY
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    Message,
    Piece,
    Reason,
    Refused,
    Reply,
    Request,
    Section,
)
from pbactors.protocol.operations import Kind
from pbactors.protocol.view import FRESH, Member, Role, View
from pbactors.trace import Moment, Sort, describe, status_fields, text

A = Member("a", FRESH[:-1] + b"\x01")
OPEN = (0, 0, 0, int(Kind.OPEN), b"token")
PUT = (7, 3, 2, int(Kind.CALL), encode_call("put", ("color", "blue")))
CLOSE = (7, 4, 4, int(Kind.CLOSE), b"")


def some(kind: type[Message]) -> Message:
    """Return a message with some value in each field."""
    values = {int: 1, str: "text", bytes: bytes(16), bool: True, View: View(1, A, None)}
    types = get_type_hints(kind)
    return kind(*(values.get(types[field.name], ()) for field in fields(kind)))


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: str(kind.__name__))
def test_every_message_is_one_line_and_plain_fields(kind: type[Message]) -> None:
    line, shown = describe(some(kind))
    assert line.split()[0] == shown["kind"] == kind.__name__
    assert "\n" not in line
    assert list(shown) == ["kind", *(field.name for field in fields(kind))]
    assert json.loads(json.dumps(shown)) == shown


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            Forward(2, A.incarnation, 9, 41, b"", (PUT, CLOSE)),
            "Forward view 2, from op 41: session 7 number 3 floor 2: put('color', 'blue'); "
            "close session 7 (number 4) (confirm 9)",
        ),
        (
            Forward(2, A.incarnation, 9, 41, b"", ()),
            "Forward view 2, from op 41: nothing (confirm 9)",
        ),
        (Confirm(2, A.incarnation, 42, 9, 7), "Confirm view 2, up to op 42 (echo 9)"),
        (
            Piece(3, A.incarnation, 1, 40, b"", 7, 9, 2, True, int(Section.MACHINE), b"state"),
            "Piece 2 of view 3, attempt 1, state at op 40: machine, the last",
        ),
        (
            Request(2, (OPEN,), ((5, 7, 3, encode_call("get", ("color",))),)),
            "Request view 2: open a session (token); query 5 of session 7 after 3: get('color')",
        ),
        (
            Reply(
                2,
                1,
                (
                    (7, 3, encode_result(None, "")),
                    (7, 4, encode_error("KeyError", "'x'")),
                    (8, 0, b""),
                ),
                ((5, encode_result("blue", "")),),
            ),
            "Reply view 2, 1 copy: session 7 number 3: None; "
            "session 7 number 4: raised KeyError: 'x'; session 8 is open; query 5: 'blue'",
        ),
        (
            Refused(2, int(Reason.NOT_PRIMARY), "b is backup"),
            "Refused view 2: not primary (b is backup)",
        ),
    ],
)
def test_what_a_message_says_is_there(message: Message, line: str) -> None:
    assert describe(message)[0] == line


@pytest.mark.parametrize("body", [b"", b"\xff\x00junk", b"\xc1", bytes(5000), b"x" * 5000])
def test_bodies_that_are_no_calls_are_shown_as_far_as_they_are_texts(body: bytes) -> None:
    """Bodies are opaque to the protocol; whatever they are, a trace can be written."""
    for message in (
        Request(1, ((7, 1, 0, int(Kind.CALL), body),), ()),
        Reply(1, 1, ((7, 1, body),), ()),
    ):
        line, _ = describe(message)
        assert len(line) < 200
        assert line.isprintable()


def test_long_lists_are_cut() -> None:
    operations = tuple((7, number, 0, int(Kind.CALL), b"") for number in range(1, 1001))
    line, shown = describe(Forward(2, A.incarnation, 9, 1, b"", operations))
    assert "995 more" in line
    rows: Any = shown["operations"]
    assert len(rows) == 6


def test_what_is_not_shown_is_not_put_into_words() -> None:
    """A hundred thousand rows in each of some messages kept a node busy for minutes."""
    no_rows: Any = (None,) * 995
    request = Request(2, (*[(7, 1, 1, int(Kind.CALL), b"")] * 5, *no_rows), ())
    line, _ = describe(request)
    assert "995 more" in line


def test_lines_are_aligned() -> None:
    view = View(2, A, None)
    status = status_fields(Status(Role.PRIMARY, "serving alone", view, True, 3, 1))
    trace = [
        Moment(0, "a", Sort.STARTED, "life 1 begins"),
        Moment(1.25, "a", Sort.SENT, "Ping number 1", 1, "view"),
        Moment(2, "view", Sort.RECEIVED, "Ping number 1", 1, "a"),
        Moment(10, "view", Sort.LOST, "Ping number 1", 1, "a"),
        Moment(11, "a", Sort.STATUS, "serving alone", fields=status),
        Moment(12, "client1", Sort.CALLED, "get('x')"),
        Moment(13, "client1", Sort.ANSWERED, "None"),
        Moment(14, "", Sort.FAULT, "a is cut from view"),
        Moment(1000, "", Sort.BROKEN, "R7: it is"),
    ]
    assert text.render(trace).splitlines() == [
        "       0.0  a        +  life 1 begins",
        "       1.2  a        -> view  Ping number 1",
        "       2.0  view     <- a     Ping number 1",
        "      10.0  view     x- a     lost: Ping number 1",
        "      11.0  a        =  serving alone",
        "      12.0  client1  ?  get('x')",
        "      13.0  client1  => None",
        "      14.0           !  a is cut from view",
        "    1000.0           !! R7: it is",
    ]
    assert text.render([]) == ""

"""The wire: what goes in comes out, junk is refused with a reason, and the bytes stay as they are.

The golden bytes stand in ``tests/wire/``: ``<case>.hex`` is one message in hexadecimal digits,
``<case>.txt`` the same in words. They are what other versions and other languages rely on, so a
difference is a broken promise, not a test to be refreshed. Only after a change of the protocol
that is meant, write them anew with ``PBACTORS_WRITE_GOLDEN=1 pytest tests/test_wire.py`` and review
them.
"""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbactors import wire
from pbactors.errors import MalformedMessage
from pbactors.protocol.message import REGISTRY
from pbactors.protocol.messages import (
    Confirm,
    Forward,
    GetView,
    HandOver,
    Message,
    Piece,
    PieceReceived,
    Ping,
    Reason,
    Refused,
    Reply,
    Report,
    Request,
    Section,
    SessionGone,
    Superseded,
    ViewReply,
)
from pbactors.protocol.operations import Answer, Kind, Operation, Query, Result, invalid_operation
from pbactors.protocol.tool_messages import (
    Abandon,
    Abandoned,
    GetHistory,
    GetMoments,
    GetStatus,
    History,
    Moments,
    StatusReply,
    SwitchOver,
)
from pbactors.protocol.view import NO_VIEW, Member, View

PATIENT = settings(deadline=None)  # a busy machine is no failure

CLUSTER = bytes(range(0xC0, 0xD0))
A = Member("a", bytes(range(0xA0, 0xB0)))
B = Member("b", bytes(range(0xB0, 0xC0)))
CLIENT = Member("", bytes(range(0xE0, 0xF0)))
VIEW_SERVER = Member("view", bytes(range(0xF0, 0x100)))
TOKEN = bytes(range(16))
BIG = 2**63 - 1

# -- golden bytes -----------------------------------------------------------------------------

OPEN = (0, 0, 0, int(Kind.OPEN), TOKEN)
CALL = (7, 3, 2, int(Kind.CALL), b"append")
CLOSE = (7, 4, 4, int(Kind.CLOSE), b"")

GOLDEN: dict[str, tuple[bytes, Member, Message]] = {
    "ping": (CLUSTER, A, Ping(3, 1000, 0, "pbactors.machines.kv:KeyValueStore")),
    "ping-fresh": (b"", A, Ping(0, 1, 0, "machine")),
    "ping-filling": (CLUSTER, A, Ping(3, 70_000, 4, "machine")),
    "ping-report": (
        CLUSTER,
        A,
        Ping(3, 71_000, 0, "machine", int(Report.HANDED_OVER), B.incarnation, True, True),
    ),
    "hand-over": (CLUSTER, VIEW_SERVER, HandOver(3, A.incarnation)),
    "get-history": (b"", CLIENT, GetHistory(3)),
    "history": (CLUSTER, VIEW_SERVER, History(1, b'{"number": 4}\n')),
    "switch-over": (CLUSTER, CLIENT, SwitchOver("b")),
    "get-view": (CLUSTER, CLIENT, GetView()),
    "get-view-fresh": (b"", CLIENT, GetView()),
    "view-reply": (CLUSTER, VIEW_SERVER, ViewReply(View(2, A, B), True, "machine")),
    "view-reply-alone": (CLUSTER, VIEW_SERVER, ViewReply(View(1, A, None), False, "machine")),
    "view-reply-none-yet": (CLUSTER, VIEW_SERVER, ViewReply(NO_VIEW, False, "machine")),
    "superseded": (CLUSTER, VIEW_SERVER, Superseded(A.incarnation, B.incarnation)),
    "request": (CLUSTER, CLIENT, Request(2, (CALL, CLOSE), ((1, 7, 3, b"get"),))),
    "request-open": (CLUSTER, CLIENT, Request(2, (OPEN,), ())),
    "request-largest-numbers": (CLUSTER, CLIENT, Request(BIG, ((BIG, BIG, BIG, 1, b""),), ())),
    "reply": (CLUSTER, A, Reply(2, 2, ((7, 3, b"done"), (9, 0, TOKEN)), ((1, b"value"),))),
    "reply-empty": (CLUSTER, A, Reply(2, 1, (), ())),
    "refused": (CLUSTER, B, Refused(2, int(Reason.NOT_PRIMARY), "b is backup")),
    "refused-wide-text": (b"", B, Refused(0, int(Reason.STILL_SERVING), "später: \N{SNOWMAN}")),
    "session-gone": (CLUSTER, A, SessionGone(7)),
    "forward": (CLUSTER, A, Forward(2, B.incarnation, 300, 41, b"stamp", (CALL, CLOSE))),
    "forward-only-confirm": (CLUSTER, A, Forward(2, B.incarnation, 301, 43, b"", ())),
    "confirm": (CLUSTER, B, Confirm(2, A.incarnation, 42, 301, 2**32 - 1)),
    "piece": (
        CLUSTER,
        A,
        Piece(2, B.incarnation, 1, 40, b"stamp", 7, 299, 0, False, int(Section.SESSIONS), b"state"),
    ),
    "piece-last": (
        CLUSTER,
        A,
        Piece(2, B.incarnation, 1, 40, b"", 0, 299, 1, True, int(Section.MACHINE), b""),
    ),
    "piece-received": (CLUSTER, B, PieceReceived(2, A.incarnation, 1, 2)),
    "get-status": (b"", CLIENT, GetStatus()),
    "status-reply": (CLUSTER, A, StatusReply(b"\x81\xa4node\xa1a")),
    "abandon": (CLUSTER, CLIENT, Abandon(bytes(reversed(CLUSTER)))),
    "get-moments": (b"", CLIENT, GetMoments(1_700_000_000_000_000, 5000)),
    "moments": (CLUSTER, A, Moments(1_700_000_000_000_001, 3, b'{"sort": "event"}\n')),
    "abandoned": (bytes(reversed(CLUSTER)), VIEW_SERVER, Abandoned(9)),
}

FOLDER = Path(__file__).parent / "wire"


def in_words(cluster: bytes, member: Member, message: Message) -> str:
    lines = [
        f"{type(message).__name__} (tag {message.tag}), protocol version {wire.VERSION}",
        f"cluster      {cluster.hex() or 'none yet'}",
        f"node         {member.name or '(a client)'}",
        f"incarnation  {member.incarnation.hex()}",
    ]
    lines += [f"  {field.name} = {getattr(message, field.name)!r}" for field in fields(message)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_bytes(case: str) -> None:
    cluster, member, message = GOLDEN[case]
    body = wire.encode(cluster, member, message)
    digits, words = FOLDER / f"{case}.hex", FOLDER / f"{case}.txt"
    if os.environ.get("PBACTORS_WRITE_GOLDEN"):
        digits.write_text(body.hex(" ") + "\n")
        words.write_text(in_words(cluster, member, message))
    assert bytes.fromhex(digits.read_text()) == body
    assert words.read_text() == in_words(cluster, member, message)
    header = wire.Header(wire.VERSION, cluster, *member)
    assert wire.decode(bytes.fromhex(digits.read_text())) == (header, message)


def test_golden_bytes_exist_for_every_message_and_nothing_else() -> None:
    assert {type(message) for _, _, message in GOLDEN.values()} == set(REGISTRY.values())
    assert {path.stem for path in FOLDER.iterdir()} == set(GOLDEN)


# -- what goes in comes out -------------------------------------------------------------------

NUMBERS = st.integers(0, BIG) | st.integers(0, 300)
BYTES = st.binary(max_size=40)
IDS = st.binary(min_size=16, max_size=16)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
MEMBERS = st.builds(Member, NAMES, IDS)
ROWS = [tuple[row, ...] for row in (Operation, Query, Result, Answer)]  # type: ignore[valid-type]
OPERATIONS = (
    st.tuples(st.just(0), st.just(0), st.just(0), st.just(0), IDS)
    | st.tuples(NUMBERS, NUMBERS, NUMBERS, st.integers(1, 2), BYTES)
).filter(lambda row: invalid_operation(row) is None)
FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    int: NUMBERS | st.integers(0, 5),
    bool: st.booleans(),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    bytes: BYTES | IDS,
    View: st.builds(View, NUMBERS, MEMBERS | st.none(), MEMBERS | st.none()),
    tuple[Operation, ...]: st.lists(OPERATIONS, max_size=5).map(tuple),
    tuple[Query, ...]: st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, BYTES), max_size=5).map(tuple),
    tuple[Result, ...]: st.lists(st.tuples(NUMBERS, NUMBERS, BYTES), max_size=5).map(tuple),
    tuple[Answer, ...]: st.lists(st.tuples(NUMBERS, BYTES), max_size=5).map(tuple),
}


NUMBERED: dict[str, st.SearchStrategy[Any]] = {
    name: st.sampled_from([int(number) for number in numbers])
    for name, numbers in (("reason", Reason), ("section", Section), ("report", Report))
}
"""Fields whose numbers have names: any other number is refused."""


def messages_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Generate messages that pass their own judgement; the names say which bytes are ids."""
    types = get_type_hints(kind)
    parts = {field.name: FIELDS[types[field.name]] for field in fields(kind)}
    parts |= dict.fromkeys({"target", "newest", "successor", "about"} & parts.keys(), IDS)
    parts |= {name: named for name, named in NUMBERED.items() if name in parts}
    return st.builds(kind, **parts).filter(lambda message: message.invalid() is None)


MESSAGES = st.one_of([messages_of(kind) for kind in REGISTRY.values()])
SENDERS = st.builds(Member, NAMES | st.just(""), IDS)
CLUSTERS = IDS | st.just(b"")
BODIES = st.builds(wire.encode, CLUSTERS, SENDERS, MESSAGES)


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: str(kind.__name__))
def test_every_message_comes_back_as_it_went(kind: type[Message]) -> None:
    @PATIENT
    @given(CLUSTERS, SENDERS, messages_of(kind))
    def check(cluster: bytes, sender: Member, message: Message) -> None:
        body = wire.encode(cluster, sender, message)
        header, decoded = wire.decode(body)
        assert header == (wire.VERSION, cluster, sender.name, sender.incarnation)
        assert decoded == message
        assert type(decoded) is kind
        assert wire.encode(header.cluster, sender, decoded) == body

    check()


def test_operations_are_plain_tuples_and_views_are_views() -> None:
    request = Request(2, (CALL,), ((1, 7, 3, b"get"),))
    _, decoded = wire.decode(wire.encode(CLUSTER, CLIENT, request))
    assert isinstance(decoded, Request)
    assert type(decoded.operations[0]) is tuple
    _, reply = wire.decode(wire.encode(CLUSTER, A, ViewReply(View(2, A, B), True, "")))
    assert isinstance(reply, ViewReply)
    assert type(reply.view) is View
    assert type(reply.view.primary) is Member


# -- junk -------------------------------------------------------------------------------------


def refused(body: bytes) -> str:
    with pytest.raises(MalformedMessage) as caught:
        wire.decode(body)
    return str(caught.value)


def decode_or_refuse(body: bytes) -> None:
    """Only ``MalformedMessage`` may come out; what is accepted must survive another round."""
    try:
        header, message = wire.decode(body)
    except MalformedMessage:
        return
    again = wire.encode(header.cluster, Member(header.node, header.incarnation), message)
    assert wire.decode(again) == (header, message)


@PATIENT
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(body: bytes) -> None:
    decode_or_refuse(body)
    decode_or_refuse(b"\x96\x01" + body)


@PATIENT
@given(BODIES, st.data())
def test_every_truncation_is_refused(body: bytes, data: st.DataObject) -> None:
    assert refused(body[: data.draw(st.integers(0, len(body) - 1))])


@PATIENT
@given(BODIES, st.data())
def test_flipped_bits_never_raise_anything_else(body: bytes, data: st.DataObject) -> None:
    flipped = bytearray(body)
    for bit in data.draw(st.lists(st.integers(0, len(body) * 8 - 1), min_size=1, max_size=4)):
        flipped[bit // 8] ^= 1 << bit % 8
    decode_or_refuse(bytes(flipped))


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-(2**63), 2**64 - 1),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.just("x" * 5000),
    st.binary(max_size=20),
    st.just(()),
    st.just({}),
    st.just({1: 2}),
    st.just(msgpack.ExtType(5, b"x")),
    st.just(msgpack.ExtType(5, b"")),
    st.just(msgpack.Timestamp(1)),
    st.recursive(st.just(1), lambda inner: st.tuples(inner, inner), max_leaves=6),
)


def places(value: Any, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Return the way to everything inside nested arrays, the whole included."""
    found = [path]
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


def replaced(value: Any, path: tuple[int, ...], new: Any) -> Any:
    if not path:
        return new
    copy = list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@PATIENT
@given(BODIES, JUNK, st.data())
def test_a_value_of_another_type_anywhere_never_raises_anything_else(
    body: bytes, junk: Any, data: st.DataObject
) -> None:
    array = msgpack.unpackb(body, use_list=True)
    path = data.draw(st.sampled_from(places(array)))
    decode_or_refuse(msgpack.packb(replaced(array, path, junk)))


@PATIENT
@given(BODIES, JUNK, st.data())
def test_one_item_too_many_or_too_few_is_refused(
    body: bytes, junk: Any, data: st.DataObject
) -> None:
    array = msgpack.unpackb(body, use_list=True)
    kind = REGISTRY[array[4]]
    types = get_type_hints(kind)
    of_any_length = [
        (5, place) for place, field in enumerate(fields(kind)) if types[field.name] in ROWS
    ]
    arrays = [
        path
        for path in places(array)
        if isinstance(value_at(array, path), list) and path not in of_any_length
    ]
    path = data.draw(st.sampled_from(arrays))
    before = value_at(array, path)
    assert refused(msgpack.packb(replaced(array, path, [*before, junk])))
    if before:
        assert refused(msgpack.packb(replaced(array, path, before[:-1])))


def value_at(value: Any, path: tuple[int, ...]) -> Any:
    for index in path:
        value = value[index]
    return value


def envelope(**changed: Any) -> bytes:
    parts = {
        "version": wire.VERSION,
        "cluster": CLUSTER,
        "node": "a",
        "incarnation": A.incarnation,
        "tag": GetView.tag,
        "fields": (),
    }
    packed: bytes = msgpack.packb(tuple((parts | changed).values()))
    return packed


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no msgpack"),
        (b"\xc1", "no msgpack: FormatError"),
        (b"\xc0", "expected an array of 6 items, got nil"),
        (b"\x91\x01", "expected an array of 6 items, got tuple of length 1"),
        (b"\x94\x02\x80\x80", "protocol version 2; this node speaks version 1 alone"),
        (envelope(version=0), "protocol version 0; this node speaks version 1 alone"),
        (envelope(version=300), "protocol version 300; this node speaks version 1 alone"),
        (envelope(version=True), "protocol version bool; this node speaks version 1 alone"),
        (envelope(version=1.0), "protocol version float; this node speaks version 1 alone"),
        (envelope(cluster=b"short"), "cluster: expected 16 bytes or none, got bytes of length 5"),
        (envelope(cluster=None), "cluster: expected 16 bytes or none, got nil"),
        (envelope(node=b"a"), "node: expected a text of at most 64 characters, got bytes"),
        (envelope(node="n" * 65), "node: expected a text of at most 64 characters, got str"),
        (envelope(incarnation=b""), "incarnation: expected 16 bytes, got bytes of length 0"),
        (envelope(tag=0), "unknown tag: 0"),
        (envelope(tag=True), "unknown tag: bool"),
        (envelope(tag="2"), "unknown tag: str of length 1"),
        (envelope(tag=()), "unknown tag: tuple of length 0"),
        (envelope(fields=(1,)), "GetView: expected an array of 0 fields, got tuple of length 1"),
        (envelope(fields=None), "GetView: expected an array of 0 fields, got nil"),
        (envelope(fields={}), "a map in a message"),
        (envelope(fields={1: 2}), "exceeds max_map_len"),
        (envelope(fields=msgpack.ExtType(5, b"")), "an extension type in a message"),
        (envelope(fields=msgpack.Timestamp(1)), "exceeds max_ext_len"),
        (envelope(tag=8, fields=(-1,)), "SessionGone.session: -1 is not in the range"),
        (envelope(tag=8, fields=(2**63,)), f"SessionGone.session: {2**63} is not in the range"),
        (envelope(tag=8, fields=(True,)), "SessionGone.session: expected a number, got bool"),
        (envelope(tag=8, fields=(1.0,)), "SessionGone.session: expected a number, got float"),
        (envelope(tag=7, fields=(1, 0, "x" * 4097)), "Refused.text: expected a text of at most"),
        (envelope(tag=7, fields=(1, 99, "")), "Refused: no reason: 99"),
        (envelope(tag=14, fields=("x",)), "StatusReply.record: expected bytes, got str"),
        (envelope(tag=3, fields=((1, None), True, "")), "ViewReply.view: expected a view of 3"),
        (envelope(tag=3, fields=((1, ("a",), None), True, "")), "expected a member of 2 items"),
        (envelope(tag=3, fields=((1, ("", A[1]), None), True, "")), "a name of 1 to 64 characters"),
        (envelope(tag=3, fields=((1, ("a", b""), None), True, "")), "an incarnation of 16 bytes"),
        (envelope(tag=3, fields=((1, None, None), True, "")), "a view without a primary"),
        (envelope(tag=3, fields=((1, A, None), 1, "")), "ViewReply.acked: expected true or false"),
        (envelope(tag=5, fields=(1, 2, ())), "Request.operations: expected an array, got int"),
        (
            envelope(tag=5, fields=(1, ((1, 1, 1, True, b""),), ())),
            "Request.operations: expected arrays of 4 numbers from 0 below 2**63 and bytes, "
            "got ['int', 'int', 'int', 'bool', 'bytes of length 0']",
        ),
        (envelope(tag=5, fields=(1, (), ((1, 1, -1, b""),))), "Request.queries: expected arrays"),
        (envelope(tag=5, fields=(1, (b"12345",), ())), "got bytes of length 5"),
        (envelope(tag=5, fields=(1, ((0, 1, 1, 1, b""),), ())), "Request.operations: a call needs"),
        (envelope(tag=6, fields=(1, 2, ((1, b""),), ())), "Reply.results: expected arrays of 2"),
        (envelope(tag=6, fields=(1, 2, (), ((1, ""),))), "Reply.answers: expected arrays of 1"),
        (envelope() + b"\x00", "1 bytes after the end of the message"),
        (b"\x96\x01\xa1\xff", "UnicodeDecodeError"),
    ],
)
def test_junk_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    assert reason in refused(body)


@pytest.mark.parametrize(
    "body",
    [
        envelope(version=True),
        envelope(version=1.0),
        envelope(cluster="c" * 16),
        envelope(node=b"a"),
        envelope(cluster=b"c" * 16, incarnation="\0" * 16),
    ],
)
def test_a_header_that_is_nearly_one_seen_before_is_refused(body: bytes) -> None:
    wire.decode(envelope())
    wire.decode(envelope(cluster=b"c" * 16, incarnation=bytes(16)))
    refused(body)


def test_a_header_may_be_packed_in_more_bytes_than_it_needs() -> None:
    usual = envelope()
    assert usual.startswith(b"\x96\x01")
    for beginning in (b"\x96\xcc\x01", b"\xdc\0\6\x01", b"\xdd\0\0\0\6\xcd\0\x01"):
        assert wire.decode(beginning + usual[2:]) == wire.decode(usual)


def test_headers_that_were_seen_do_not_pile_up() -> None:
    for number in range(3 * wire._HEADERS_MAX):
        wire.decode(envelope(incarnation=number.to_bytes(16, "big")))
    assert len(wire._HEADERS) <= wire._HEADERS_MAX


def test_a_body_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(MalformedMessage, match="41 bytes; at most 40 are read"):
        wire.decode(b"\xc1" * 41, message_bytes_max=40)


def test_more_items_than_one_message_may_hold_are_refused() -> None:
    answers = ((0, b""),) * wire.ARRAY_ITEMS_MAX
    most = Reply(1, 1, (), answers)
    assert wire.decode(wire.encode(CLUSTER, A, most))[1] == most
    more = Reply(1, 1, (), (*answers, (0, b"")))
    assert "exceeds max_array_len" in refused(wire.encode(CLUSTER, A, more))


def small_arrays(rows: int) -> bytes:
    """Return a complete body of six items, the last of them ``rows`` arrays of 8191 small ones."""
    row = ROW + b"\x91\x00" * 8191
    return b"\x96\x01\x00\x00\x00\x00\xdc" + rows.to_bytes(2, "big") + row * rows


ROW = b"\xdc\x1f\xff"  # the head of an array of 8191 items


@pytest.mark.parametrize(
    ("body", "bytes_max"),
    [
        pytest.param(b"\x96\x01" + ROW + b"\x80" * 1_000_000, 2_500_000, id="empty maps"),
        pytest.param(b"\x96\x01\x9f" + b"\x91" * 1_000_000, 2_500_000, id="deep"),
        pytest.param(b"\x96\x01" + ROW * 20_000, 200_000, id="deep and wide"),
        pytest.param(b"\xdc\x00\xff" * 340, 1_000_000, id="deep and wide, but short"),
        pytest.param(b"\x96\x01\xdd\xff\xff\xff\xff", 100_000, id="claims four billion items"),
        pytest.param(small_arrays(15), 10_000_000, id="small arrays, too few to be counted"),
        pytest.param(small_arrays(80), 40_000_000, id="small arrays"),
        pytest.param(b"\x96\x01\xdb\x00\x0f\x42\x40" + b"x" * 1_000_000, 2_500_000, id="text"),
    ],
)
def test_junk_costs_bounded_memory(body: bytes, bytes_max: int) -> None:
    tracemalloc.start()
    try:
        assert refused(body)
        assert tracemalloc.get_traced_memory()[1] < bytes_max
    finally:
        tracemalloc.stop()


def test_a_message_with_a_field_that_cannot_be_checked_fails_loudly() -> None:
    @dataclass(slots=True)
    class Strange(Message):
        tag: ClassVar[int] = 99
        weight: float

    with pytest.raises(TypeError, match=r"Strange.weight: the wire knows no check for .*float"):
        wire._Codec(Strange)

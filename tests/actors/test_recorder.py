"""What a node records: nothing unless asked, never more than its bounds, in pieces, once each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pbactors
from pbactors import wire
from pbactors.actors.node_actor import NodeActor
from pbactors.actors.recorder import REPLY_BYTES_MAX, REPLY_MOMENTS_MAX, Recorder
from pbactors.protocol.core import Address, Status
from pbactors.protocol.events import Ignored
from pbactors.protocol.messages import GetView, Message, Piece, Ping, Request, Section
from pbactors.protocol.tool_messages import RECORD_MS_MAX, GetMoments, GetStatus, Moments
from pbactors.protocol.view import FRESH, NO_VIEW, Member, Role
from pbactors.trace.file import from_line
from pbactors.trace.moments import Moment, Sort
from pbactors.transport.ask import ask_once
from tests.processes import free_topology, wait_until

CLUSTER = b"c" * 16
B = Address("b", FRESH[:-1] + b"\x02", CLUSTER, b"")
STRANGER = Address("", bytes(13) + b"\xab\xcd\xef", CLUSTER, b"route")
B_MEMBER = Member("b", B.incarnation)
PING = Ping(1, 1, 0, "contract")


def moments_of(reply: Moments) -> list[Moment]:
    return [from_line(line) for line in reply.lines.decode().splitlines()]


def test_what_is_recorded_can_be_fetched() -> None:
    recorder = Recorder("a")
    recorder.status(Status(Role.PRIMARY, "serving", NO_VIEW, True, 0, 1))
    recorder.sent(recorder.now_ms(), "b", PING, b"body", dropped=False)
    recorder.received(B, PING, b"body")
    recorder.received(STRANGER, GetView(), b"other")
    recorder.event(Ignored(Ping, "late"))
    found = moments_of(recorder.after(0))
    assert [(moment.sort, moment.peer) for moment in found] == [
        (Sort.STATUS, ""),
        (Sort.SENT, "b"),
        (Sort.RECEIVED, "b"),
        (Sort.RECEIVED, "client abcdef"),
        (Sort.EVENT, ""),
    ]
    assert {moment.node for moment in found} == {"a"}
    assert found[0].fields["role"] == "primary"
    assert found[1].fields["kind"] == "Ping"
    assert found[1].message == found[2].message != found[3].message != 0, "a digest of the bytes"
    assert found[4].fields == {"ignored": True}


def test_what_certainly_goes_nowhere_is_lost_on_the_lane_of_its_receiver() -> None:
    recorder = Recorder("a")
    recorder.sent(recorder.now_ms(), "b", PING, b"body", dropped=True)
    sent, lost = moments_of(recorder.after(0))
    assert (lost.sort, lost.node, lost.peer) == (Sort.LOST, "b", "a")
    assert lost.message == sent.message


def test_a_status_is_recorded_where_it_changes() -> None:
    recorder = Recorder("a")
    for op in (1, 1, 2):
        recorder.status(Status(Role.PRIMARY, "serving", NO_VIEW, True, op, 1))
    assert len(moments_of(recorder.after(0))) == 2


@pytest.mark.parametrize("message", [GetStatus(), GetMoments(0, 0), Moments(0, 0, b"")])
def test_what_tools_ask_is_not_recorded(message: Message) -> None:
    recorder = Recorder("a")
    recorder.received(STRANGER, message, b"")
    recorder.sent(recorder.now_ms(), STRANGER, message, b"", dropped=False)
    assert recorder.after(0).lines == b""


def test_the_ring_is_bounded_in_moments() -> None:
    recorder = Recorder("a", moments_max=10)
    begin = recorder.after(0).first
    for _ in range(25):
        recorder.sent(recorder.now_ms(), "b", PING, b"", dropped=False)
    reply = recorder.after(0)
    assert len(moments_of(reply)) == 10
    assert reply.first == begin + 15, "who fetches sees how many are gone"


def test_the_ring_is_bounded_in_bytes() -> None:
    recorder = Recorder("a", bytes_max=1000)
    for size in (400, 400, 400, 5000, 100):
        recorder.sent(recorder.now_ms(), "b", PING, bytes(size), dropped=False)
    assert len(moments_of(recorder.after(0))) == 1


def test_it_is_fetched_in_bounded_pieces_without_gap_or_repetition() -> None:
    recorder = Recorder("a")
    for sequence in range(1, 1001):
        recorder.sent(recorder.now_ms(), "b", Ping(1, sequence, 0, "x" * 4000), b"", dropped=False)
    after, sequences = 0, []
    while True:
        reply = recorder.after(after)
        moments = moments_of(reply)
        assert len(moments) <= REPLY_MOMENTS_MAX
        assert len(reply.lines) < REPLY_BYTES_MAX + 20_000
        sequences += [moment.fields["sequence"] for moment in moments]
        after = reply.first + len(moments) - 1
        assert reply.left == 1000 - len(sequences)
        if not reply.left:
            break
    assert sequences == list(range(1, 1001))
    assert recorder.after(after).lines == b""


def test_a_large_body_is_not_in_the_reply() -> None:
    recorder = Recorder("a")
    body = bytes(1_000_000)
    piece = Piece(2, FRESH, 1, 40, b"", 7, 9, 0, False, int(Section.MACHINE), body)
    recorder.sent(recorder.now_ms(), "b", piece, body, dropped=False)
    assert len(recorder.after(0).lines) < 2000


def test_small_rows_count_as_what_they_take_in_memory() -> None:
    """Seven bytes on the wire are a tuple of five items here."""
    recorder = Recorder("a", bytes_max=1_000_000)
    request = Request(1, ((1, 1, 1, 1, b""),) * 2000, ())
    body = wire.encode(CLUSTER, B_MEMBER, request)
    assert len(body) < 20_000
    for _ in range(10):
        recorder.received(STRANGER, request, body)
    assert len(moments_of(recorder.after(0))) == 2


@pytest.mark.parametrize("number", [1, 10**6, 2**63 - 1])
def test_a_number_that_is_not_from_here_counts_as_none(number: int) -> None:
    """As where a node's process ended and another one answers."""
    recorder = Recorder("a")
    recorder.sent(recorder.now_ms(), "b", PING, b"", dropped=False)
    assert len(moments_of(recorder.after(number))) == 1


def test_recording_for_long_without_being_asked_again_is_refused() -> None:
    assert GetMoments(0, RECORD_MS_MAX).invalid() is None
    assert "at most 60000" in (GetMoments(0, RECORD_MS_MAX + 1).invalid() or "")


# -- on a node --------------------------------------------------------------------------------


@pytest.fixture
def topology(tmp_path: Path) -> pbactors.Topology:
    return pbactors.load(free_topology(tmp_path, replicas=1))


@pytest.fixture
def actors(topology: pbactors.Topology, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The actor of a view server that runs."""
    made: list[NodeActor] = []
    begin = NodeActor.begin

    def noted(actor: NodeActor) -> None:
        made.append(actor)
        begin(actor)

    monkeypatch.setattr(NodeActor, "begin", noted)
    with pbactors.start_node(topology, "view", form_new=True):
        yield made


def ask(topology: pbactors.Topology, after: int, record_ms: int) -> Moments:
    body = wire.encode(b"", Member("", FRESH), GetMoments(after, record_ms))

    def answer() -> bytes | None:
        return ask_once({"view": topology.view_server.address}, body, 1000).get("view")

    _, message = wire.decode(wait_until(answer, what="an answer") or b"")
    assert isinstance(message, Moments)
    return message


def test_a_node_records_only_from_when_it_is_asked_until_it_is_told(
    topology: pbactors.Topology, actors: list[NodeActor]
) -> None:
    (actor,) = actors
    assert actor.recorder is None
    first = ask(topology, 0, RECORD_MS_MAX)
    assert actor.recorder is not None
    (status,) = moments_of(first)
    assert (status.sort, status.fields["role"]) == (Sort.STATUS, "view_server")
    ask_once({"view": topology.view_server.address}, wire.encode(b"", B_MEMBER, PING), 1000)
    second = ask(topology, first.first, 0)
    assert [moment.fields.get("kind") for moment in moments_of(second)][:1] == ["Ping"]
    assert actor.recorder is None


def test_a_node_stops_recording_by_itself(
    topology: pbactors.Topology, actors: list[NodeActor]
) -> None:
    (actor,) = actors
    ask(topology, 0, 50)
    wait_until(lambda: actor.recorder is None, what="the end of the recording")


def test_lines_of_a_node_are_json(topology: pbactors.Topology, actors: list[NodeActor]) -> None:
    reply = ask(topology, 0, 0)
    assert actors
    assert all(json.loads(line) for line in reply.lines.splitlines())

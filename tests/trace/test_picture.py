"""What a picture is made of: lanes in a sensible order, spans, arrows with their ends, bands."""

from __future__ import annotations

from typing import Any

import pytest

from pbactors.trace.moments import Moment, Sort
from pbactors.trace.picture import Arrow, Band, Ending, Lane, Look, Span, picture_of


def status(time_ms: float, node: str, role: str, state: str = "", **more: Any) -> Moment:
    fields = {"role": role, "state": state, "view": 0, "primary": None, "backup": None, "op": 0}
    return Moment(time_ms, node, Sort.STATUS, state, fields={**fields, **more})


def sent(source: str, target: str, number: int) -> Moment:
    return Moment(0, source, Sort.SENT, "Ping number 1", number, target, {"kind": "Ping"})


def received(source: str, target: str, number: int, sort: Sort = Sort.RECEIVED) -> Moment:
    return Moment(1, target, sort, "Ping number 1", number, source, {"kind": "Ping"})


def test_lanes_are_view_server_then_replicas_then_clients() -> None:
    trace = [
        status(0, "client10", "client"),
        status(0, "b", "backup"),
        sent("b", "client2", 1),
        sent("a", "view", 2),
        status(0, "view", "view_server"),
        Moment(1, "", Sort.FAULT, "rain"),
    ]
    assert picture_of(trace).lanes == [
        Lane("view", "view server", False),
        Lane("a", "replica", False),
        Lane("b", "replica", False),
        Lane("client2", "client", True),
        Lane("client10", "client", False),
    ]


def test_a_node_is_one_thing_after_the_other() -> None:
    trace = [
        Moment(0, "a", Sort.STARTED, "life 1"),
        status(1, "a", "idle", "idle"),
        status(2, "a", "backup", "being filled"),
        status(3, "a", "backup", "following"),
        status(4, "a", "backup", "following", op=7),  # no news for a picture
        Moment(5, "a", Sort.PAUSED, "freezes"),
        Moment(6, "a", Sort.RESUMED, "goes on"),
        status(7, "a", "primary", "serving"),
        Moment(8, "a", Sort.STOPPED, "life 1 ends"),
        Moment(9, "a", Sort.STARTED, "life 2"),
        status(10, "a", "idle", "stuck: empty", stuck=True),
    ]
    assert picture_of(trace).spans == [
        Span(0, 0, 1, Look.IDLE, "starting"),
        Span(0, 1, 2, Look.IDLE, "idle"),
        Span(0, 2, 3, Look.FILLING, "being filled"),
        Span(0, 3, 5, Look.BACKUP, "following"),
        Span(0, 5, 6, Look.PAUSED, "paused"),
        Span(0, 6, 7, Look.BACKUP, "following"),
        Span(0, 7, 8, Look.PRIMARY, "serving"),
        Span(0, 8, 9, Look.STOPPED, "stopped"),
        Span(0, 9, 10, Look.IDLE, "starting"),
        Span(0, 10, 11, Look.STUCK, "stuck: empty"),
    ]


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (
            [sent("a", "b", 1), received("a", "b", 1)],
            [Arrow(0, 1, 0, 1, Ending.RECEIVED, "Ping")],
        ),
        (
            [sent("a", "b", 1), received("a", "b", 1), received("a", "b", 1)],
            [Arrow(0, 1, 0, 1, Ending.RECEIVED, "Ping"), Arrow(0, 1, 0, 2, Ending.AGAIN, "Ping")],
        ),
        (
            [sent("a", "b", 1), received("a", "b", 1, Sort.LOST)],
            [Arrow(0, 1, 0, 1, Ending.LOST, "Ping")],
        ),
        (
            [sent("a", "b", 1), Moment(1, "b", Sort.TIMER, "ping")],
            [Arrow(0, 1, 0, 0, Ending.UNSEEN, "Ping")],
        ),
        (
            [Moment(0, "a", Sort.TIMER, "ping"), received("a", "b", 1)],
            [Arrow(0, 1, 1, 1, Ending.UNSENT, "Ping")],
        ),
        ([sent("a", "client", 1)], [Arrow(0, 1, 0, 0, Ending.RECEIVED, "Ping")]),
        ([received("client", "a", 1)], [Arrow(1, 0, 0, 0, Ending.RECEIVED, "Ping")]),
        (  # the same body is sent twice, as explorers do, and arrives once
            [sent("a", "b", 1), sent("a", "b", 1), received("a", "b", 1)],
            [Arrow(0, 1, 0, 0, Ending.UNSEEN, "Ping"), Arrow(0, 1, 1, 2, Ending.RECEIVED, "Ping")],
        ),
    ],
    ids=["arrives", "twice", "lost", "unseen", "unsent", "to-silent", "from-silent", "sent-twice"],
)
def test_a_message_is_an_arrow_from_its_sending_to_its_end(
    trace: list[Moment], expected: list[Arrow]
) -> None:
    assert picture_of(trace).arrows == expected


def test_views_are_bands_from_when_the_first_node_knows_them() -> None:
    trace = [
        status(0, "view", "view_server"),
        status(1, "view", "view_server", view=1, primary="a"),
        status(2, "a", "primary", view=1, primary="a"),
        status(3, "view", "view_server", view=2, primary="a", backup="b"),
        status(4, "b", "idle", view=1, primary="a"),  # late
    ]
    assert picture_of(trace).bands == [
        Band(1, 1, 3, "primary a, no backup"),
        Band(2, 3, 5, "primary a, backup b"),
    ]


def test_nothing_is_a_picture_too() -> None:
    picture = picture_of([])
    assert not picture.lanes
    assert not picture.arrows


def test_a_role_that_is_no_text_is_no_role() -> None:
    moment = Moment(0, "a", Sort.STATUS, "odd", fields={"role": [1]})
    picture = picture_of([moment])
    assert picture.lanes == [Lane("a", "replica", False)]
    assert [span.look for span in picture.spans] == [Look.IDLE]

"""One trace out of several: who sent what to whom, and nothing before its cause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pbactors.trace import Moment, Sort, Trace
from pbactors.trace.merge import merge


def sent(time_ms: float, node: str, peer: str, digest: int) -> Moment:
    return Moment(time_ms, node, Sort.SENT, "Ping", digest, peer)


def received(time_ms: float, node: str, peer: str, digest: int) -> Moment:
    return Moment(time_ms, node, Sort.RECEIVED, "Ping", digest, peer)


def shown(trace: Trace) -> list[tuple[float, str, str, int]]:
    return [(each.time_ms, each.node, each.sort.value, each.message) for each in trace]


def test_a_sending_and_its_arrival_have_one_number() -> None:
    trace = merge(
        {
            "a": [sent(1000, "a", "b", 77), sent(1003, "a", "c", 77)],
            "b": [received(1001, "b", "a", 77)],
            "c": [received(1004, "c", "a", 77)],
        }
    )
    assert shown(trace) == [
        (0, "a", "sent", 1),
        (1, "b", "received", 1),
        (3, "a", "sent", 2),
        (4, "c", "received", 2),
    ]


def test_equal_bytes_are_told_apart_in_order() -> None:
    trace = merge(
        {
            "a": [sent(1, "a", "b", 7), sent(2, "a", "b", 7)],
            "b": [received(3, "b", "a", 7), received(4, "b", "a", 7)],
        }
    )
    assert [number for *_, number in shown(trace)] == [1, 2, 1, 2]


def test_a_loss_that_the_sender_knows_of_is_that_of_its_sending() -> None:
    lost = Moment(1, "b", Sort.LOST, "Ping", 7, "a")
    trace = merge({"a": [sent(1, "a", "b", 7), lost, sent(2, "a", "b", 7)], "b": []})
    assert [(sort, number) for _, _, sort, number in shown(trace)] == [
        ("sent", 1),
        ("lost", 1),
        ("sent", 2),
    ]


def test_nothing_arrives_before_it_was_sent_whatever_clocks_say() -> None:
    """b's clock is 500 ms behind; its own order stays, and what follows comes later too."""
    trace = merge(
        {
            "a": [sent(1000, "a", "b", 1), received(1002, "a", "b", 2)],
            "b": [received(501, "b", "a", 1), sent(501.5, "b", "a", 2)],
        }
    )
    assert shown(trace) == [
        (0, "a", "sent", 1),
        (0, "b", "received", 1),
        (0, "b", "sent", 2),
        (2, "a", "received", 2),
    ]


def test_a_circle_of_wrong_matches_ends_all_the_same() -> None:
    """Equal bytes, lost and repeated, may match a sending that came after."""
    trace = merge(
        {
            "a": [received(1, "a", "b", 2), sent(2, "a", "b", 1)],
            "b": [received(1, "b", "a", 1), sent(2, "b", "a", 2)],
        }
    )
    assert len(trace) == 4


def test_nothing() -> None:
    assert not len(merge({}))
    assert not len(merge({"a": [], "b": []}))


NODES = "abc"
moments = st.builds(
    lambda sort, time_ms, peer, digest: Moment(time_ms, "?", sort, "", digest, peer),
    st.sampled_from([Sort.SENT, Sort.RECEIVED]),
    st.floats(0, 1e6),
    st.sampled_from(NODES),
    st.integers(1, 4),
)


@given(st.fixed_dictionaries({node: st.lists(moments, max_size=12) for node in NODES}))
def test_whatever_is_recorded_is_in_the_trace_once_in_its_order(
    recorded: dict[str, list[Moment]],
) -> None:
    lanes = {
        node: [
            moment._replace(node=node, fields={"place": place}) for place, moment in enumerate(lane)
        ]
        for node, lane in recorded.items()
    }
    trace = list(merge(lanes))
    assert [moment.time_ms for moment in trace] == sorted(moment.time_ms for moment in trace)
    for node, lane in lanes.items():
        places = [moment.fields["place"] for moment in trace if moment.node == node]
        assert places == list(range(len(lane)))

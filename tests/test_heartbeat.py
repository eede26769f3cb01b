"""Heartbeats: what a node says of itself, readable by strangers, and what a reader missed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbactors import heartbeat
from pbactors.errors import MalformedMessage
from pbactors.heartbeat import (
    Arrival,
    GapDetector,
    Liveness,
    LivenessLog,
    RateMeter,
    Record,
    ViewSummary,
)
from pbactors.protocol.core import Status
from pbactors.protocol.view import NO_VIEW, Member, Role, View

PATIENT = settings(deadline=None)  # a busy machine is no failure

A, B = Member("a", bytes(range(16))), Member("b", b"b" * 16)

PLAIN: dict[str, Any] = {
    "format": 1,
    "cluster": "c0" * 16,
    "cluster_name": "local",
    "node": "view",
    "incarnation": "0e" * 16,
    "role": "view_server",
    "state": "serving",
    "view": {"number": 2, "primary": "a", "backup": None, "acked": True},
    "op": 0,
    "sequence": 7,
    "operations_per_second": 0.0,
    "copies": 0,
    "stuck": False,
    "time": 1_700_000_000.5,
    "uptime_s": 12.25,
    "alive": {"a": {"alive": True, "since": 1_699_999_990.0}},
    "refused": {"another cluster": 3},
}


def test_a_record_says_what_the_core_says() -> None:
    status = Status(Role.PRIMARY, "filling backup", View(3, A, B), False, 41, 1, stuck=True)
    record = heartbeat.record_from(
        status,
        A,
        cluster=b"\xc0" * 16,
        cluster_name="local",
        sequence=9,
        operations_per_second=12.5,
        refused={"another cluster": 2},
        time=1_700_000_000.0,
        uptime_s=3.5,
    )
    assert record.to_dict() == {
        "format": 1,
        "cluster": "c0" * 16,
        "cluster_name": "local",
        "node": "a",
        "incarnation": "000102030405060708090a0b0c0d0e0f",
        "role": "primary",
        "state": "filling backup",
        "view": {"number": 3, "primary": "a", "backup": "b", "acked": False},
        "op": 41,
        "sequence": 9,
        "operations_per_second": 12.5,
        "copies": 1,
        "stuck": True,
        "time": 1_700_000_000.0,
        "uptime_s": 3.5,
        "alive": {},
        "refused": {"another cluster": 2},
    }


def test_a_record_keeps_nothing_that_changes_later() -> None:
    refused, log = {"junk": 1}, LivenessLog(["a"], 0.0)
    record = heartbeat.record_from(
        Status(Role.VIEW_SERVER, "serving", NO_VIEW, False, 0, 0),
        Member("view", bytes(16)),
        cluster=b"",
        cluster_name="local",
        sequence=1,
        operations_per_second=0.0,
        refused=refused,
        time=0.0,
        uptime_s=0.0,
        alive=log.update([], 0.0),
    )
    refused["junk"] = 2
    log.update(["a"], 5.0)
    assert record.refused == {"junk": 1}
    assert record.alive == {"a": Liveness(False, 0.0)}


def test_a_stranger_reads_a_record_with_msgpack_alone() -> None:
    record = heartbeat.decode(msgpack.packb(PLAIN))
    assert msgpack.unpackb(heartbeat.encode(record)) == PLAIN
    assert json.loads(json.dumps(record.to_dict())) == PLAIN


REALS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**63 - 1)
RECORDS = st.builds(
    Record,
    cluster=TEXTS,
    cluster_name=TEXTS,
    node=TEXTS,
    incarnation=TEXTS,
    role=TEXTS,
    state=TEXTS,
    view=st.builds(ViewSummary, NUMBERS, TEXTS | st.none(), TEXTS | st.none(), st.booleans()),
    op=NUMBERS,
    sequence=NUMBERS,
    operations_per_second=REALS,
    copies=NUMBERS,
    stuck=st.booleans(),
    time=REALS,
    uptime_s=REALS,
    alive=st.dictionaries(TEXTS, st.builds(Liveness, st.booleans(), REALS), max_size=4),
    refused=st.dictionaries(TEXTS, NUMBERS, max_size=4),
)


@PATIENT
@given(RECORDS)
def test_what_goes_in_comes_out(record: Record) -> None:
    assert heartbeat.decode(heartbeat.encode(record)) == record


def test_keys_of_a_later_version_are_passed_over() -> None:
    later = PLAIN | {"colour": "blue", "weights": [1, {"deep": None}]}
    later["view"] = PLAIN["view"] | {"witness": "c"}
    later["alive"] = {"a": {"alive": True, "since": 1_699_999_990.0, "load": 0.5}}
    assert heartbeat.decode(msgpack.packb(later)) == heartbeat.decode(msgpack.packb(PLAIN))


def test_whole_numbers_are_taken_for_times() -> None:
    record = heartbeat.decode(msgpack.packb(PLAIN | {"time": 1_700_000_000}))
    assert record.time == 1_700_000_000.0
    assert type(record.time) is float


# -- junk -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"format": 2}, "format 2; this reader knows format 1 alone"),
        ({"format": "1"}, "record: format: expected a number from 0 below 2"),
        ({"node": 1}, "record: node: expected a text, got int"),
        ({"op": -1}, "record: op: expected a number"),
        ({"op": True}, "record: op: expected a number"),
        ({"stuck": 1}, "record: stuck: expected true or false, got int"),
        ({"time": float("nan")}, "record: time: expected a finite number"),
        ({"time": float("inf")}, "record: time: expected a finite number"),
        ({"time": True}, "record: time: expected a finite number, got bool"),
        ({"view": None}, "view: expected a map, got NoneType"),
        ({"view": {}}, "view: no 'number'"),
        ({"view": PLAIN["view"] | {"primary": 7}}, "view: primary: expected a text, got int"),
        ({"alive": []}, "alive: expected a map, got tuple"),
        ({"alive": {"a": True}}, "alive of 'a': expected a map, got bool"),
        ({"alive": {"a": {"alive": True}}}, "alive of 'a': no 'since'"),
        ({"refused": {"junk": "many"}}, "refused: junk: expected a number"),
        ({"refused": {b"junk": 1}}, "refused: a key is bytes, not a text"),
    ],
)
def test_a_record_that_is_none_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        heartbeat.decode(msgpack.packb(PLAIN | changed))
    assert reason in str(caught.value)


@pytest.mark.parametrize("key", PLAIN)
def test_a_missing_key_is_named(key: str) -> None:
    rest = {name: value for name, value in PLAIN.items() if name != key}
    with pytest.raises(MalformedMessage, match=f"no '{key}'"):
        heartbeat.decode(msgpack.packb(rest))


def decode_or_refuse(body: bytes) -> None:
    """Only ``MalformedMessage`` may come out."""
    try:
        record = heartbeat.decode(body)
    except MalformedMessage:
        return
    assert heartbeat.decode(heartbeat.encode(record)) == record


@PATIENT
@given(st.binary(max_size=100))
def test_random_bytes_are_refused(body: bytes) -> None:
    decode_or_refuse(body)


@PATIENT
@given(st.data())
def test_flipped_bits_and_truncations_never_raise_anything_else(data: st.DataObject) -> None:
    body = bytearray(msgpack.packb(PLAIN))
    for bit in data.draw(st.lists(st.integers(0, len(body) * 8 - 1), max_size=3)):
        body[bit // 8] ^= 1 << bit % 8
    decode_or_refuse(bytes(body))
    decode_or_refuse(bytes(body[: data.draw(st.integers(0, len(body)))]))


def test_a_record_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(MalformedMessage, match="65537 bytes; at most 65536 are read"):
        heartbeat.decode(b"\xc1" * 65_537)


# -- operations per second --------------------------------------------------------------------


def test_the_rate_is_that_of_the_last_second() -> None:
    meter = RateMeter(window_s=1.0)
    assert meter.rate(100, 10.0) == 0.0
    assert meter.rate(150, 10.5) == pytest.approx(100.0)
    for step in range(1, 21):  # ten seconds at 20 a second push the first burst out
        latest = meter.rate(150 + 10 * step, 10.5 + 0.5 * step)
    assert latest == pytest.approx(20.0)
    assert meter.rate(350, 30.0) < 20.0
    assert meter.rate(350, 31.5) == 0.0


def test_many_records_in_a_burst_do_not_shorten_the_window() -> None:
    meter = RateMeter(window_s=1.0)
    rates = [meter.rate(number, number / 1000) for number in range(5000)]
    assert rates[1:] == pytest.approx([1000.0] * 4999)
    assert len(meter._marks) < 20


def test_the_same_moment_twice_is_no_division_by_zero() -> None:
    meter = RateMeter()
    meter.rate(1, 5.0)
    assert meter.rate(2, 5.0) == 0.0


def test_an_installed_state_is_no_work_done() -> None:
    meter = RateMeter()
    meter.rate(0, 1.0)
    meter.jumped(1_000_000, 1.5)
    assert meter.rate(1_000_010, 2.0) == pytest.approx(20.0)


def test_starting_over_is_no_negative_rate() -> None:
    meter = RateMeter()
    meter.rate(500, 1.0)
    assert meter.rate(0, 1.5) == 0.0
    assert meter.rate(10, 2.0) == pytest.approx(20.0)


# -- who is alive -----------------------------------------------------------------------------


def test_since_is_the_moment_of_the_last_change() -> None:
    log = LivenessLog(["b", "a"], 100.0)
    assert dict(log.update(["a"], 101.0)) == {"a": Liveness(True, 101.0), "b": Liveness(False, 100)}
    assert log.update(["a"], 102.0)["a"] == Liveness(True, 101.0)
    assert log.update(["b"], 103.0)["a"] == Liveness(False, 103.0)
    assert log.update(["b", "stranger"], 104.0).keys() == {"a", "b"}


# -- what a reader missed ---------------------------------------------------------------------


def record(node: str, incarnation: int, sequence: int) -> Record:
    return dataclasses.replace(
        heartbeat.decode(msgpack.packb(PLAIN)),
        node=node,
        incarnation=f"{incarnation:032x}",
        sequence=sequence,
    )


def test_gaps_restarts_and_repeats_are_told_apart() -> None:
    detector = GapDetector()
    assert detector.feed(record("a", 1, 40)) == Arrival()  # what was before, nobody can know
    assert detector.feed(record("a", 1, 41)) == Arrival()
    assert detector.feed(record("a", 1, 45)) == Arrival(missed=3)
    assert detector.feed(record("a", 1, 45)) == Arrival(outdated=True)
    assert detector.feed(record("a", 1, 44)) == Arrival(outdated=True)
    assert detector.feed(record("a", 2, 1)) == Arrival(restarted=True)
    assert detector.feed(record("a", 1, 46)) == Arrival(outdated=True)
    assert detector.feed(record("a", 2, 2)) == Arrival()
    assert detector.feed(record("a", 3, 4)) == Arrival(missed=3, restarted=True)


def test_nodes_are_followed_apart() -> None:
    detector = GapDetector()
    detector.feed(record("a", 1, 1))
    assert detector.feed(record("b", 1, 5)) == Arrival()
    assert detector.feed(record("a", 1, 2)) == Arrival()
    assert detector.feed(record("b", 1, 7)) == Arrival(missed=1)

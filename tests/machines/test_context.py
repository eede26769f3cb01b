"""R26, R51: what is not deterministic comes with the stamp, and time never goes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbactors.machines.context import STAMP_BYTES, Context, next_stamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stamp_at(nanoseconds: int, entropy: bytes = bytes(8)) -> bytes:
    return nanoseconds.to_bytes(8, "big") + entropy


def test_stamps_strictly_increase():
    """R51: a new primary stamps max(clock, last + 1)."""
    stamp = b""
    for _ in range(1000):
        following = next_stamp(stamp)
        assert len(following) == STAMP_BYTES
        assert following > stamp
        stamp = following


@given(st.integers(2**62, 2**64 - 2), st.binary(min_size=8, max_size=8))
def test_a_clock_behind_the_last_stamp_goes_on_from_it(nanoseconds, entropy):
    """R51: the last executed stamp counts, whatever this host's clock says."""
    following = next_stamp(stamp_at(nanoseconds, entropy))
    assert following[:8] == (nanoseconds + 1).to_bytes(8, "big")


def test_a_stamp_tells_the_time():
    before = datetime.now(UTC)
    now = Context(next_stamp(b""), 1).now
    assert now.tzinfo is UTC
    assert before - timedelta(milliseconds=1) <= now <= datetime.now(UTC)
    assert Context(stamp_at(1_500), 1).now == EPOCH + timedelta(microseconds=1)


@pytest.mark.parametrize("stamp", [b"", stamp_at(5_000)])
def test_a_query_has_the_time_of_the_last_command_and_nothing_else(stamp):
    """R51: queries never advance it."""
    context = Context(stamp, 0)
    assert context.now == EPOCH + timedelta(microseconds=5 if stamp else 0)
    with pytest.raises(RuntimeError, match=r"context\.random in a query"):
        _ = context.random
    with pytest.raises(RuntimeError, match=r"context\.new_id in a query"):
        context.new_id()


def test_junk_is_no_stamp():
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        next_stamp(b"abc")
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        _ = Context(b"abc", 1).now


@given(st.binary(min_size=16, max_size=16), st.integers(1, 2**40))
def test_two_copies_draw_the_same(stamp, op_number):
    """R26: both copies derive the same from stamp and op number."""
    one, other = Context(stamp, op_number), Context(stamp, op_number)
    assert [one.new_id() for _ in range(3)] == [other.new_id() for _ in range(3)]
    assert [one.random.random() for _ in range(3)] == [other.random.random() for _ in range(3)]
    assert one.random.getstate() == other.random.getstate()


def test_ids_are_unique_over_stamps_ops_and_calls():
    stamps = [stamp_at(time, entropy * 8) for time in (1, 2) for entropy in (b"\x00", b"\x01")]
    contexts = [Context(stamp, op_number) for stamp in stamps for op_number in range(1, 50)]
    ids = [context.new_id() for context in contexts for _ in range(5)]
    assert len(set(ids)) == len(ids)
    assert all(str(UUID(spelled)) == spelled and UUID(spelled).version == 4 for spelled in ids)


def test_ids_do_not_depend_on_what_was_drawn():
    drawn, undrawn = Context(stamp_at(1), 1), Context(stamp_at(1), 1)
    drawn.random.random()
    assert drawn.new_id() == undrawn.new_id()

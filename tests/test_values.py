"""What goes in comes out, with exact types; everything else is refused by name (design, 4)."""

from __future__ import annotations

import math
import struct
import tracemalloc
from collections import OrderedDict, namedtuple
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from itertools import islice
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbactors.errors import MalformedMessage, UnsupportedValue
from pbactors.values import (
    DEPTH_MAX,
    Assembler,
    Splitter,
    check_state,
    pack,
    pack_atoms,
    split,
    unpack,
    unpack_atoms,
)

# -- what is supported ---------------------------------------------------------------------------

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC", "Pacific/Apia"]

offsets = st.integers(-86_399_999_999, 86_399_999_999).map(
    lambda microseconds: timezone(timedelta(microseconds=microseconds))
)
moments = st.builds(
    lambda moment, fold: moment.replace(fold=fold),
    st.datetimes(timezones=st.sampled_from([ZoneInfo(key) for key in ZONES]) | offsets),
    st.integers(0, 1),
)
integers = (
    st.integers()
    | st.integers(-(2**400), 2**400)
    | st.sampled_from(
        [
            sign * 2**bits + step
            for bits in (31, 32, 63, 64, 128)
            for sign in (1, -1)
            for step in (-1, 0, 1)
        ]
    )
)
atoms = (
    st.none()
    | st.booleans()
    | integers
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | moments
)
keys = st.recursive(
    atoms, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
values = st.recursive(
    atoms | st.sets(keys, max_size=4) | st.frozensets(keys, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=25,
)


def exact(value: object) -> object:
    """Return something that is equal exactly where values are, in type, order and every bit."""
    kind = type(value)
    if kind is float:
        return kind, struct.pack(">d", value)
    if kind is datetime:
        zone = value.tzinfo
        name = zone.key if type(zone) is ZoneInfo else value.utcoffset()
        return kind, value.replace(tzinfo=None, fold=0), value.fold, type(zone), name
    if kind in (list, tuple):
        return kind, tuple(exact(item) for item in value)
    if kind is dict:
        return kind, tuple((exact(key), exact(item)) for key, item in value.items())
    if kind in (set, frozenset):
        return kind, frozenset((exact(item), i) for i, item in enumerate(sorted(value, key=pack)))
    return kind, value


def join(pieces: list[bytes]) -> object:
    assembler = Assembler()
    for piece in pieces:
        assembler.add(piece)
    return assembler.finish()


@given(values)
@settings(max_examples=300)
def test_what_goes_in_comes_out(value):
    """Values come back as what they were, by pack and unpack."""
    data = pack(value)
    assert exact(unpack(data)) == exact(value)
    assert pack(unpack(data)) == data


@given(st.lists(values, max_size=4) | st.lists(atoms, max_size=4))
@settings(max_examples=300)
def test_the_short_way_of_packing_gives_the_same_bytes_or_nothing(value):
    """``pack_atoms`` may leave a list to ``pack``, and never says anything else."""
    assert pack_atoms(value) in (None, pack(value))
    if {int, str, bytes, type(None)}.issuperset(map(type, value)):
        assert pack_atoms(value) is not None


@given(st.binary(max_size=40) | st.lists(values, max_size=4).map(pack) | values.map(pack))
@settings(max_examples=500)
def test_the_short_way_of_unpacking_gives_the_same_value_or_nothing(data):
    """``unpack_atoms`` may leave bytes to ``unpack``, and never reads anything else."""
    value = unpack_atoms(data)
    if value is not None:
        assert type(value) is list
        assert exact(unpack(data)) == exact(value)


def test_the_short_ways_are_left_where_they_must_be():
    assert pack_atoms(["\ud800"]) is None
    assert pack_atoms([2**70]) == pack([2**70])
    assert unpack_atoms(pack(["x" * 5000])) is None
    assert unpack_atoms(pack([1, (2,)])) is None
    assert unpack_atoms(pack([1, "two"])) == [1, "two"]


@given(values, st.sampled_from([1, 64, 100, 1000]))
@settings(max_examples=300)
def test_what_goes_in_comes_out_in_pieces(value, piece_bytes_max):
    """Values come back as what they were, by split and Assembler; equal ones give equal bytes."""
    value = unpack(pack(value))  # no object is held twice
    pieces = list(split(value, piece_bytes_max))
    again = join(pieces)
    assert exact(again) == exact(value)
    assert list(split(again, piece_bytes_max)) == pieces
    assert max(map(len, pieces)) <= max(piece_bytes_max, 64) + 32


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -math.nan,
        -0.0,
        math.inf,
        True,
        1,
        1.0,
        2**63,
        2**64,
        -(2**63) - 1,
        10**5000,
        "",
        b"",
        (),
        [],
        {},
        set(),
        frozenset(),
        {(): [], frozenset(): {}},
        {(1, 2**70): 1, frozenset({(True, 2.5)}): 2, None: 3, b"x": 4, 1.5: 5},
        [[1], (1,), {1}, frozenset({1}), {1: 1}],
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23, seconds=59, microseconds=7))),
        datetime.max.replace(tzinfo=UTC),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_values_on_the_edge(value):
    assert exact(unpack(pack(value))) == exact(value)
    assert exact(join(list(split(value, 64)))) == exact(value)


def test_sets_are_canonical_and_dicts_keep_their_order():
    """Sets are written in a canonical order; the order of a dict is part of its value."""
    # These collide in small tables, so that the order of insertion shows.
    one, other = set(range(0, 80_000, 8)), set(range(79_992, -1, -8))
    assert one == other
    assert list(one) != list(other)
    assert pack(one) == pack(other)
    assert list(split(one, 1000)) == list(split(other, 1000))
    assert pack({1: 1, 2: 2}) != pack({2: 2, 1: 1})


def test_deeply_nested_frozensets_take_no_more_time_per_level():
    nested: object = frozenset()
    for _ in range(DEPTH_MAX - 1):
        nested = frozenset({nested})
    assert unpack(pack(nested)) == nested


# -- what is not ---------------------------------------------------------------------------------


class Color(IntEnum):
    RED = 1


Point = namedtuple("Point", "x y")

REFUSED = [
    (Decimal("1"), "Decimal"),
    (Fraction(1, 2), "Fraction"),
    (date(2024, 1, 1), "date"),
    (timedelta(1), "timedelta"),
    (object(), "object"),
    (print, "builtin_function_or_method"),
    (Color.RED, "Color, a subclass of int"),
    (Point(1, 2), "Point, a subclass of tuple"),
    (OrderedDict(), "OrderedDict, a subclass of dict"),
    (bytearray(b"x"), "bytearray; make it bytes"),
    (memoryview(b"x"), "memoryview; make it bytes"),
    (msgpack.ExtType(1, b"t"), "ExtType, a subclass of tuple"),
    (msgpack.Timestamp(1), "Timestamp"),
    ("a\ud800", "a str with a lone surrogate"),
    (datetime(2024, 1, 1), "a datetime without a time zone"),  # noqa: DTZ001
    (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")), "name of its own"),
    (datetime(2024, 1, 1, tzinfo=ZoneInfo.no_cache("Europe/Berlin")), "no key gives again"),
]


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_everything_else_is_refused_by_name(value, reason):
    """Anything else raises UnsupportedValue, naming where it stands."""
    for refuse in (pack, check_state, lambda value, what: list(split(value, 100, what))):
        with pytest.raises(UnsupportedValue) as error:
            refuse({"x": [1, "…", value]}, "argument 'when'")
        assert str(error.value).startswith("argument 'when', ['x'][2]: ")
        assert reason in str(error.value)


def test_the_text_says_what_is_supported():
    with pytest.raises(UnsupportedValue) as error:
        pack(Decimal("1"), "result of Bank.deposit")
    assert str(error.value) == (
        "result of Bank.deposit: Decimal; supported are None, bool, int, float, str, bytes, list, "
        "tuple, dict, set, frozenset and aware datetime"
    )


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({Decimal("1"): 1}, "value, a key: Decimal"),
        ({(1, Decimal("1")): 1}, "value, a key[1]: Decimal"),
        ([{Decimal("1")}], "value, [0], an element: Decimal"),
        ({10**5000: Decimal("1")}, "value, [a large int]: Decimal"),
        ({"k" * 1000: Decimal("1")}, f"value, ['{'k' * 40}'…]: Decimal"),
        ({(1,): Decimal("1")}, "value, [a tuple]: Decimal"),
        ({b"x": {None: Decimal("1")}}, "value, [b'x'][None]: Decimal"),
    ],
)
def test_places_are_named_and_bounded(value, place):
    with pytest.raises(UnsupportedValue) as error:
        pack(value)
    assert str(error.value).startswith(place)


def nested_lists(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_alike_everywhere():
    deepest, too_deep = nested_lists(DEPTH_MAX), nested_lists(DEPTH_MAX + 1)
    assert unpack(pack(deepest)) == deepest
    assert join(list(split(deepest, 64))) == deepest
    check_state(deepest)
    for refuse in (pack, check_state, lambda value: list(split(value, 64))):
        with pytest.raises(UnsupportedValue, match=r"\[0\]\[0\].*nested deeper than 100 levels"):
            refuse(too_deep)
    with pytest.raises(MalformedMessage, match="nested deeper"):
        unpack(b"\x91" * (DEPTH_MAX + 1) + b"\x00")


def test_a_large_text_at_the_deepest_place_is_split():
    deepest: object = "ä" * 1000
    for _ in range(DEPTH_MAX):
        deepest = [deepest]
    assert join(list(split(deepest, 64))) == deepest


def test_cycles_are_refused():
    """Mutable objects that hold themselves have no form."""
    cycle: list[object] = []
    cycle += [1, cycle, cycle]
    for refuse in (pack, check_state, lambda value: list(split(value, 64))):
        with pytest.raises(UnsupportedValue, match=r"value, |state, "):
            refuse(cycle)


@pytest.mark.parametrize("size", [1, 1000], ids=["whole", "opened"])
@pytest.mark.parametrize("kind", [list, dict, set])
def test_a_state_that_holds_one_object_twice_is_refused(kind, size):
    """R52: what would not round-trip is refused: a copy would hold two objects instead of one."""
    shared = kind.fromkeys(range(size)) if kind is dict else kind(range(size))
    state = {"a": [shared], "b": ({"x": shared},)}
    for refuse in (check_state, lambda value, what: list(split(value, 64, what))):
        with pytest.raises(UnsupportedValue) as error:
            refuse(state, "attributes of Bank")
        assert str(error.value).startswith(
            f"attributes of Bank, ['b'][0]['x']: a {kind.__name__} that the state holds elsewhere"
        )
    assert unpack(pack(state)) == state  # an argument or a result is copied


def test_immutable_objects_may_be_shared():
    shared = (1, "x", frozenset({1}))
    state = [shared, shared, {shared: shared}]
    check_state(state)
    assert join(list(split(state, 64))) == state


def test_check_state_looks_at_no_more_than_it_is_asked_to():
    check_state([1, 2, 3, Decimal("1")], values_max=4)
    with pytest.raises(UnsupportedValue):
        check_state([1, 2, 3, Decimal("1")], values_max=5)


# -- untrusted bytes -----------------------------------------------------------------------------


@given(st.binary(max_size=300) | st.lists(st.integers(0x80, 0xDF)).map(bytes))
@settings(max_examples=500)
def test_junk_raises_nothing_but_malformed_message(data):
    """Junk is refused, or is a value like any other; no other exception gets out."""
    with suppress(MalformedMessage):
        value = unpack(data)
        assert exact(unpack(pack(value))) == exact(value)
    with pytest.raises(MalformedMessage):
        join([data])


@given(values, st.data())
@settings(max_examples=300)
def test_damaged_values_raise_nothing_but_malformed_message(value, data):
    packed = bytearray(data.draw(st.sampled_from([pack(value), *split(unpack(pack(value)), 64)])))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] = data.draw(st.integers(0, 255))
    for read in (unpack, lambda damaged: join([damaged])):
        with suppress(MalformedMessage):
            pack(read(bytes(packed)))


EXTENSIONS = {
    "an unknown extension": msgpack.ExtType(9, b""),
    "an unknown shape": msgpack.ExtType(1, b"x"),
    "a shape of a stream": msgpack.ExtType(1, b"L"),
    "a shape alone": msgpack.ExtType(1, b"t"),
    "a small integer": msgpack.ExtType(2, b"\x01"),
    "no integer": msgpack.ExtType(2, b""),
    "a padded integer": msgpack.ExtType(2, bytes(3) + b"\x01" + bytes(9)),
    "a short datetime": msgpack.ExtType(3, b"\x00"),
    "month 13": msgpack.ExtType(3, struct.pack(">HBBBBBIBq", 2024, 13, 1, 0, 0, 0, 0, 0, 0)),
    "flag 4": msgpack.ExtType(3, struct.pack(">HBBBBBIBq", 2024, 1, 1, 0, 0, 0, 0, 4, 0)),
    "an offset of a day": msgpack.ExtType(
        3, struct.pack(">HBBBBBIBq", 2024, 1, 1, 0, 0, 0, 0, 0, 86_400_000_000)
    ),
    "half an offset": msgpack.ExtType(3, struct.pack(">HBBBBBIBi", 2024, 1, 1, 0, 0, 0, 0, 0, 0)),
    **{
        f"time zone {key!r}": msgpack.ExtType(
            3, struct.pack(">HBBBBBIB", 2024, 1, 1, 0, 0, 0, 0, 2) + key
        )
        for key in (b"", b"Nowhere", b"../etc/passwd", b"/etc/passwd", b"Europe", b"\xff", b"a\x00")
    },
}


@pytest.mark.parametrize("extension", EXTENSIONS.values(), ids=EXTENSIONS.keys())
def test_wrong_extensions_are_refused(extension):
    with pytest.raises(MalformedMessage):
        unpack(msgpack.packb([1, extension]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({(msgpack.ExtType(1, b"t"),): 1}, None),
        ([1, msgpack.ExtType(1, b"t")], "a shape outside"),
        ([msgpack.ExtType(1, b"t"), msgpack.ExtType(1, b"s")], "a shape outside"),
        ({msgpack.ExtType(1, b"t"): 1}, "a shape outside"),
        ([msgpack.ExtType(1, b"s"), 1, True], "the same element twice"),
        ([msgpack.ExtType(1, b"f"), [1]], "unhashable"),
        ({(1, 2): 1}, "unhashable"),
    ],
)
def test_shapes_stand_where_they_belong(content, reason):
    data = msgpack.packb(content)
    if reason is None:
        unpack(data)
    else:
        with pytest.raises(MalformedMessage, match=reason):
            unpack(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "incomplete"),
        (b"\x01\x01", "extra"),
        (b"\xc1", "FormatError|Unknown header"),
        (b"\xa1\xff", "utf-8"),
        (b"\x82\x01\x01\x01\x02", "the same key twice"),
        (b"\x82\x01\x01\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\x02", "the same key twice"),
        (b"\x91" * 3000, "StackError|No more data"),
        (b"\xd6\xff\x00\x00\x00", "incomplete"),
    ],
)
def test_no_values_are_refused_with_a_reason(data, reason):
    with pytest.raises(MalformedMessage, match=reason):
        unpack(data)


def test_a_timestamp_of_msgpack_is_a_datetime():
    assert exact(unpack(b"\xd6\xff\x00\x00\x00\x01")) == exact(
        datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd" + struct.pack(">I", 1_000_000) + b"\x80" * 1_000_000,
        b"\xdd" + struct.pack(">I", 1_000_000) + b"\x90" * 1_000_000,
        (b"\xdd" + struct.pack(">I", 900_000)) * 1000 + b"\x80" * 900_000,
        b"\xdf" + struct.pack(">I", 500_000) + b"\x80" * 1_000_000,
    ],
    ids=["maps", "arrays", "lengths", "map of maps"],
)
def test_a_megabyte_of_nothing_takes_no_hundred_megabytes(data):
    """Bounded memory: a megabyte of empty maps would become 73 MB of objects."""
    tracemalloc.start()
    try:
        with pytest.raises(MalformedMessage):
            unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_what_would_be_refused_when_read_is_refused_when_written():
    nothing = [{} for _ in range(200_000)]
    with pytest.raises(UnsupportedValue, match="200001 containers in 200005 bytes"):
        pack(nothing)
    rows = [(number, "name") for number in range(200_000)]
    assert unpack(pack(rows)) == rows
    assert join(list(split(nothing, 16 * 1024 * 1024))) == nothing


# -- pieces --------------------------------------------------------------------------------------


LARGE = {
    "dict": {f"key {number}": number for number in range(5000)},
    "dict of dicts": {number: {inner: str(inner) for inner in range(70)} for number in range(70)},
    "list": list(range(10_000)),
    "tuple": tuple(str(number) for number in range(10_000)),
    "set": set(range(10_000)),
    "frozenset": frozenset(map(str, range(10_000))),
    "text": "straße " * 5000,
    "ascii": "x" * 50_000,
    "bytes": bytes(range(256)) * 200,
    "int": -(7**20_000),
    "key": {("x" * 5000, frozenset(range(2000))): [{"y" * 5000: 1}]},
    "deep": [[[{"x": [(list(range(5000)),)]}]]],
    "mixed": {"a": [{}] and [[] for _ in range(3000)], "b": {b"x" * 3000: (1, {2: {3}})}},
}


@pytest.mark.parametrize("piece_bytes_max", [64, 1000, 20_000])
@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE.keys())
def test_large_values_are_split_at_any_depth(value, piece_bytes_max):
    """A snapshot is an iterator of bounded pieces; a single large value splits into many."""
    pieces = list(split(value, piece_bytes_max))
    assert exact(join(pieces)) == exact(value)
    assert max(map(len, pieces)) <= piece_bytes_max + 32
    assert len(pieces) >= len(pack(value)) // piece_bytes_max


def test_a_large_dict_splits_into_many_pieces():
    value = {f"key {number}": f"value {number}" for number in range(100_000)}
    pieces = list(split(value, 64 * 1024))
    assert 30 < len(pieces) < 100
    assert max(map(len, pieces)) <= 64 * 1024
    assert list(join(pieces).items()) == list(value.items())


def test_splitting_is_lazy():
    """Work is done as pieces are asked for: what is behind the first ones is not looked at."""
    value = [[number] for number in range(100_000)] + [Decimal("1")]
    pieces = split(value, 1000)
    assert len(list(islice(pieces, 10))) == 10
    with pytest.raises(UnsupportedValue, match=r"value, \[100000\]: Decimal"):
        list(pieces)


def test_loading_is_incremental():
    """Values of a stream are there as soon as their last piece is."""
    splitter = Splitter(64)
    pieces: list[bytes] = []
    for number in range(100):
        pieces += splitter.add([number, "x" * 30], "row")
    pieces.append(splitter.finish())
    assembler = Assembler()
    arrived = [assembler.add(piece) for piece in pieces]
    assert [row for rows in arrived for row in rows] == [[n, "x" * 30] for n in range(100)]
    assert max(map(len, arrived)) <= 2
    assert assembler.finish() == [99, "x" * 30]


def test_a_text_without_a_form_is_refused_by_the_value_that_has_it():
    splitter = Splitter(1000)
    assert list(splitter.add("fine")) == []
    with pytest.raises(UnsupportedValue, match=r"second, \[0\]: a str with a lone surrogate"):
        list(splitter.add(["\ud800"], "second"))


def test_missing_repeated_and_foreign_pieces_are_refused():
    pieces = list(split(list(range(1000)), 100))
    foreign = list(split(list(range(1, 1001)), 100))
    for wrong in (
        pieces[1:],
        pieces[:1] + pieces[:1],
        pieces[:1] + pieces[2:],
        pieces[:2] + foreign[2:3],
        pieces[:-1],
        [*pieces, pieces[-1]],
        [],
    ):
        with pytest.raises(MalformedMessage):
            join(wrong)


def test_nothing_follows_a_refused_piece():
    pieces = list(split(list(range(1000)), 100))
    assembler = Assembler()
    assembler.add(pieces[0])
    with pytest.raises(MalformedMessage):
        assembler.add(b"junk")
    with pytest.raises(MalformedMessage, match="after one that was refused"):
        assembler.add(pieces[1])
    with pytest.raises(MalformedMessage):
        assembler.finish()


def shape(letter: bytes) -> msgpack.ExtType:
    return msgpack.ExtType(1, letter)


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ([shape(b"E")], "an end of nothing"),
        ([shape(b"L")], "pieces are missing"),
        ([shape(b"D"), [1], shape(b"E")], "a key without a value"),
        ([shape(b"D"), [1, 2, 1, 3], shape(b"E")], "the same key twice"),
        ([shape(b"D"), [[], 3], shape(b"E")], "unhashable"),
        ([shape(b"S"), [1, 1], shape(b"E")], "the same element twice"),
        ([shape(b"U"), [1], shape(b"E")], "expected str"),
        ([shape(b"I"), [b"\x01"], shape(b"E")], "shortest form"),
        ([[shape(b"E")]], "a shape where none can stand"),
        ([[[shape(b"L")]]], "a shape where none can stand"),
        ([5], "no token"),
        ([shape(b"t"), [1]], "no piece"),
        ([], "pieces are missing"),
        ([shape(b"L")] * 1000, "nested deeper"),
        ([shape(b"L")] * 60 + [[nested_lists(41)]], "nested deeper"),
    ],
)
def test_pieces_that_no_splitter_makes_are_refused(tokens, reason):
    with pytest.raises(MalformedMessage, match=reason):
        join([msgpack.packb([0, 0, True, tokens])])

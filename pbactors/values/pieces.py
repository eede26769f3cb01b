"""The form of pieces: how a value of any size travels.

A piece is ``[index, checksum of all pieces before, last, tokens]``. A token is an array of whole
values that belong to what is open, or a shape that opens or ends something that is not whole in one
piece. In an open dict, keys and values alternate; an open str, bytes or int takes its parts.
"""

from __future__ import annotations

from typing import Final

from pbactors.values.packing import SHAPES, Shape
from pbactors.values.supported import CONTAINERS

__all__ = ["END", "OPEN", "OPEN_CONTAINERS", "STREAM_SHAPES"]

OPEN: Final[dict[type, Shape]] = {
    kind: Shape(letter)
    for kind, letter in (
        (list, b"L"),
        (tuple, b"T"),
        (set, b"S"),
        (frozenset, b"F"),
        (dict, b"D"),
        (str, b"U"),
        (bytes, b"B"),
        (int, b"I"),
    )
}
"""The shape that opens a value of each type."""

OPEN_CONTAINERS: Final = frozenset(OPEN[kind] for kind in CONTAINERS)
END: Final = Shape(b"E")
STREAM_SHAPES: Final = SHAPES | {shape.letter: shape for shape in (*OPEN.values(), END)}
"""Every shape that may stand in a piece, by its letter."""

"""Incarnations for real nodes: ordered by start time, then by chance (R47)."""

from __future__ import annotations

import secrets
import time

from pbactors.errors import StartError
from pbactors.protocol.view import FRESH, INCARNATION_BYTES, Incarnation

__all__ = ["new_incarnation"]


def new_incarnation(newest: Incarnation = FRESH) -> Incarnation:
    """Return an incarnation for a new life, above ``newest`` even if the clock went back.

    The first 8 bytes are nanoseconds since 1970, the others random: two lives that start at the
    same moment are still told apart.

    Raises:
        StartError: there is none above.
    """
    incarnation = time.time_ns().to_bytes(8, "big") + secrets.token_bytes(8)
    if incarnation > newest:
        return incarnation
    above = int.from_bytes(newest, "big") + 1
    if above.bit_length() > 8 * INCARNATION_BYTES:
        raise StartError(
            "the view server has heard the highest incarnation there is under this node's name, "
            "which no clock gives: it was forged; form the cluster anew"
        )
    return above.to_bytes(INCARNATION_BYTES, "big")

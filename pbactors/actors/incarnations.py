"""Incarnations for real nodes: ordered by start time, then by chance (R47)."""

from __future__ import annotations

import secrets
import time

from pbactors.protocol.view import FRESH, Incarnation

__all__ = ["new_incarnation"]


def new_incarnation(newest: Incarnation = FRESH) -> Incarnation:
    """Return an incarnation for a new life, above ``newest`` even if the clock went back.

    The first 8 bytes are nanoseconds since 1970, the others random: two lives that start at the
    same moment are still told apart.
    """
    start_ns = max(time.time_ns(), int.from_bytes(newest[:8], "big") + 1)
    return start_ns.to_bytes(8, "big") + secrets.token_bytes(8)

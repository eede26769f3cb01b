"""What is not deterministic, brought in from outside: time, randomness, new ids (R26).

The primary takes one *stamp* per batch of commands. The stamp travels with the commands, and every
copy derives the same :class:`Context` from it and from the command's place in the order.

A stamp is 16 bytes: nanoseconds since 1970 in UTC (8, big-endian), then 8 random ones. Stamps
strictly increase as bytes, across failovers too, because a new primary goes on from the last
executed one (R51). So ``now`` never goes back, even where the clocks of two hosts differ.
"""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

__all__ = ["STAMP_BYTES", "Context", "next_stamp"]

STAMP_BYTES = 16
_TIME_BYTES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def next_stamp(last: bytes) -> bytes:
    """Return a new stamp, higher than ``last``: the clock's, or one nanosecond after ``last``.

    Args:
        last: the stamp before; empty if there is none.

    Raises:
        ValueError: ``last`` is no stamp.
    """
    floor_ns = _nanoseconds(last) + 1 if last else 0
    now_ns = max(time.time_ns(), floor_ns)
    return now_ns.to_bytes(_TIME_BYTES, "big") + os.urandom(STAMP_BYTES - _TIME_BYTES)


def _nanoseconds(stamp: bytes) -> int:
    if len(stamp) != STAMP_BYTES:
        raise ValueError(f"a stamp has {STAMP_BYTES} bytes, not {len(stamp)}")
    return int.from_bytes(stamp[:_TIME_BYTES], "big")


class Context:
    """What a command may know besides its arguments and the state. The same on every copy.

    Made anew for each command and query; not thread-safe. How ``random`` goes on from its seed is
    up to Python, so all replicas should run the same version of it.

    Args:
        stamp: the stamp of the command; for a query that of the last executed command, empty
            before any.
        op_number: the command's place in the order, from 1; 0 for a query.
    """

    __slots__ = ("_ids", "_op_number", "_random", "_stamp")

    def __init__(self, stamp: bytes, op_number: int) -> None:
        self._stamp = stamp
        self._op_number = op_number
        self._random: Random | None = None
        self._ids = 0

    @property
    def now(self) -> datetime:
        """When the primary ordered the command, in UTC, to the microsecond. Never goes back.

        In a query it is the time of the last executed command, before any command 1970-01-01.
        """
        elapsed_ns = _nanoseconds(self._stamp) if self._stamp else 0
        return _EPOCH + timedelta(microseconds=elapsed_ns // 1000)

    @property
    def random(self) -> Random:
        """A generator of random numbers of this command's own, not for secrets.

        Raises:
            RuntimeError: in a query, which has no place in the order to draw from.
        """
        self._refuse_query("random")
        if self._random is None:
            self._random = Random(self._seed())
        return self._random

    def new_id(self) -> str:
        """Return an id that no other call returns, spelled like a random UUID.

        Raises:
            RuntimeError: in a query, since what it makes is not part of the state.
        """
        self._refuse_query("new_id")
        self._ids += 1
        seed = self._seed() + self._ids.to_bytes(8, "big")
        digest = hashlib.blake2b(seed, digest_size=16, person=b"pbactors id").digest()
        return str(UUID(bytes=digest, version=4))

    def _seed(self) -> bytes:
        return self._stamp + self._op_number.to_bytes(8, "big")

    def _refuse_query(self, name: str) -> None:
        if self._op_number == 0:
            raise RuntimeError(f"context.{name} in a query; only commands have one")

"""The commands that have their place in the order and are not yet known to be on every copy (R51).

The log is one row of batches. Its front may be executed already, where the primary answers alone
while it fills a backup (R33); what is executed waits there for the backup, what is not waits to be
committed. Its front, too, is what was forwarded: a window of batches that are under way.

A place in the order is for ever: a batch is forwarded again, in this view or a later one, with the
op numbers and the stamp it was given first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeAlias

from pbactors.protocol.operations import BODY_OF, Operation

__all__ = ["CommandLog", "OrderedBatch", "StampSource"]

StampSource: TypeAlias = Callable[[bytes], bytes]
"""Returns a new stamp, higher than the given last one (R26, R51)."""

OPERATION_BYTES = 64
"""What an operation costs in memory besides its body, about."""


class OrderedBatch(NamedTuple):
    """Commands that have their place in the order: what a forward carries.

    Attributes:
        first: the op number of the first of them.
        end: that of the last.
        stamp: of all of them.
        operations: what they are.
    """

    first: int
    end: int
    stamp: bytes
    operations: tuple[Operation, ...]


class CommandLog:
    """A primary's log, over one unbroken time as primary.

    Args:
        op: the last op number executed before.
        stamp: the stamp of that operation.
        stamps: source of stamps.

    Attributes:
        end: the last op number that is given away.
        size_bytes: about what the log takes in memory.
    """

    def __init__(self, op: int, stamp: bytes, stamps: StampSource) -> None:
        self.end = op
        self.size_bytes = 0
        self._stamp = stamp
        self._stamps = stamps
        self._batches: deque[OrderedBatch] = deque()
        self._sizes_bytes: deque[int] = deque()  # of each batch
        self._forwarded = 0
        self._executed = 0

    def order(self, operations: tuple[Operation, ...]) -> None:
        """Give these commands the next places."""
        self._stamp = self._stamps(self._stamp)
        first, self.end = self.end + 1, self.end + len(operations)
        self._batches.append(OrderedBatch(first, self.end, self._stamp, operations))
        size_bytes = OPERATION_BYTES * len(operations) + sum(map(len, map(BODY_OF, operations)))
        self._sizes_bytes.append(size_bytes)
        self.size_bytes += size_bytes

    # -- forwarding ---------------------------------------------------------------------------

    @property
    def forwarded(self) -> int:
        """How many batches are under way to the backup."""
        return self._forwarded

    @property
    def is_forwarded(self) -> bool:
        """Whether all of it is under way."""
        return self._forwarded == len(self._batches)

    def forward(self) -> OrderedBatch:
        """Return the next batch to send; it counts as under way."""
        self._forwarded += 1
        return self._batches[self._forwarded - 1]

    def forward_again(self) -> None:
        """Nothing is under way any more."""
        self._forwarded = 0

    # -- executing ----------------------------------------------------------------------------

    @property
    def is_executed(self) -> bool:
        """Whether nothing in it waits to be committed."""
        return self._executed == len(self._batches)

    def next_batch(self) -> OrderedBatch:
        """Return the first batch that is not wholly executed."""
        return self._batches[self._executed]

    def batch_is_executed(self) -> None:
        """``next_batch`` is wholly executed."""
        self._executed += 1

    def forget(self, op: int) -> None:
        """Drop the batches up to ``op``: they are executed, and on every copy that matters."""
        batches = self._batches
        while batches and self._executed and batches[0].end <= op:
            batches.popleft()
            self.size_bytes -= self._sizes_bytes.popleft()
            self._executed -= 1
            self._forwarded = max(0, self._forwarded - 1)

    # -- copies -------------------------------------------------------------------------------

    def clone(self) -> CommandLog:
        """Return an independent copy."""
        copy = object.__new__(CommandLog)
        copy.__dict__.update(self.__dict__)
        copy._batches = deque(self._batches)
        copy._sizes_bytes = deque(self._sizes_bytes)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (tuple(self._batches), self.end, self._stamp, self._forwarded, self._executed)

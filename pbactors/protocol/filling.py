"""The filling of a new backup, as its primary sees it (R33, R34).

While the state travels the primary goes on answering alone, and keeps what it executes in its log.
Once the state is installed the log follows it. When all of the log is under way the primary stops
answering alone, and joins the view as soon as the backup has confirmed everything that was
executed. Only then does it ping the view's number, and only then can the backup be promoted: so
whoever may be promoted holds everything that anyone was told.

Where the state changes under a snapshot that is being read (a class that cannot do otherwise), or
where an answer needs two copies, nothing is answered meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from pbactors.errors import InvariantViolated
from pbactors.protocol.command_log import CommandLog
from pbactors.protocol.state import ReplicatedState
from pbactors.protocol.state_transfer import OutgoingTransfer

__all__ = ["Filling"]

CREDIT_MAX = 1024
"""How many commands a primary may execute alone ahead of its backup's confirmations."""

PIECES_AT_ONCE = 4
"""So many new pieces of the state are made in one flush while nobody calls. While somebody does it
is one, since a call waits for what the flush makes, and two beside many calls, which wait for each
other anyway. One alone would mean that the backup waits for each.
"""

QUIET_FLUSHES = 8
"""Nobody calls when so many flushes had no request."""


class Filling:
    """One filling, from the view's beginning until the view is joined.

    Args:
        transfer: what is sent.
        state: what the backup is to become; at the transfer's op number.
        alone: whether the primary answers alone meanwhile.

    Attributes:
        transfer: what is sent; None once it is installed or was given up.
        alone: whether the primary still answers alone.
        installed: whether the backup has said that its state is installed.
        confirmed: the last op number that the backup has said it holds.
        given_up: why this backup can never be filled, or empty.
    """

    def __init__(self, transfer: OutgoingTransfer, state: ReplicatedState, alone: bool) -> None:
        self.transfer: OutgoingTransfer | None = transfer
        self.alone = alone
        self.installed = False
        self.confirmed = transfer.base
        self.given_up = ""
        self._quiet = QUIET_FLUSHES  # flushes since a client asked for something
        self._many = False  # whether it asked for several things at once
        # After the state is installed: one command alone for two that the backup has caught up
        # with, so that the log shrinks and clients are served all the time.
        self._credit = 0
        # of what was executed here, by op number, for what the backup has not confirmed
        self._digests: deque[tuple[int, int]] = deque([(state.op, state.digest)])

    def room(self, log: CommandLog, catch_up_bytes_max: int) -> int:
        """Return how many commands may be executed alone now."""
        if not self.alone:
            return 0
        if self.installed:
            return self._credit
        return CREDIT_MAX if log.size_bytes < catch_up_bytes_max else 0

    def asked(self, calls: int) -> None:
        """A client has sent so many calls."""
        self._quiet = 0
        self._many = calls > 1

    def next_pieces(self) -> int:
        """Return how many new pieces are to be made in this flush."""
        self._quiet += self._quiet < QUIET_FLUSHES
        if self._quiet == QUIET_FLUSHES:
            return PIECES_AT_ONCE
        return 2 if self._many else 1

    def executed(self, count: int, state: ReplicatedState) -> None:
        """The primary has executed so many commands alone, up to the op number of ``state``."""
        if self.given_up:
            return
        if self.installed:
            self._credit -= count
        self._digests.append((state.op, state.digest))

    def agrees(self, op: int, digest: int) -> bool:
        """Tell whether the backup came to the same results up to ``op``, executed here (R50).

        Raises:
            InvariantViolated: no batch ends with this op number.
        """
        while self._digests and self._digests[0][0] < op:
            self._digests.popleft()
        if not self._digests or self._digests[0][0] != op:
            raise InvariantViolated(f"R34: op {op} is confirmed, where no batch ends")
        return self._digests[0][1] == digest

    def on_confirm(self, op: int) -> None:
        """The backup holds everything up to ``op``."""
        if not self.installed:
            self.installed = True
            self.transfer = None
        self._credit = min(CREDIT_MAX, self._credit + 1 + (op - self.confirmed) // 2)
        self.confirmed = op

    def stop_alone(self) -> None:
        """Answer nothing alone any more: what is executed now only waits for the backup."""
        self.alone = False

    def give_up(self, reason: str, alone: bool) -> None:
        """This backup cannot be filled; go on alone, if one copy is enough."""
        self.transfer = None
        self.alone = alone
        self.given_up = reason

    # -- copies -------------------------------------------------------------------------------

    def clone(self) -> Filling:
        """Return an independent copy."""
        copy = object.__new__(Filling)
        copy.__dict__.update(self.__dict__)
        copy.transfer = None if self.transfer is None else self.transfer.clone()
        copy._digests = deque(self._digests)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            None if self.transfer is None else self.transfer.freeze(),
            (self.alone, self.installed, self.confirmed, self.given_up, self._credit),
            (self._quiet, self._many),
            tuple(self._digests),
        )

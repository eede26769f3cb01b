"""State transfer, both ends: a whole state in bounded pieces (R20-R23, R34, R53).

The primary takes pieces from a snapshot one after another and keeps a window of them until they are
acknowledged; the backup gathers them beside its own state, in order, and swaps the result in whole.
Loading happens piece by piece as they arrive, so neither end ever stops for the whole state.

A transfer is named by (view, attempt). The view's number alone would not do: two attempts within
one view may start from different states, and a mixture of their pieces is a state nobody ever had.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator

from pbactors.protocol.messages import Piece, Section
from pbactors.protocol.state import ReplicatedState

__all__ = ["IncomingTransfer", "OutgoingTransfer"]


class OutgoingTransfer:
    """The primary's end: which pieces are under way.

    Args:
        state: what is sent, as it is now.
        attempt: tells this transfer from others in the same view.
        pieces: of the state.
        window: how many of them may be under way.

    Attributes:
        attempt: as given.
        base: the last op number executed in the state that is sent.
        stamp: the stamp of that operation.
        digest: the chained digest of all results up to it.
    """

    def __init__(
        self,
        state: ReplicatedState,
        attempt: int,
        pieces: Iterator[tuple[Section, bytes]],
        window: int,
    ) -> None:
        self.attempt = attempt
        self.base = state.op
        self.stamp = state.stamp
        self.digest = state.digest
        self._window = window
        self._source = pieces
        self._ahead: tuple[Section, bytes] | None = None
        self._begun = False
        self._taken = 0
        self._unacknowledged: deque[tuple[int, Section, bytes, bool]] = deque()
        self._unsent = 0

    def next_pieces(self, new: int) -> Iterator[tuple[int, Section, bytes, bool]]:
        """Yield what to send now, ``new`` new pieces at most: ``(index, section, body, last)``."""
        if not self._begun:
            self._begun = True
            self._ahead = next(self._source)
        for _ in range(new):
            if len(self._unacknowledged) == self._window or self._ahead is None:
                break
            section, body = self._ahead
            self._ahead = next(self._source, None)
            self._unacknowledged.append((self._taken, section, body, self._ahead is None))
            self._taken += 1
            self._unsent += 1
        unsent = len(self._unacknowledged) - self._unsent
        self._unsent = 0
        for position in range(unsent, len(self._unacknowledged)):
            yield self._unacknowledged[position]

    @property
    def sends_own(self) -> bool:
        """Whether the backup is only asked to go on with the state that it has (R45)."""
        pieces = self._unacknowledged
        return bool(pieces) and pieces[0][1] == Section.OWN

    @property
    def acknowledged(self) -> int:
        """How many pieces the backup has."""
        return self._taken - len(self._unacknowledged)

    def on_received(self, count: int) -> None:
        """Forget the pieces below ``count``: the backup has them."""
        while self._unacknowledged and self._unacknowledged[0][0] < count:
            self._unacknowledged.popleft()
        self._unsent = min(self._unsent, len(self._unacknowledged))

    def resend(self) -> None:
        """Send everything unacknowledged once more."""
        self._unsent = len(self._unacknowledged)

    def clone(self) -> OutgoingTransfer:
        """Return an independent copy; both read the rest of the snapshot here and now, since the
        state that it belongs to may go another way in each.
        """
        copy = object.__new__(OutgoingTransfer)
        copy.__dict__.update(self.__dict__)
        rest = self._rest()
        copy._source = iter(rest)
        copy._unacknowledged = deque(self._unacknowledged)
        return copy

    def _rest(self) -> tuple[tuple[Section, bytes], ...]:
        rest = tuple(self._source)
        self._source = iter(rest)
        return rest

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            (self.attempt, self.base, self.stamp, self.digest, self._begun, self._ahead),
            (self._taken, tuple(self._unacknowledged), self._unsent),
            self._rest(),
        )


class IncomingTransfer:
    """The backup's end: the pieces of one attempt, gathered beside the state.

    Attributes:
        attempt: the attempt that is being gathered.
        base: its op number.
        received: how many pieces are here, without a gap.
    """

    def __init__(self, first: Piece, blank: ReplicatedState) -> None:
        self.attempt = first.attempt
        self.base = first.base
        self.received = 0
        self._content = 0  # stands for the pieces taken, since a state in loading cannot be frozen
        self._state = blank

    def add(self, piece: Piece) -> ReplicatedState | None:
        """Take a piece of this attempt, and return the state if it was the last.

        A piece that is not the next one changes nothing; it will come again.

        Raises:
            PbactorsError: the pieces make no state of this machine.
        """
        if piece.index != self.received:
            return None
        self._state.load(piece.section, piece.body)
        self._content = hash((self._content, piece.section, piece.body))
        self.received += 1
        if not piece.last:
            return None
        self._state.loaded(piece.base, piece.stamp, piece.digest)
        return self._state

    def clone(self) -> IncomingTransfer:
        """Return an independent copy."""
        copy = object.__new__(IncomingTransfer)
        copy.attempt, copy.base, copy.received = self.attempt, self.base, self.received
        copy._content = self._content
        copy._state = self._state.clone()
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (self.attempt, self.base, self.received, self._content)

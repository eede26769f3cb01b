"""What a primary says to the backup of one view, and when it was last heard.

Made when a view with a backup begins and dropped with it, so confirm numbers, echoes and the
silence of a backup belong to one view by construction (R37, R43).
"""

from __future__ import annotations

from collections.abc import Hashable

from pbactors.protocol.command_log import OrderedBatch
from pbactors.protocol.core import Outbox
from pbactors.protocol.messages import Forward, Piece
from pbactors.protocol.state_transfer import OutgoingTransfer
from pbactors.protocol.view import Member, View

__all__ = ["BackupLink"]

SILENT_TICKS = 2
"""A backup that said nothing for so many resend ticks is reported as unreachable (R43)."""


class BackupLink:
    """A primary's end of the link to its backup.

    Args:
        view: the view.
        backup: its backup.
        op: the last op number that the primary has executed.

    Attributes:
        backup: as given.
        sent_end: the last op number that the backup can have from us.
        echo: the highest confirm number that it has echoed.
        repeats: whether queries that are under way shall be asked about again at the next flush.
    """

    def __init__(self, view: View, backup: Member, op: int) -> None:
        self.backup = backup
        self.sent_end = op
        self.echo = 0
        self.repeats = False
        self._view = view.number
        self._confirm = 0
        self._sent = False
        self._heard: tuple[int, ...] = ()
        self._silent_ticks = 0

    # -- sending ------------------------------------------------------------------------------

    @property
    def confirm(self) -> int:
        """The confirm number of what is sent in this flush (R37)."""
        return self._confirm + 1

    @property
    def has_sent(self) -> bool:
        """Whether anything was sent in this flush."""
        return self._sent

    def forward(self, batch: OrderedBatch, out: Outbox) -> None:
        """Send commands; none, to hear only whether the view still stands."""
        self._sent = True
        if batch.operations:
            self.sent_end = max(self.sent_end, batch.end)
        out.send(
            self.backup.name,
            Forward(
                self._view,
                self.backup.incarnation,
                self.confirm,
                batch.first,
                batch.stamp,
                batch.operations,
            ),
        )

    def fill(self, transfer: OutgoingTransfer, new: int, out: Outbox) -> None:
        """Send the next pieces of the state, at most so many new ones.

        Raises:
            UnsupportedValue: it cannot be copied.
        """
        for index, section, body, last in transfer.next_pieces(new):
            self._sent = True
            out.send(
                self.backup.name,
                Piece(
                    self._view,
                    self.backup.incarnation,
                    transfer.attempt,
                    transfer.base,
                    transfer.stamp,
                    transfer.digest,
                    self.confirm,
                    index,
                    last,
                    int(section),
                    body,
                ),
            )

    def end_flush(self) -> None:
        """The next flush has another confirm number."""
        self._confirm += self._sent
        self._sent = self.repeats = False

    # -- hearing ------------------------------------------------------------------------------

    def hears(self) -> None:
        """The backup has said something."""
        self._silent_ticks = 0

    def tick(self, progress: tuple[int, ...]) -> bool:
        """A resend tick. Returns whether the backup has made no progress since the last one, so
        that everything shall be sent again.
        """
        heard = (self.echo, *progress)
        stands_still = heard == self._heard
        self._heard = heard
        self.repeats |= stands_still
        self._silent_ticks += stands_still
        return stands_still

    @property
    def is_silent(self) -> bool:
        """Whether the backup is to be reported as unreachable (R43)."""
        return self._silent_ticks >= SILENT_TICKS

    # -- copies -------------------------------------------------------------------------------

    def clone(self) -> BackupLink:
        """Return an independent copy."""
        copy = object.__new__(BackupLink)
        copy.__dict__.update(self.__dict__)
        return copy

    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where behaviour is equal."""
        return (
            (self._view, self.backup, self.sent_end),
            (self._confirm, self.echo, self.repeats, self._sent),
            (self._heard, min(self._silent_ticks, SILENT_TICKS)),
        )

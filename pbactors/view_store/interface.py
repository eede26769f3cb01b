"""What every view store promises, and what it refuses to do."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from typing import Final, NamedTuple, Self

from pbactors.errors import InvariantViolated
from pbactors.protocol.message import CLUSTER_BYTES
from pbactors.protocol.view import NO_VIEW, ViewRecord

__all__ = ["HISTORY_MAX", "HistoryEntry", "ViewStore", "new_record", "refuse_another_history"]

HISTORY_MAX: Final = 10_000
"""How many views are remembered; older ones are forgotten."""


def new_record() -> ViewRecord:
    """Return the first record of a new cluster: a random id, and no view yet."""
    return ViewRecord(secrets.token_bytes(CLUSTER_BYTES), NO_VIEW, False)


class HistoryEntry(NamedTuple):
    """One view in the history.

    Attributes:
        number: of the view.
        at_ms: when it was made, unix time in milliseconds, by the view server's clock.
        primary: the name of its primary.
        backup: the name of its backup, or None.
        cause: why it followed the one before; see ``pbactors.protocol.view.Cause``.
        node: whom the cause is about.
        without_service_ms: for how long clients were not answered, as far as the view server could
            see; None where it could not, or service has not begun again.
    """

    number: int
    at_ms: int
    primary: str
    backup: str | None
    cause: str
    node: str
    without_service_ms: int | None


class ViewStore(ABC):
    """What a view server needs to remember: one record, and for people the history of views. Use as
    a context manager or ``close``.
    """

    @abstractmethod
    def load(self) -> ViewRecord | None:
        """Return the record, or None where nothing was ever stored.

        Raises:
            StoreUnavailable: it cannot be read.
        """

    @abstractmethod
    def save(self, record: ViewRecord) -> None:
        """Make ``record`` durable. When this returns it survives a kill and a power cut.

        Raises:
            StoreUnavailable: it could not be written, or the store is no longer where it was
                opened; this record stands or the one before.
            InvariantViolated: it would rewrite the history of its cluster.
        """

    @abstractmethod
    def note(self, entry: HistoryEntry) -> None:
        """Add a view to the history, or replace what is known of it.

        Raises:
            StoreUnavailable: it could not be written.
        """

    @abstractmethod
    def history(self, after: int, count_max: int) -> tuple[list[HistoryEntry], int]:
        """Return views above a number, the oldest first, and how many more there are.

        Raises:
            StoreUnavailable: it cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the store up, and with it the lock. May be repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refuse_another_history(before: ViewRecord | None, after: ViewRecord) -> None:
    """Hold what must be true of consecutive records, however wrong the caller is.

    Raises:
        InvariantViolated: ``after`` is no record, or takes back what was announced.
    """
    reason = after.view.invalid()
    if len(after.cluster) != CLUSTER_BYTES:
        reason = f"a cluster id has {CLUSTER_BYTES} bytes, not {len(after.cluster)}"
    if reason is None and before is not None and after.cluster == before.cluster:
        if after.view.number < before.view.number:
            reason = f"the stored view is {before.view.number} already"
        elif after.view.number == before.view.number and after.view != before.view:
            reason = "the stored view of this number has other members"
        elif after.view == before.view and before.acked and not after.acked:
            reason = "the stored view is acknowledged already"
    if reason is not None:
        raise InvariantViolated(f"R46: view {after.view.number} cannot be stored: {reason}")

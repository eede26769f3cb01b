"""A view store that forgets with its process."""

from __future__ import annotations

from pbactors.protocol.view import ViewRecord
from pbactors.view_store.interface import (
    HISTORY_MAX,
    HistoryEntry,
    ViewStore,
    refuse_another_history,
)

__all__ = ["MemoryViewStore"]


class MemoryViewStore(ViewStore):
    """A store for tests and for clusters that live in one process: forgets with the process."""

    def __init__(self, record: ViewRecord | None = None) -> None:
        self._record = record
        self._history: dict[int, HistoryEntry] = {}

    def load(self) -> ViewRecord | None:
        """Return the record, or None where nothing was ever stored."""
        return self._record

    def save(self, record: ViewRecord) -> None:
        """Keep ``record``; see ``ViewStore.save``."""
        refuse_another_history(self._record, record)
        if self._record is not None and record.cluster != self._record.cluster:
            self._history.clear()
        self._record = record

    def note(self, entry: HistoryEntry) -> None:
        """Keep ``entry``; see ``ViewStore.note``."""
        self._history[entry.number] = entry
        self._history.pop(entry.number - HISTORY_MAX, None)

    def history(self, after: int, count_max: int) -> tuple[list[HistoryEntry], int]:
        """Return views above a number; see ``ViewStore.history``."""
        entries = [self._history[number] for number in sorted(self._history) if number > after]
        return entries[:count_max], len(entries[count_max:])

    def close(self) -> None:
        """Do nothing: what was saved can still be loaded, as from a file."""

"""Where the view server makes views durable before anyone hears of them (R14, R46).

A store holds one record: cluster id, view number, primary, backup, acknowledged or not. A view
server that forgot it could make two primaries, so everything here prefers refusing to guessing.
Beside the record stands the history of views, for people: nothing is decided from it, and it is
written after the record, never before.

A store is opened, used and closed on one thread, the actor's; sqlite3 raises on any other.
"""

from pbactors.view_store.interface import HISTORY_MAX, HistoryEntry, ViewStore, new_record
from pbactors.view_store.memory import MemoryViewStore
from pbactors.view_store.sqlite import SqliteViewStore, open_store

__all__ = [
    "HISTORY_MAX",
    "HistoryEntry",
    "MemoryViewStore",
    "SqliteViewStore",
    "ViewStore",
    "new_record",
    "open_store",
]

"""A view store in one sqlite3 file (write-ahead log, synchronous writes).

A kill at any moment leaves the record before or the record after, never a mix. The file is locked
for the life of the store, by a lock that the kernel drops with the process however it ends; the
lock and the record are one file, so they cannot be separated by a person who tidies up.

The log is emptied into the file before a record counts as saved. sqlite3 takes damage in a log for
its end and goes on from an older record without a word, while damage in the file is refused. So a
log that is found holds at most one record, of which nobody heard.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from pbactors.errors import StoreUnavailable
from pbactors.protocol.view import Member, View, ViewRecord
from pbactors.view_store.interface import (
    HISTORY_MAX,
    HistoryEntry,
    ViewStore,
    new_record,
    refuse_another_history,
)

__all__ = ["SqliteViewStore", "open_store"]

_FILE_NAME: Final = "view.sqlite3"
_APPLICATION_ID: Final = 0x70626163  # "pbac": tells our files from other sqlite3 files
_SCHEMA_VERSION: Final = 1
_LOCK_PATIENCE_S: Final = 0.2

_SCHEMA: Final = """
    CREATE TABLE record (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        cluster_name TEXT NOT NULL,
        cluster BLOB NOT NULL,
        number INTEGER NOT NULL,
        primary_name TEXT,
        primary_incarnation BLOB,
        backup_name TEXT,
        backup_incarnation BLOB,
        acked INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    )
"""

_HISTORY_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS history (
        number INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        primary_name TEXT NOT NULL,
        backup_name TEXT,
        cause TEXT NOT NULL,
        node TEXT NOT NULL,
        without_service_ms INTEGER
    )
"""

_Row: TypeAlias = tuple[Any, ...]


class SqliteViewStore(ViewStore):
    """The record in a locked sqlite3 file. Made by ``open_store``.

    Nothing else in this process may open the file meanwhile: on POSIX systems closing it elsewhere
    would drop the lock.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, cluster_name: str) -> None:
        self.path = path
        self._connection = connection
        self._cluster_name = cluster_name
        self._file = _file_at(path)
        self._record = _read(path, connection, cluster_name)
        _empty_the_log(path, connection)

    def load(self) -> ViewRecord:
        """Return the record as it stands in the file; see ``ViewStore.load``."""
        self._record = _read(self.path, self._connection, self._cluster_name)
        return self._record

    def save(self, record: ViewRecord) -> None:
        """Make ``record`` durable; see ``ViewStore.save``."""
        refuse_another_history(self._record, record)
        self._refuse_another_file()
        with _explained(self.path), _transaction(self._connection):
            _write(self._connection, self._cluster_name, record)
            if record.cluster != self._record.cluster:
                self._connection.execute("DELETE FROM history")
        self._record = record
        _empty_the_log(self.path, self._connection)

    def note(self, entry: HistoryEntry) -> None:
        """Add a view to the history; see ``ViewStore.note``."""
        self._refuse_another_file()
        with _explained(self.path), _transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?, ?)", entry
            )
            self._connection.execute(
                "DELETE FROM history WHERE number <= ?", (entry.number - HISTORY_MAX,)
            )
        _empty_the_log(self.path, self._connection)

    def history(self, after: int, count_max: int) -> tuple[list[HistoryEntry], int]:
        """Return views above a number; see ``ViewStore.history``."""
        where = "FROM history WHERE number > ?"
        with _explained(self.path):
            rows = self._connection.execute(
                f"SELECT * {where} ORDER BY number LIMIT ?", (after, count_max)
            ).fetchall()
            [count] = self._connection.execute(f"SELECT count(*) {where}", (after,)).fetchone()
        return [HistoryEntry(*row) for row in rows], count - len(rows)

    def close(self) -> None:
        """Close the file and drop the lock."""
        self._connection.close()

    def _refuse_another_file(self) -> None:
        """Notice that the open file was deleted or replaced: it would be written for nobody.

        The number of a file is not given to another one while it is open.
        """
        if _file_at(self.path) != self._file:
            raise _moved(self.path, "another file has taken its place")


def open_store(state_dir: Path, *, form_new: bool, cluster_name: str) -> SqliteViewStore:
    """Open the view server's store and lock it.

    Args:
        state_dir: the folder of the store; made if a new cluster is formed.
        form_new: form a new cluster: a new random cluster id and no view yet, in place of what the
            store held, in one step.
        cluster_name: the name in the topology, kept in the store so that two topologies cannot
            share one by mistake.

    Raises:
        StoreUnavailable: missing though creation was not asked for, in use by another view server,
            foreign, of another schema, damaged, or not writable. The text says what to do.
            Nothing in it was changed.
    """
    try:
        path = state_dir.absolute() / _FILE_NAME
        if form_new:
            state_dir.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise _missing(path, "no view store here")
    except OSError as error:
        raise StoreUnavailable(
            f"{state_dir} cannot be {'made' if form_new else 'looked into'}: {error.strerror}; "
            f"check state_dir in the topology"
        ) from error
    with _explained(path):
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={'rwc' if form_new else 'rw'}",
            uri=True,
            isolation_level=None,
            timeout=_LOCK_PATIENCE_S,
        )
    try:
        with _explained(path):
            _prepare(path, connection, form_new, cluster_name)
        return SqliteViewStore(path, connection, cluster_name)
    except BaseException:
        connection.close()
        raise


# -- the file ---------------------------------------------------------------------------------


def _file_at(path: Path) -> tuple[int, int]:
    """Return device and number of the file. Opening it here would drop the lock on closing."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise _moved(path, error.strerror or str(error)) from error
    return found.st_dev, found.st_ino


def _prepare(path: Path, connection: sqlite3.Connection, form_new: bool, cluster_name: str) -> None:
    """Lock the file, judge it, and form a new cluster in it if asked. In this order."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    with _transaction(connection):  # the lock it takes stays, in this locking mode
        empty = _judge(path, connection)
    if empty and not form_new:
        raise _missing(path, "an empty view store: forming it was interrupted")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if not empty:
        _read(path, connection, cluster_name)  # refuses that of another cluster's name
    if not form_new:
        with _transaction(connection):
            connection.execute(_HISTORY_SCHEMA)  # a store of before there was one has none
        return
    with _transaction(connection):
        if empty:
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.execute(_HISTORY_SCHEMA)
        connection.execute("DELETE FROM history")
        _write(connection, cluster_name, new_record())


def _judge(path: Path, connection: sqlite3.Connection) -> bool:
    """Refuse a file that is not ours to write; return whether it is an empty one."""
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [schema_version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not application_id and not schema_version and not tables:
        return True
    if application_id != _APPLICATION_ID:
        raise StoreUnavailable(
            f"{path} is a database of another program (application id {application_id:#x}): "
            f"give the cluster another state_dir"
        )
    if schema_version != _SCHEMA_VERSION:
        age = "a newer" if schema_version > _SCHEMA_VERSION else "an older"
        raise StoreUnavailable(
            f"{path} was written by {age} version of pbactors (schema {schema_version}; this one "
            f"reads schema {_SCHEMA_VERSION}): run that version, or form a new cluster in another "
            f"state_dir"
        )
    [finding] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise _damaged(path, finding)
    return False


def _empty_the_log(path: Path, connection: sqlite3.Connection) -> None:
    """Bring what is committed from the log into the file, durably, and cut the log to nothing.

    Killed before its end, it leaves the log whole, and the next to open the store goes on from it.
    """
    with _explained(path):
        row = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if row != (0, 0, 0):  # not busy, and no frame left; (0, -1, -1) where there is no log at all
        raise StoreUnavailable(
            f"{path}: its log {path.name}-wal cannot be emptied {row}: stop other programs that "
            f"use the file, and keep state_dir on a local disk"
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # sqlite3 ends it by itself after some errors
            connection.execute("ROLLBACK")
        raise


def _read(path: Path, connection: sqlite3.Connection, cluster_name: str) -> ViewRecord:
    with _explained(path):
        rows = connection.execute("SELECT * FROM record").fetchall()
    if len(rows) != 1 or rows[0][-1] != _checksum(rows[0][1:-1]):
        raise _damaged(path, "its record does not match its checksum")
    row = rows[0][1:-1]
    if row[0] != cluster_name:
        raise StoreUnavailable(
            f"{path} belongs to cluster {row[0]!r}, not to {cluster_name!r}: "
            f"give each topology a state_dir of its own"
        )
    return _record_of(row)


def _write(connection: sqlite3.Connection, cluster_name: str, record: ViewRecord) -> None:
    row = _row_of(cluster_name, record)
    connection.execute(
        "INSERT OR REPLACE INTO record VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*row, _checksum(row)),
    )


def _row_of(cluster_name: str, record: ViewRecord) -> _Row:
    number, primary, backup = record.view
    nobody = (None, None)
    return (
        cluster_name,
        record.cluster,
        number,
        *(primary or nobody),
        *(backup or nobody),
        int(record.acked),
    )


def _record_of(row: _Row) -> ViewRecord:
    _, cluster, number, primary, primary_incarnation, backup, backup_incarnation, acked = row
    return ViewRecord(
        cluster,
        View(
            number,
            None if primary is None else Member(primary, primary_incarnation),
            None if backup is None else Member(backup, backup_incarnation),
        ),
        bool(acked),
    )


def _checksum(row: _Row) -> int:
    """Return what tells a record from a damaged one; sqlite3 itself does not look at values."""
    return zlib.crc32(repr(row).encode())


# -- what people read -------------------------------------------------------------------------


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of sqlite3 into a text that says what to do; misuse stays what it is."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except UnicodeDecodeError as error:  # sqlite3 repeating damaged text in an error of its own
        raise _damaged(path, "its text is no UTF-8") from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreUnavailable(
                f"{path} is in use: a view server of this cluster is running already; "
                f"stop it first, or use another state_dir"
            ) from error
        # Without a name it is a text that is no UTF-8; a plain error is a table that is not there.
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) or name in ("", "SQLITE_ERROR"):
            raise _damaged(path, str(error)) from error
        raise StoreUnavailable(
            f"{path} cannot be read and written: {error} ({name}); "
            f"check space and permissions of the folder"
        ) from error


def _missing(path: Path, what: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path}: {what}. If this cluster never ran, form it: `pbactors up`, or `pbactors node` "
        f"of the view server with --new. If it did run, its store is lost: a new cluster starts "
        f"empty"
    )


def _moved(path: Path, what: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} is no longer the view store that was opened: {what}. Nothing was written; stop "
        f"this view server. A store that was moved can be put back, unless another view server "
        f"has run since"
    )


def _damaged(path: Path, what: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path} is damaged, or no view store: {what}. Move it away and form a new, empty cluster "
        f"with --new; an older copy in its place could make two primaries"
    )

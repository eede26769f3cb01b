"""The view server's memory: survives any kill, and refuses what could begin a second history."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbactors.errors import InvariantViolated, StoreUnavailable
from pbactors.protocol.view import NO_VIEW, Member, View, ViewRecord
from pbactors.view_store import (
    HistoryEntry,
    MemoryViewStore,
    SqliteViewStore,
    ViewStore,
    new_record,
    open_store,
)

A, A2 = Member("a", b"A" * 16), Member("a", b"B" * 16)
B, C = Member("b", b"b" * 16), Member("c", b"c" * 16)


def formed(state_dir: Path) -> SqliteViewStore:
    return open_store(state_dir, form_new=True, cluster_name="local")


def found(state_dir: Path) -> SqliteViewStore:
    return open_store(state_dir, form_new=False, cluster_name="local")


def refusal(state_dir: Path, *, form_new: bool = False, cluster_name: str = "local") -> str:
    with pytest.raises(StoreUnavailable) as caught:
        open_store(state_dir, form_new=form_new, cluster_name=cluster_name)
    assert str(state_dir) in str(caught.value)
    return str(caught.value)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ViewStore]:
    if request.param == "memory":
        yield MemoryViewStore(new_record())
    else:
        with formed(tmp_path) as store:
            yield store


# -- what is saved is found -------------------------------------------------------------------


def test_a_new_cluster_has_a_random_id_and_no_view(tmp_path: Path) -> None:
    with formed(tmp_path / "one") as one, formed(tmp_path / "two") as two:
        assert one.load().view == NO_VIEW
        assert not one.load().acked
        assert len(one.load().cluster) == 16
        assert one.load().cluster != two.load().cluster


def test_a_memory_store_begins_with_nothing() -> None:
    assert MemoryViewStore().load() is None


@pytest.mark.parametrize(
    ("view", "acked"),
    [
        (View(1, A, None), False),
        (View(1, A, None), True),
        (View(2, A, B), True),
        (View(2**63 - 1, Member("ä" * 64, b"\0" * 16), B), False),
    ],
)
def test_a_record_survives_closing(tmp_path: Path, view: View, acked: bool) -> None:
    with formed(tmp_path) as store:
        record = ViewRecord(store.load().cluster, view, acked)
        store.save(record)
        assert store.load() == record
    with found(tmp_path) as store:
        assert store.load() == record
        assert type(store.load().acked) is bool


def test_forming_anew_takes_the_place_of_the_old_cluster(tmp_path: Path) -> None:
    with formed(tmp_path) as store:
        before = store.load()
        store.save(ViewRecord(before.cluster, View(1, A, None), True))
    with formed(tmp_path) as store:
        after = store.load()
    assert after.view == NO_VIEW
    assert after.cluster != before.cluster
    with found(tmp_path) as store:
        assert store.load() == after


def test_closing_twice_does_no_harm(store: ViewStore) -> None:
    store.close()
    store.close()


# -- one history ------------------------------------------------------------------------------


def loaded(store: ViewStore) -> ViewRecord:
    record = store.load()
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("view", "acked", "reason"),
    [
        (View(2, A, B), True, "the stored view is 3 already"),
        (NO_VIEW, False, "the stored view is 3 already"),
        (View(3, B, A), True, "other members"),
        (View(3, A2, B), True, "other members"),
        (View(3, A, None), True, "other members"),
        (View(3, A, B), False, "acknowledged already"),
        (View(4, None, None), False, "a view without a primary"),
    ],
)
def test_a_record_that_rewrites_history_is_refused(
    store: ViewStore, view: View, acked: bool, reason: str
) -> None:
    cluster = loaded(store).cluster
    store.save(ViewRecord(cluster, View(3, A, B), True))
    with pytest.raises(InvariantViolated, match=reason):
        store.save(ViewRecord(cluster, view, acked))
    assert loaded(store) == ViewRecord(cluster, View(3, A, B), True)


def test_a_cluster_id_of_another_length_is_refused(store: ViewStore) -> None:
    with pytest.raises(InvariantViolated, match="a cluster id has 16 bytes, not 3"):
        store.save(ViewRecord(b"abc", NO_VIEW, False))


def test_repeating_acknowledging_and_going_on_are_fine(store: ViewStore) -> None:
    cluster = loaded(store).cluster
    for view, acked in [
        (View(3, A, B), False),
        (View(3, A, B), False),
        (View(3, A, B), True),
        (View(4, A, C), False),
    ]:
        store.save(ViewRecord(cluster, view, acked))
        assert loaded(store) == ViewRecord(cluster, view, acked)


def test_an_abandoned_cluster_may_be_followed_by_another_from_view_0(store: ViewStore) -> None:
    store.save(ViewRecord(loaded(store).cluster, View(3, A, B), True))
    successor = new_record()
    store.save(successor)
    assert loaded(store) == successor


# -- what is refused --------------------------------------------------------------------------


def test_a_missing_store_is_an_error_that_says_how_to_form_one(tmp_path: Path) -> None:
    text = refusal(tmp_path / "nowhere")
    assert "no view store here" in text
    assert "`pbactors up`" in text
    assert "--new" in text
    assert not (tmp_path / "nowhere").exists()


def test_a_store_whose_forming_was_interrupted_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "view.sqlite3").touch()
    assert "forming it was interrupted" in refusal(tmp_path)
    with formed(tmp_path) as store:
        assert store.load().view == NO_VIEW


@pytest.mark.parametrize("form_new", [False, True])
def test_a_store_in_use_is_refused_and_unchanged(tmp_path: Path, form_new: bool) -> None:
    with formed(tmp_path) as store:
        record = ViewRecord(store.load().cluster, View(1, A, None), True)
        store.save(record)
        assert "a view server of this cluster is running already" in refusal(
            tmp_path, form_new=form_new
        )
        assert store.load() == record
        store.save(ViewRecord(record.cluster, View(2, A, B), False))
    with found(tmp_path) as store:
        assert store.load().view.number == 2


@pytest.mark.parametrize("form_new", [False, True])
def test_a_store_of_another_cluster_is_refused(tmp_path: Path, form_new: bool) -> None:
    with formed(tmp_path) as store:
        record = store.load()
    text = refusal(tmp_path, form_new=form_new, cluster_name="bank")
    assert "belongs to cluster 'local', not to 'bank'" in text
    with found(tmp_path) as store:
        assert store.load() == record


@pytest.mark.parametrize("form_new", [False, True])
@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("PRAGMA user_version = 2", "by a newer version of pbactors (schema 2; this one reads"),
        ("PRAGMA user_version = 0", "by an older version of pbactors (schema 0; this one reads"),
        ("PRAGMA application_id = 7", "another program (application id 0x7)"),
        ("PRAGMA application_id = 0", "another program (application id 0x0)"),
        ("UPDATE record SET number = 1", "does not match its checksum"),
        ("UPDATE record SET cluster_name = CAST(x'ff' AS TEXT)", "is damaged, or no view store"),
        ("DELETE FROM record", "does not match its checksum"),
        ("DROP TABLE record", "no such table: record"),
    ],
)
def test_a_strange_store_is_refused_and_unchanged(
    tmp_path: Path, statement: str, text: str, form_new: bool
) -> None:
    formed(tmp_path).close()
    path = tmp_path / "view.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    assert text in refusal(tmp_path, form_new=form_new)
    assert path.read_bytes() == before


def without_history(state_dir: Path, *statements: str) -> Path:
    """Make the file of the store one of before there was a history, and return its path."""
    path = state_dir / "view.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("DROP TABLE history", *statements):
        connection.execute(statement)
    connection.close()
    return path


def test_a_store_of_before_there_was_a_history_gets_one(tmp_path: Path) -> None:
    with formed(tmp_path) as store:
        record = ViewRecord(store.load().cluster, View(3, A, B), True)
        store.save(record)
    without_history(tmp_path)
    entry = HistoryEntry(4, 5, "a", None, "killed", "b", None)
    with found(tmp_path) as store:
        assert store.load() == record
        assert store.history(0, 10) == ([], 0)
        store.note(entry)
    with found(tmp_path) as store:
        assert store.load() == record
        assert store.history(0, 10) == ([entry], 0)


def test_a_strange_store_gets_no_history(tmp_path: Path) -> None:
    """What is refused is not written to."""
    formed(tmp_path).close()
    path = without_history(tmp_path, "UPDATE record SET number = 1")
    before = path.read_bytes()
    assert "does not match its checksum" in refusal(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("form_new", [False, True])
@pytest.mark.parametrize(
    "content", [b"abc", b"no database, but a text\n" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_file_that_is_no_database_is_refused_and_unchanged(
    tmp_path: Path, content: bytes, form_new: bool
) -> None:
    (tmp_path / "view.sqlite3").write_bytes(content)
    assert "is damaged, or no view store: file is not a database" in refusal(
        tmp_path, form_new=form_new
    )
    assert (tmp_path / "view.sqlite3").read_bytes() == content


@pytest.mark.parametrize("form_new", [False, True])
def test_a_folder_in_the_way_is_refused(tmp_path: Path, form_new: bool) -> None:
    (tmp_path / "view.sqlite3").mkdir()
    assert "check space and permissions" in refusal(tmp_path, form_new=form_new)


def test_a_file_in_the_way_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("I am a file")
    assert "cannot be made" in refusal(tmp_path / "state", form_new=True)


@pytest.mark.parametrize("form_new", [False, True])
def test_a_folder_whose_name_is_too_long_is_refused(tmp_path: Path, form_new: bool) -> None:
    text = refusal(tmp_path / ("x" * 300), form_new=form_new)
    assert "File name too long; check state_dir in the topology" in text


def test_any_damage_is_noticed_or_without_effect(tmp_path: Path) -> None:
    with formed(tmp_path) as store:
        record = ViewRecord(store.load().cluster, View(7, A, B), True)
        store.save(record)
    path = tmp_path / "view.sqlite3"
    good = path.read_bytes()
    used = [place for place, byte in enumerate(good) if byte]
    chance = random.Random(46)
    refused = 0
    for _ in range(300):
        damaged = bytearray(good)
        damaged[chance.choice(used)] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            with found(tmp_path) as store:
                assert store.load() == record
        except StoreUnavailable:
            refused += 1
        for leftover in tmp_path.glob("view.sqlite3-*"):
            leftover.unlink()
    assert refused > 100


def test_a_truncated_store_is_refused(tmp_path: Path) -> None:
    formed(tmp_path).close()
    path = tmp_path / "view.sqlite3"
    content = path.read_bytes()
    for length in (100, 4000, 4096, 2 * 4096 - 1):  # up to the last byte of the record
        path.write_bytes(content[:length])
        assert "damaged" in refusal(tmp_path)


def test_a_store_belongs_to_the_thread_that_opened_it(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def use(store: ViewStore) -> None:
        try:
            store.load()
        except sqlite3.ProgrammingError as error:
            errors.append(error)

    with formed(tmp_path) as store:
        thread = threading.Thread(target=use, args=[store])
        thread.start()
        thread.join()
    assert len(errors) == 1


# -- a store that goes away while it is open ---------------------------------------------------


def test_a_deleted_store_is_noticed_before_anything_is_saved(tmp_path: Path) -> None:
    with formed(tmp_path) as store:
        record = store.load()
        (tmp_path / "view.sqlite3").unlink()
        with pytest.raises(StoreUnavailable, match="no longer the view store that was opened"):
            store.save(ViewRecord(record.cluster, View(1, A, None), False))
        assert store.load() == record


def test_a_store_whose_folder_was_moved_is_unchanged_and_good_when_put_back(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with formed(state_dir) as store:
        cluster = store.load().cluster
        state_dir.rename(tmp_path / "elsewhere")
        before = store.load()
        with pytest.raises(StoreUnavailable, match="No such file or directory"):
            store.save(ViewRecord(cluster, View(1, A, None), False))
        assert store.load() == before
        (tmp_path / "elsewhere").rename(state_dir)
        store.save(ViewRecord(cluster, View(1, A, None), True))
    with found(state_dir) as store:
        assert store.load() == ViewRecord(cluster, View(1, A, None), True)


def test_a_replaced_store_is_noticed_and_its_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "view.sqlite3"
    old = formed(tmp_path)
    cluster = old.load().cluster
    old.save(ViewRecord(cluster, View(1, A, None), True))
    path.rename(tmp_path / "old.sqlite3")
    with formed(tmp_path) as new:
        successor = ViewRecord(new.load().cluster, View(1, B, None), False)
        new.save(successor)
        with pytest.raises(StoreUnavailable, match="another file has taken its place"):
            old.save(ViewRecord(cluster, View(2, A, B), False))
        assert old.load().view.number == 1
        old.close()
        assert new.load() == successor
        new.save(ViewRecord(successor.cluster, View(1, B, None), True))
    with found(tmp_path) as store:
        assert store.load() == ViewRecord(successor.cluster, View(1, B, None), True)


# -- the log beside the file -------------------------------------------------------------------


def log_bytes(state_dir: Path) -> int:
    log = state_dir / "view.sqlite3-wal"
    return log.stat().st_size if log.exists() else 0


def test_the_log_is_empty_whenever_something_counts_as_saved(tmp_path: Path) -> None:
    with formed(tmp_path) as store:
        assert log_bytes(tmp_path) == 0
        cluster = store.load().cluster
        for number in range(1, 20):
            store.save(ViewRecord(cluster, View(number, A, B), False))
            assert log_bytes(tmp_path) == 0


SAVE_AND_DIE_BETWEEN_LOG_AND_FILE = """
import os, signal, sys
from pathlib import Path
from pbactors.view_store import sqlite
from pbactors.protocol.view import Member, View, ViewRecord

store = sqlite.open_store(Path(sys.argv[1]), form_new=False, cluster_name="local")
cluster = store.load().cluster
store.save(ViewRecord(cluster, View(1, Member("a", bytes(16)), None), True))
sqlite._empty_the_log = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store.save(ViewRecord(cluster, View(2, Member("b", bytes(16)), None), False))
"""


@pytest.fixture
def died_with_a_log(tmp_path: Path) -> Path:
    """A store of view 1, saved, and of view 2, in the log alone: nobody was told of it."""
    state_dir = tmp_path / "died"
    formed(state_dir).close()
    subprocess.run(
        [sys.executable, "-c", SAVE_AND_DIE_BETWEEN_LOG_AND_FILE, str(state_dir)],
        check=False,
        timeout=60,
    )
    assert log_bytes(state_dir) > 4096
    return state_dir


def test_a_record_that_a_kill_left_in_the_log_is_recovered(died_with_a_log: Path) -> None:
    with found(died_with_a_log) as store:
        assert store.load().view == View(2, Member("b", bytes(16)), None)
        assert log_bytes(died_with_a_log) == 0
    with found(died_with_a_log) as store:
        assert store.load().view.number == 2


def test_no_damage_to_the_log_loses_what_was_saved(died_with_a_log: Path, tmp_path: Path) -> None:
    log = (died_with_a_log / "view.sqlite3-wal").read_bytes()
    chance = random.Random(3)
    flipped = bytearray(log)
    damages = [log[: chance.randrange(len(log))] for _ in range(40)]
    for _ in range(100):
        flipped[:] = log
        flipped[chance.randrange(len(log))] ^= 1 << chance.randrange(8)
        damages.append(bytes(flipped))
    numbers: set[int] = set()
    for damaged in [b"", log, *damages]:
        copy = shutil.copytree(died_with_a_log, tmp_path / "copy")
        (copy / "view.sqlite3-wal").write_bytes(damaged)
        with found(copy) as store:
            numbers.add(store.load().view.number)
        shutil.rmtree(copy)
    assert numbers == {1, 2}


# -- kill -9, and a full disk -----------------------------------------------------------------

SAVE_FOR_EVER = """
import sys
from pathlib import Path
from pbactors.protocol.view import Member, View, ViewRecord
from pbactors.view_store import open_store

store = open_store(Path(sys.argv[1]), form_new=False, cluster_name="local")
cluster, view, acked = store.load()
for number in range(view.number + 1, view.number + 1_000_000):
    primary = Member(f"p{number}", number.to_bytes(16, "big"))
    backup = Member(f"b{number}", number.to_bytes(16, "big"))
    store.save(ViewRecord(cluster, View(number, primary, backup), number % 2 == 0))
    print(number, flush=True)
"""

FORM_FOR_EVER = """
import sys
from pathlib import Path
from pbactors.view_store import open_store

while True:
    with open_store(Path(sys.argv[1]), form_new=True, cluster_name="local") as store:
        print(store.load().cluster.hex(), flush=True)
"""

FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from pbactors.errors import StoreUnavailable
from pbactors.protocol.view import Member, View, ViewRecord
from pbactors.view_store import open_store

store = open_store(Path(sys.argv[1]), form_new=False, cluster_name="local")
cluster = store.load().cluster
for number in range(1, 4):
    if number == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    try:
        store.save(ViewRecord(cluster, View(number, Member("a", bytes(16)), None), False))
    except StoreUnavailable as error:
        print(error, flush=True)
        break
    print(number, flush=True)
"""


def killed_after(script: str, state_dir: Path, delay_s: float) -> list[str]:
    """Run ``script``, kill it ``delay_s`` after its first line, return the whole lines it wrote."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(state_dir)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        try:
            first = child.stdout.readline()
            time.sleep(delay_s)
        finally:
            child.kill()
        rest = child.stdout.read()
    return [line for line in (first + rest).decode().splitlines(keepends=True) if line[-1] == "\n"]


def test_a_kill_leaves_the_record_before_or_the_record_after(tmp_path: Path) -> None:
    with formed(tmp_path) as store:
        cluster = store.load().cluster
    chance = random.Random(14)
    for _ in range(12):
        lines = killed_after(SAVE_FOR_EVER, tmp_path, chance.uniform(0, 0.03))
        saved = int(lines[-1])
        with found(tmp_path) as store:  # the lock died with the child
            record = store.load()
        number = record.view.number
        assert number in (saved, saved + 1)
        incarnation = number.to_bytes(16, "big")
        assert record == ViewRecord(
            cluster,
            View(number, Member(f"p{number}", incarnation), Member(f"b{number}", incarnation)),
            number % 2 == 0,
        )


def test_a_kill_while_forming_leaves_the_old_cluster_or_the_new(tmp_path: Path) -> None:
    chance = random.Random(46)
    ids: set[bytes] = set()
    for _ in range(12):
        lines = killed_after(FORM_FOR_EVER, tmp_path, chance.uniform(0, 0.03))
        ids |= {bytes.fromhex(line) for line in lines}
        with found(tmp_path) as store:
            record = store.load()
        assert record.view == NO_VIEW
        # The last one formed, or one that was complete before its id could be printed.
        assert record.cluster == bytes.fromhex(lines[-1]) or record.cluster not in ids


@pytest.mark.parametrize(
    ("file_bytes_max", "stands"),
    [(0, 2), (2000, 2), (5000, 3)],  # 5000: the log has room, the file is torn in its second page
)
def test_a_full_disk_is_an_error_and_no_saved_record_is_lost(
    tmp_path: Path, file_bytes_max: int, stands: int
) -> None:
    formed(tmp_path).close()
    output = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(tmp_path), str(file_bytes_max)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert output[:2] == ["1", "2"]
    assert "cannot be read and written" in output[2]
    with found(tmp_path) as store:
        assert store.load().view == View(stands, Member("a", bytes(16)), None)

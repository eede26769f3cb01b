"""``pbactors tail``: one line for each heartbeat, and quiet ends."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from pbactors.cli.tail import json_line, text_line
from pbactors.heartbeat import Record, ViewSummary
from pbactors.watch import Beat
from tests.processes import PBACTORS, free_topology, running

from .shell import pbactors

RECORD = Record(
    cluster="00" * 16,
    cluster_name="local",
    node="a",
    incarnation="11" * 16,
    role="primary",
    state="serving",
    view=ViewSummary(2, "a", "b", True),
    op=7,
    sequence=3,
    operations_per_second=12.4,
    copies=2,
    stuck=False,
    time=0.25,
    uptime_s=1.5,
)


def test_count_ends_it(served: Path) -> None:
    code, stdout, stderr = pbactors("tail", served, "--count", "6")
    assert (code, stderr) == (0, "")
    assert len(stdout.splitlines()) == 6


def test_json_is_one_record_a_line(served: Path) -> None:
    code, stdout, stderr = pbactors("tail", served, "--count", "12", "--json")
    assert (code, stderr) == (0, "")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert len(lines) == 12
    assert {line["node"] for line in lines} <= {"view", "a", "b", "c"}
    expected = {*RECORD.to_dict(), "missed", "restarted"}
    assert all(set(line) == expected for line in lines)


def test_gaps_and_restarts_stand_in_the_line() -> None:
    line = text_line(Beat(RECORD, missed=0, restarted=False))
    assert line.endswith("a        primary     serving | view 2: primary a, backup b | op 7 | 12/s")
    assert text_line(Beat(RECORD, missed=4, restarted=False)) == f"{line} | MISSED 4"
    assert text_line(Beat(RECORD, missed=2, restarted=True)) == f"{line} | RESTARTED | MISSED 2"
    parsed = json.loads(json_line(Beat(RECORD, missed=4, restarted=True)))
    assert parsed == {**RECORD.to_dict(), "missed": 4, "restarted": True}


def test_a_view_server_executes_nothing_and_shows_no_operations() -> None:
    record = replace(RECORD, node="view", role="view_server", view=ViewSummary(1, "a", None, False))
    line = text_line(Beat(record, missed=0, restarted=False))
    assert line.endswith("serving | view 1: primary a, no backup")


def test_ctrl_c_is_the_ordinary_end(served: Path) -> None:
    with running([*PBACTORS, "tail", served]) as process:
        process.wait_for("primary")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stderr == ""


def test_ctrl_c_while_nothing_comes(tmp_path: Path) -> None:
    code = (
        "import sys, threading, signal, os\n"
        "from pbactors.cli.application import run\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        f"sys.exit(run(['tail', {str(free_topology(tmp_path))!r}]))\n"
    )
    with running([sys.executable, "-c", code]) as process:
        assert process.wait() == 0
        assert (process.stdout, process.stderr) == ("", "")


def test_silence_is_told_once(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, replicas=1)
    with running([*PBACTORS, "tail", topology, "--count", "1", "--json"]) as process:
        process.wait_for("no node of cluster 'local' is heard yet", stream="stderr")
        with running([*PBACTORS, "node", topology, "view", "--new"]):
            assert process.wait() == 0
        assert json.loads(process.stdout)["node"] == "view"
        assert len(process.stderr.splitlines()) == 1


def test_a_reader_that_has_enough_ends_it_quietly(served: Path) -> None:
    script = '"$@" | head -n 1; echo "exit codes ${PIPESTATUS[*]}"'
    with running(["bash", "-c", script, "bash", *PBACTORS, "tail", served]) as process:
        process.wait_for("exit codes 0 0")
        assert process.wait() == 0
        assert process.stderr == ""

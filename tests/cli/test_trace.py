"""``pbactors trace``: a failover of a real cluster, recorded and drawn; what it refuses."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import pbactors
from pbactors.machines.kv import KeyValueStore
from pbactors.trace import Sort, file
from pbactors.trace.picture import Ending, Look, picture_of
from pbactors.trace.tape import SILENT_MS
from tests.processes import PBACTORS, free_topology, running, wait_until

from .shell import pbactors as command
from .shell import pids_of, up, view_of


def test_a_failover_is_recorded(tmp_path: Path) -> None:
    """Both views, who was what and when, the messages between nodes, and that one node died."""
    patient = {"dead_pings": 80}  # a busy machine is no dead node
    topology = free_topology(tmp_path, timing=patient)
    page, lines = tmp_path / "run.html", tmp_path / "run.jsonl"
    with up(topology) as cluster, pbactors.connect(topology) as client:
        words = ["trace", topology, "--seconds", "60", "--out", page, "--json", lines]
        with running([*PBACTORS, *words]) as tracing:
            tracing.wait_for("recording cluster", stream="stderr")
            for number in range(300):  # what the dying primary did last is not fetched
                client.call(KeyValueStore.put, "color", f"blue {number}")
            before = view_of(topology)
            os.kill(pids_of(cluster)[before["primary"]], signal.SIGKILL)
            killed_s = time.monotonic()
            client.call(KeyValueStore.put, "color", "the first after the failover")
            after = view_of(topology)
            silent_s = 2 * SILENT_MS / 1000
            wait_until(lambda: time.monotonic() > killed_s + silent_s, what="its silence")
            os.killpg(tracing.pid, signal.SIGINT)
            assert tracing.wait() == 0
            assert f"{page}: " in tracing.stdout
    trace = file.load(lines)
    kinds = {str(moment.fields.get("kind")) for moment in trace}
    assert {"Ping", "ViewReply", "Request", "Reply", "Forward", "Confirm", "Piece"} <= kinds
    picture = picture_of(trace)
    numbers = [band.number for band in picture.bands]
    assert numbers == sorted(set(numbers))
    assert {before["number"], after["number"]} <= set(numbers)
    lanes = [lane.name for lane in picture.lanes]
    looks: dict[str, list[Look]] = {name: [] for name in lanes}
    for span in picture.spans:
        looks[lanes[span.lane]].append(span.look)
    assert looks[before["primary"]][-2:] == [Look.PRIMARY, Look.STOPPED]
    assert {Look.BACKUP, Look.PRIMARY} <= set(looks[after["primary"]])
    assert any("the first after the failover" in moment.text for moment in trace)
    dead = lanes.index(before["primary"])
    living = [arrow for arrow in picture.arrows if dead not in (arrow.source, arrow.target)]
    seen = [arrow for arrow in living if arrow.ending is Ending.RECEIVED]
    assert len(living) - len(seen) < 10, "but for what was on its way at the ends"
    html = page.read_text()
    assert "the first after the failover" in html
    assert "<title>Cluster local</title>" in html


def test_a_trace_that_was_written_is_drawn_again(tmp_path: Path, served: Path) -> None:
    lines, page, again = tmp_path / "run.jsonl", tmp_path / "1.html", tmp_path / "2.html"
    words = ("--seconds", "0.5", "--json", lines, "--out", page)
    assert command("trace", served, *words).exit_code == 0
    finished = command("trace", "--from", lines, "--out", again)
    assert finished.exit_code == 0, finished
    assert finished.stderr == ""
    assert f"{again}: " in finished.stdout
    data = page.read_text().partition('id="data">')[2]
    assert data == again.read_text().partition('id="data">')[2]
    assert any(moment.sort is Sort.RECEIVED for moment in file.load(lines))


def test_nodes_that_do_not_answer_are_named_and_the_others_drawn(tmp_path: Path) -> None:
    topology = free_topology(tmp_path, replicas=2)
    plan = pbactors.load(topology)
    with pbactors.start_node(plan, "view", form_new=True), pbactors.start_node(plan, "a"):
        finished = command("trace", topology, "--seconds", "0.7", cwd=tmp_path)
    assert finished.exit_code == 0, finished
    assert "! b did not answer" in finished.stderr
    assert (tmp_path / "trace.html").exists()


def test_without_any_node_nothing_is_written(tmp_path: Path) -> None:
    topology = free_topology(tmp_path)
    finished = command("trace", topology, "--seconds", "0.3", cwd=tmp_path)
    assert finished.exit_code == 1
    assert "no node of cluster 'local' answers" in finished.stderr
    assert "pbactors up" in finished.stderr
    assert not (tmp_path / "trace.html").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "Expected either TOPOLOGY or --from FILE"),
        (["x.toml", "--from", "run.jsonl"], "Expected either TOPOLOGY or --from FILE"),
        (["x.toml", "--seconds", "0"], "Invalid value for '--seconds'"),
        (["x.toml", "--seconds", "nan"], "Invalid value for '--seconds'"),
        (["x.toml", "--out", "nowhere/run.html"], "there is no folder 'nowhere'"),
        (["--from", "missing.jsonl"], "missing.jsonl: No such file"),
        (["--from", "run.jsonl", "--out", "run.jsonl"], "run.jsonl: it is named twice"),
        (["x.toml", "--out", "run", "--json", "run"], "run: it is named twice"),
    ],
)
def test_wrong_usage_is_found_before_anything_is_recorded(
    words: list[str], text: str, tmp_path: Path
) -> None:
    finished = command("trace", *words, cwd=tmp_path)
    assert finished.exit_code == 2, finished
    assert text in finished.stderr
    assert "Traceback" not in finished.stderr


def test_junk_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text('{"pbactors trace": 1}\njunk\n')
    finished = command("trace", "--from", "run.jsonl", cwd=tmp_path)
    assert finished.exit_code == 1, finished
    assert "run.jsonl:2: no JSON" in finished.stderr
    assert "Traceback" not in finished.stderr

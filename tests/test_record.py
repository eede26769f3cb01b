"""Recording a live cluster: what silence and new lives of nodes look like."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pbactors
from pbactors import start_node
from pbactors.record import Recording, record
from pbactors.trace import Moment, Sort
from pbactors.trace.tape import SILENT_MS
from tests.processes import DEADLINE_S, PBACTORS, free_topology, running, wait_until


class Tape:
    """A recording in a thread of its own, until somebody stops it."""

    def __init__(self, topology: pbactors.Topology) -> None:
        self.passed_s = 0.0
        self._stop = threading.Event()
        self._recording: Recording | None = None
        self._topology = topology
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        def noted(passed_s: float) -> None:
            self.passed_s = passed_s

        self._recording = record(self._topology, DEADLINE_S, stop=self._stop.is_set, progress=noted)

    def asks_again(self) -> None:
        """Wait until every node that runs was asked once more, and has had time to answer."""
        for _ in range(3):
            before_s = self.passed_s
            wait_until(lambda before_s=before_s: self.passed_s > before_s, what="another round")

    def stop(self) -> Recording:
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert self._recording is not None
        return self._recording


@contextmanager
def recorded(topology: pbactors.Topology) -> Iterator[Tape]:
    tape = Tape(topology)
    try:
        tape.asks_again()
        yield tape
    finally:
        tape.stop()


def of(recording: Recording, node: str, *sorts: Sort) -> list[Moment]:
    return [moment for moment in recording.trace if moment.node == node and moment.sort in sorts]


def test_a_node_that_comes_back_is_another_life(tmp_path: Path) -> None:
    topology = pbactors.load(free_topology(tmp_path, replicas=2))
    with start_node(topology, "view", form_new=True), start_node(topology, "a"):
        node = start_node(topology, "b")
        with recorded(topology) as tape:
            node.stop()
            tape.asks_again()
            with start_node(topology, "b"):
                wait_until(lambda: "b" in pbactors.ask_nodes(topology), what="b")
                tape.asks_again()
            recording = tape.stop()
    lives = of(recording, "b", Sort.STOPPED, Sort.STARTED)
    assert [moment.sort for moment in lives][:2] == [Sort.STOPPED, Sort.STARTED]
    assert recording.silent == ()
    assert not recording.missed


def test_a_node_that_is_frozen_is_paused_until_it_answers_again(tmp_path: Path) -> None:
    path = free_topology(tmp_path, replicas=2)
    topology = pbactors.load(path)

    def counted_alive() -> bool:
        return pbactors.ask_nodes(topology)["view"].alive["b"].alive

    with (
        start_node(topology, "view", form_new=True),
        start_node(topology, "a"),
        running([*PBACTORS, "node", path, "b"]) as frozen,
    ):
        frozen.wait_for("serves at")
        wait_until(counted_alive, what="b to be alive")
        with recorded(topology) as tape:
            frozen.send_signal(signal.SIGSTOP)
            shown_s = time.monotonic() + 2 * SILENT_MS / 1000
            wait_until(lambda: time.monotonic() > shown_s, what="a silence that is shown")
            wait_until(lambda: not counted_alive(), what="b to count as dead")
            frozen.send_signal(signal.SIGCONT)
            wait_until(counted_alive, what="b to be alive again")
            tape.asks_again()
            recording = tape.stop()
    assert [moment.sort for moment in of(recording, "b", Sort.PAUSED, Sort.RESUMED)] == [
        Sort.PAUSED,
        Sort.RESUMED,
    ]
    assert not of(recording, "b", Sort.STOPPED, Sort.STARTED)


def test_who_never_answers_is_silent(tmp_path: Path) -> None:
    topology = pbactors.load(free_topology(tmp_path, replicas=1))
    with start_node(topology, "view", form_new=True):
        recording = record(topology, 0.5)
    assert recording.silent == ("a",)
    assert {moment.node for moment in recording.trace} == {"view"}

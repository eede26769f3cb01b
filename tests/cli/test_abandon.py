"""``pbactors abandon``: gives up what is lost, asks first, and never takes what is not lost."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import PBACTORS, free_topology, pid_is_alive, running, wait_until

from .shell import example_in, pbactors, pids_of, result_of, status_of, up, view_of


@contextmanager
def stuck_cluster(folder: Path, replicas: int = 1) -> Iterator[Path]:
    """A cluster with one key, whose primary and backup were killed, and came back empty."""
    topology = free_topology(folder, replicas=replicas)
    with up(topology) as process:
        assert result_of("call", topology, "append", "key", "old") == "old"
        names = ["a"]
        if replicas > 1:
            view = view_of(topology)
            names = [view["primary"], view["backup"]]
        pids = pids_of(process)
        for name in names:
            os.kill(pids[name], signal.SIGSTOP)  # so that neither sees the other go
        for name in names:
            os.kill(pids[name], signal.SIGKILL)
        for name in names:  # until it is gone its addresses are taken
            pid = pids[name]
            wait_until(lambda pid=pid: not pid_is_alive(pid), what=f"{name} has ended")
        with running([*PBACTORS, "node", topology, names[0]]) as back:
            back.wait_for("joined cluster")
            wait_until(lambda: is_stuck(topology), what="the view server says that it is stuck")
            yield topology


def is_stuck(topology: Path) -> bool:
    return bool(status_of(topology)["nodes"][0]["stuck"])


def test_a_lost_cluster_makes_room_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "topology").mkdir()
    with stuck_cluster(tmp_path / "topology") as topology:
        code, _, stderr = pbactors("call", topology, "get", "key", "--timeout", "0.5")
        assert (code, "The cluster is stuck: last holder" in stderr) == (1, True), stderr
        before = status_of(topology)
        example = example_in(pbactors("abandon", "--help").stdout)
        code, stdout, stderr = pbactors(*example, cwd=tmp_path)
        assert code == 0
        assert f"Cluster 'local', id {before['cluster']}: stuck: last holder" in stderr
        assert f"Its last view is {before['view']['number']}" in stderr
        assert "the state was held by a." in stderr
        assert "View 1: primary a, no backup yet. It is empty." in stdout
        after = status_of(topology)
        assert after["cluster"] != before["cluster"]
        assert after["cluster"] in stdout
        assert result_of("call", topology, "get", "key") is None
        assert result_of("call", topology, "append", "key", "new") == "new"


def test_all_replicas_that_are_reachable_come_along(tmp_path: Path) -> None:
    with stuck_cluster(tmp_path, replicas=3) as topology:
        assert pbactors("abandon", topology, "--yes").exit_code == 0
        view = view_of(topology)
        assert view["number"] >= 2
        assert result_of("call", topology, "get", "key") is None


def test_a_cluster_that_serves_is_not_given_up(served: Path) -> None:
    before = status_of(served)
    code, stdout, stderr = pbactors("abandon", served, "--yes")
    assert (code, stdout) == (1, "")
    assert "Error: view refuses: " in stderr
    assert status_of(served)["cluster"] == before["cluster"]


def test_without_a_terminal_it_wants_to_be_told(served: Path) -> None:
    code, stdout, stderr = pbactors("abandon", served)
    assert (code, stdout) == (2, "")
    assert "Giving it up loses everything" in stderr
    assert "--yes" in stderr


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_a_person_may_say_no(answer: str, served: Path) -> None:
    person, terminal = pty.openpty()
    try:
        with running([*PBACTORS, "abandon", served], stdin=terminal) as process:
            process.wait_for("Give up cluster 'local'? [y/N]", stream="stderr")
            os.write(person, answer.encode())
            assert process.wait() == 1
            assert "nothing was done" in process.stderr
            assert process.stdout == ""
    finally:
        os.close(person)
        os.close(terminal)


def test_without_the_view_server_it_says_what_to_do(tmp_path: Path) -> None:
    code, stdout, stderr = pbactors("abandon", free_topology(tmp_path), "--yes")
    assert (code, stdout) == (1, "")
    assert "view server view does not answer" in stderr
    assert "--new" in stderr

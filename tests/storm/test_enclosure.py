"""Whatever ends a storm, nothing of it is left; and links that are cut are cut."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import pid_is_alive, wait_until
from tests.storm.cluster import CLIENTS, HOSTS, REPOSITORY
from tests.storm.enclosure import enclosed
from tests.storm.running_storm import descendants, need_links, program, start

pytestmark = pytest.mark.storm


@pytest.fixture(autouse=True)
def links() -> None:
    need_links()


@pytest.fixture
def storming() -> Iterator[tuple[subprocess.Popen[bytes], set[int]]]:
    """Yield a storm that has begun, and all its processes."""
    with start("--seconds", "600") as (process, folder):
        log = folder / "storm.log"
        try:
            wait_until(lambda: begun(log) or process.poll() is not None, 100, "a storm")
            assert process.poll() is None, log.read_text()
            processes = descendants(process.pid)
            assert len(processes) >= len(HOSTS) + len(CLIENTS) + 1
            yield process, processes
        finally:
            shutil.rmtree(folder)


def begun(log: Path) -> bool:
    return log.exists() and "wave 1 of" in log.read_text()


def interrupt(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does at Ctrl-C


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()


def leave_alone(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def interfaces_of_storms() -> list[str]:
    return [name for name in os.listdir("/sys/class/net") if name.startswith(("storm", "port"))]


@pytest.mark.parametrize("end", [interrupt, kill, leave_alone])
def test_nothing_is_left_behind(
    storming: tuple[subprocess.Popen[bytes], set[int]],
    end: Callable[[subprocess.Popen[bytes]], None],
) -> None:
    process, processes = storming
    assert not interfaces_of_storms(), "it is not as enclosed as it should be"
    end(process)
    process.wait(30)
    wait_until(lambda: not any(map(pid_is_alive, processes)), what="the end of all processes")
    assert not interfaces_of_storms()


def test_links_that_are_cut_are_cut(tmp_path: Path) -> None:
    inside = str(Path(__file__).with_name("inside_enclosure.py"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", inside]
    done = subprocess.run(
        enclosed(command), cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_options_are_refused() -> None:
    for options in (["--nemeses", "locusts"], ["--seconds", "0"], ["--loopback"]):
        done = subprocess.run(
            program(*options), cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "kills,stops" in done.stderr

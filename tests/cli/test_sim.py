"""``pbactors sim``: many seeds, one, a class of one's own, and what it says of one that breaks."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path

import pytest

from tests.processes import PBACTORS, children_of, pid_is_alive, running, wait_until

from .shell import pbactors

KV = "pbactors.machines.kv:KeyValueStore"
RIGGED = """
import random
from pbactors import StateMachine, command, query


class Dice(StateMachine):
    def __init__(self) -> None:
        self.thrown: list[int] = []

    @command
    def throw(self, sides: int) -> int:
        print("thrown")
        self.thrown.append(random.randint(1, abs(sides) + 1000))
        return self.thrown[-1]

    @query
    def total(self) -> int:
        return sum(self.thrown)
"""

HASHED = """
from pbactors import StateMachine, command


class Draw(StateMachine):
    def __init__(self) -> None:
        self.names: list[str] = []

    @command
    def put(self, name: str) -> None:
        self.names.append(name)

    @command
    def any(self) -> str:
        return "".join(set(self.names))
"""
BOMB = """
import os
import signal
from pbactors import StateMachine, command


class Bomb(StateMachine):
    def __init__(self) -> None:
        self.count = 0

    @command
    def add(self) -> int:
        self.count += 1
        if self.count > 150:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.count
"""


def test_many_seeds_end_in_a_table() -> None:
    finished = pbactors("sim", KV, "--seeds", "12", "--first", "100", "--jobs", "2")
    assert finished.exit_code == 0, finished
    assert finished.stdout.startswith("seeds       100 to 111, 320 client operations each")
    assert "\nschedules   12 (" in finished.stdout
    assert "verdict     every promise held" in finished.stdout
    assert finished.stderr == "", "no progress bar where there is no terminal"


def test_json_stands_alone() -> None:
    words = ("sim", KV, "--seeds", "2", "--operations", "30", "--workload", "register", "--json")
    found = json.loads(pbactors(*words).stdout)
    assert found["schedules"] == 2
    assert found["operations"] >= 60
    assert found["counted"] == 0, "too few operations to count"
    assert found["broken"] == []
    assert sum(found["outcomes"].values()) == 2
    assert found["operations_per_cpu_second"] > 0


def test_one_seed_is_told_and_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "run.html"
    words = ("--seed", "17", "--plan", "clients=2 operations=9 actions=1", "--trace")
    finished = pbactors("sim", KV, *words, "--picture", picture)
    assert finished.exit_code == 0, finished
    assert finished.stdout.startswith("seed 17: ")
    assert "view 1: primary" in finished.stdout
    assert "verdict   every promise held" in finished.stdout
    assert picture.read_text().lower().startswith("<!doctype html>")
    again = pbactors("sim", KV, *words)
    assert again.stdout == finished.stdout


def test_a_class_of_ones_own_that_breaks_is_made_small_and_replayed(tmp_path: Path) -> None:
    (tmp_path / "dice.py").write_text(RIGGED)
    finished = pbactors("sim", "dice:Dice", "--seeds", "4", cwd=tmp_path)
    assert finished.exit_code == 1, finished
    assert "BROKEN    seed 0: R2" in finished.stdout
    assert "Made as small as it gets:" in finished.stdout
    replay = finished.stdout.splitlines()[-1]
    assert replay.startswith("replay    pbactors sim dice:Dice --seed 0 --plan ")
    again = pbactors(*shlex.split(replay)[2:], cwd=tmp_path)
    assert again.exit_code == 1, again
    assert "BROKEN    R2" in again.stdout
    found = json.loads(pbactors("sim", "dice:Dice", "--seeds", "1", "--json", cwd=tmp_path).stdout)
    assert found["broken"][0]["seed"] == 0
    assert found["smallest"]["replay"].startswith("pbactors sim dice:Dice --seed 0")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere:Class"], "cannot be imported"),
        ([KV, "--seed", "1", "--plan", "clients=0"], "Expected a whole number from 1"),
        ([KV, "--plan", "clients=1"], "Add --seed, for example --seed 17"),
        ([KV, "--seed", "1", "--seeds", "2"], "Give one of them"),
        ([KV, "--workload", "nothing"], "Expected one of: "),
        ([KV, "--picture", "nowhere/x.html"], "there is no folder 'nowhere'"),
    ],
)
def test_wrong_usage_is_explained(words: list[str], expected: str) -> None:
    finished = pbactors("sim", *words)
    assert finished.exit_code == 2, finished
    assert expected in " ".join(finished.stderr.split())


def test_a_class_that_iterates_over_a_set_is_found_out(tmp_path: Path) -> None:
    """All copies of a simulated run hash texts alike; those of a cluster do not."""
    (tmp_path / "lucky.py").write_text(HASHED)
    finished = pbactors("sim", "lucky:Draw", "--seeds", "4", "--jobs", "2", cwd=tmp_path)
    assert finished.exit_code == 1, finished
    assert "the order of a set" in finished.stdout
    assert "verdict" not in finished.stdout
    assert "with PYTHONHASHSEED=1 this run goes another way than with 2" in finished.stdout
    assert "in full   pbactors sim lucky:Draw --seed " in finished.stdout


def test_a_class_that_ends_its_process_is_named_with_its_seed(tmp_path: Path) -> None:
    (tmp_path / "bomb.py").write_text(BOMB)
    finished = pbactors("sim", "bomb:Bomb", "--seeds", "4", "--jobs", "2", cwd=tmp_path)
    assert finished.exit_code == 1, finished
    assert "was killed by SIGKILL" in finished.stderr
    assert "run it alone: pbactors sim bomb:Bomb --seed " in finished.stderr


def test_workers_end_with_the_first_process() -> None:
    with running([*PBACTORS, "sim", KV, "--seeds", "100000", "--jobs", "2"]) as process:
        process.wait_for("seeds  ")
        wait_until(lambda: len(workers_of(process.pid)) == 2, what="two workers")
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(map(pid_is_alive, workers)), what="the workers' end")


def workers_of(pid: int) -> list[int]:
    return [child for child, words in children_of(pid).items() if "spawn_main" in " ".join(words)]


def test_ctrl_c_ends_at_once_with_the_tally_so_far() -> None:
    with running([*PBACTORS, "sim", KV, "--seeds", "100000", "--jobs", "1"]) as process:
        process.wait_for("seeds  ")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert "schedules   " in process.stdout
        assert "verdict     interrupted after " in process.stdout
        assert "Traceback" not in process.stderr

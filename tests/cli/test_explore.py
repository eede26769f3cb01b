"""``pbactors explore``: what it prints, and what it refuses."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.processes import PBACTORS, running

from .shell import pbactors

KV = "pbactors.machines.kv:KeyValueStore"

FORGETFUL = '''
import pbactors


class Forgetful(pbactors.StateMachine):
    """Counts in a place that is not its state."""

    calls = 0

    def __init__(self) -> None:
        self.last = 0

    @pbactors.command
    def count(self) -> int:
        type(self).calls += 1
        self.last = type(self).calls
        return self.last
'''


def test_a_small_cluster_is_exhausted() -> None:
    finished = pbactors("explore", KV, "--calls", "1", "--checks", "0", "--pings", "0")
    assert finished.exit_code == 0, finished
    first, *_, last = finished.stdout.splitlines()
    assert first == "nodes     view, a, b, client 1"
    assert last == ("verdict   every promise holds in every state within these bounds: exhausted")
    assert "bounds    timers per node: ping 0, ping check 0, resend 1, retry 1;" in finished.stdout


def test_json_is_the_whole_output() -> None:
    finished = pbactors("explore", KV, "--states", "2000", "--restarts", "1", "--json")
    assert finished.exit_code == 0, finished
    found = json.loads(finished.stdout)
    assert found["states"] >= 2000
    assert (found["exhausted"], found["violation"], found["path"]) == (False, None, [])


def test_a_class_of_ones_own_is_found_out(tmp_path: Path) -> None:
    """MACHINE is looked for in the current folder; the way to the violation is printed."""
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    words = ("--calls", "1", "--picture", "way.html")
    finished = pbactors("explore", "forgetful:Forgetful", *words, cwd=tmp_path)
    assert finished.exit_code == 1, finished
    assert "BROKEN    copies_are_equal: view 2: equal op 2, different states" in finished.stdout
    assert "client 1  -> a         Request view 1: open a session (client 1)" in finished.stdout
    assert "copies_are_equal: view 2" in (tmp_path / "way.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise SystemExit(0)", "it raised SystemExit: 0"),
        ("raise ValueError('no')", "it raised ValueError: no"),
    ],
)
def test_a_class_that_nobody_can_make_is_no_success(body: str, error: str, tmp_path: Path) -> None:
    lines = ["from pbactors import StateMachine, command", "class Odd(StateMachine):"]
    lines += ["    def __init__(self):", f"        {body}"]
    lines += ["    @command", "    def go(self) -> None: ..."]
    (tmp_path / "odd.py").write_text("\n".join(lines))
    for words in (["explore", "odd:Odd"], ["sim", "odd:Odd", "--seeds", "1"]):
        finished = pbactors(*words, cwd=tmp_path)
        assert finished.exit_code == 2, finished
        assert error in " ".join(finished.stderr.split())


def test_ctrl_c_tells_how_far_it_came() -> None:
    with running([*PBACTORS, "explore", KV, "--restarts", "1"]) as process:
        process.wait_for("bounds  ")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert "verdict   interrupted after " in process.stdout
        assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["kv"], "MACHINE is 'kv'. Expected module:Class"),
        (["pbactors.machines.kv:Nothing"], "cannot be imported: AttributeError"),
        ([KV, "--workload", "bank"], "--workload is 'bank'. Expected one of: kv, register"),
        ([KV, "--replicas", "0"], "Invalid value for '--replicas'"),
        ([KV, "--begin", "middle"], "Invalid value for '--begin'"),
        ([KV, "--picture", "nowhere/x.html"], "there is no folder 'nowhere'"),
    ],
)
def test_wrong_usage_is_explained(words: list[str], error: str) -> None:
    finished = pbactors("explore", *words)
    assert finished.exit_code == 2
    assert error in finished.stderr
    assert "Traceback" not in finished.stderr


def test_from_nothing_a_cluster_forms_in_every_way() -> None:
    words = ("--begin", "nothing", "--replicas", "1", "--calls", "1", "--pings", "2")
    finished = pbactors("explore", KV, *words, "--json")
    assert json.loads(finished.stdout)["exhausted"] is True

"""``tools/demo`` itself, with real processes and real kills, for a few seconds."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

from tests.processes import running, wait_until

ROOT = Path(__file__).parent.parent.parent
DEMONSTRATION = [sys.executable, "-m", "demonstration"]


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tools")]),
        "TMPDIR": str(tmp_path),
    }


def group(leader: int) -> dict[int, str]:
    """Return the command lines of a process group's living members, by process id."""
    members = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, of_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == leader and state != "Z":
                members[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return members


def test_a_short_storm_loses_nothing(tmp_path: Path) -> None:
    options = ["--seconds", "4", "--kills", "2", "--seed", "7"]
    with running([*DEMONSTRATION, *options], environment=environment(tmp_path)) as demo:
        assert demo.wait(90) == 0
        assert not group(demo.pid), "a process was left behind"
        told = demo.stdout
    operations = re.search(r"^operations +([\d,]+) acknowledged, 0 not$", told, re.MULTILINE)
    assert operations is not None
    assert int(operations[1].replace(",", "")) > 500
    assert re.search(r"^kills +2: ", told, re.MULTILINE)
    assert told.count("kill -9") == 2
    assert told.count("starts again, empty") == 2
    assert "every acknowledged line is there, once and in order" in told
    assert not list(tmp_path.iterdir()), "files were left behind"


def test_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    command = [*DEMONSTRATION, "--seconds", "600", "--kills", "500"]
    with running(command, environment=environment(tmp_path)) as demo:
        demo.wait_for("kill -9", 60)
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(10) == 130
        assert not group(demo.pid), "a process was left behind"
    assert not list(tmp_path.iterdir()), "files were left behind"


def test_what_is_not_the_storm_is_a_failure(tmp_path: Path) -> None:
    command = [*DEMONSTRATION, "--seconds", "600", "--kills", "0"]
    with running(command, environment=environment(tmp_path)) as demo:
        demo.wait_for("backup")
        members = wait_until(lambda: group(demo.pid), what="the processes of the demonstration")
        (view_server,) = (pid for pid, command in members.items() if " view " in command)
        os.kill(view_server, signal.SIGKILL)
        assert demo.wait(10) == 1
        assert not group(demo.pid), "a process was left behind"
        assert "node view ended with code -9" in demo.stdout
        assert "WRONG" in demo.stdout


def test_a_text_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    command = [*DEMONSTRATION, "--text", str(tmp_path / "none.txt")]
    with running(command, environment=environment(tmp_path)) as demo:
        assert demo.wait() == 2
        assert "none.txt" in demo.stderr

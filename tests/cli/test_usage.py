"""What every command has in common: help that works, exit codes, errors without a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pbactors.version import __version__
from tests.processes import PBACTORS, free_topology, running

from .shell import example_in, pbactors

COMMANDS = ["up", "node", "call", "status", "tail", "check", "abandon", "trace"]


def test_version() -> None:
    assert pbactors("--version") == (0, f"pbactors {__version__}\n", "")


def test_help_names_every_command_and_the_exit_codes() -> None:
    code, stdout, stderr = pbactors("--help")
    assert (code, stderr) == (0, "")
    assert all(f"\n  {command}" in stdout for command in COMMANDS)
    assert "0 fine, 1 the operation failed, 2 wrong usage or topology" in stdout
    assert example_in(stdout)[0] == "up"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example_of_it(command: str) -> None:
    code, stdout, _ = pbactors(command, "--help")
    assert code == 0
    assert example_in(stdout)[0] == command
    assert "TOPOLOGY" in stdout


@pytest.mark.parametrize("command", ["call", "status", "tail", "check"])
def test_the_example_in_the_help_works(command: str, served: Path) -> None:
    example = example_in(pbactors(command, "--help").stdout)
    assert example[1] == "topology/local.toml"
    code, stdout, stderr = pbactors(*example, cwd=served.parent.parent)
    assert (code, stderr) == (0, "")
    assert stdout


@pytest.mark.parametrize(("command", "line"), [("up", "The cluster serves"), ("node", "serves at")])
def test_the_example_of_a_command_that_stays_works(command: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "topology").mkdir()
    free_topology(tmp_path / "topology", replicas=2)
    example = example_in(pbactors(command, "--help").stdout)
    with running([*PBACTORS, *example], cwd=tmp_path) as process:
        process.wait_for(line)


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["up"],
        ["node", "x.toml"],
        ["call", "x.toml"],
        ["status", "x.toml", "more"],
        ["tail", "x.toml", "--count", "0"],
        ["check", "x.toml", "--wrong"],
        ["call", "x.toml", "get", "--timeout", "0"],
        ["call", "x.toml", "get", "--timeout", "nan"],
        ["call", "x.toml", "get", "--timeout", "inf"],
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_text_on_stderr(words: list[str]) -> None:
    code, stdout, stderr = pbactors(*words)
    assert (code, stdout) == (2, "")
    assert "Usage: pbactors" in stderr
    assert "Error: " in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_topology_is_exit_code_2_with_all_its_mistakes(
    command: str, tmp_path: Path
) -> None:
    topology = tmp_path / "wrong.toml"
    topology.write_text('[cluster]\nname = ""\nmachine = "kv"\n')
    more = {"node": ["a"], "call": ["get", "x"]}.get(command, [])
    code, stdout, stderr = pbactors(command, topology, *more)
    assert (code, stdout) == (2, "")
    assert f"{topology}:2: " in stderr
    assert f"{topology}:3: " in stderr
    assert "nodes" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("library", ["click", "rich"])
def test_without_its_libraries_it_says_what_to_install(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import pbactors.__main__ as m; m.main()"
    with running([sys.executable, "-c", code]) as process:
        assert process.wait() == 2
        assert process.stdout == ""
        assert library in process.stderr
        assert "pip install 'pbactors[cli]'" in process.stderr
        assert "Traceback" not in process.stderr

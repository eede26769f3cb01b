"""The examples work for whoever copies them. ``docs/embedding.md`` has ``embedding.py`` run too."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.processes import PBACTORS, free_ports, running

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the examples whose cluster is on free ports."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__", "var"))
    topology = folder / "bank.toml"
    text = topology.read_text()
    for place in range(4):
        for fixed in (f":75{place}0", f":75{place}1"):
            assert fixed in text
            text = text.replace(fixed, f":{free_ports(1)[0]}")
    topology.write_text(text)
    return folder


def test_the_tests_of_the_bank_pass(copy: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_bank.py"]
    with running(command, cwd=copy) as process:
        assert process.wait() == 0
        assert "3 passed" in process.stdout


def test_the_bank_does_from_a_shell_what_its_docstring_says(copy: Path) -> None:
    docstring = (copy / "bank.py").read_text().split('"""')[1]
    typed = [line.split() for line in docstring.splitlines() if line.startswith("    pbactors ")]
    assert [words[1] for words in typed] == ["up", "call", "call", "call"]
    with running([*PBACTORS, *typed[0][1:]], cwd=copy.parent) as up:
        up.wait_for("The cluster serves")
        for words in typed[1:]:
            with running([*PBACTORS, *words[1:]], cwd=copy.parent) as call:
                assert call.wait() == 0
                result = json.loads(call.stdout)
    assert [booking["$tuple"][2] for booking in result] == [30]

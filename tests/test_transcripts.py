"""Runs as texts: what is written in ``tests/transcripts`` is what happens.

``pytest tests/test_transcripts.py --rewrite`` writes what happens now; read the diff.
"""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest

from tests.transcripts.commands import Conductor
from tests.transcripts.script import rewritten

FOLDER = Path(__file__).parent / "transcripts"
TRANSCRIPTS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_what_is_written_happens(path: Path, request: pytest.FixtureRequest) -> None:
    after = rewritten(path, Conductor().run)
    if request.config.getoption("--rewrite"):
        path.write_text(after)
    diff = unified_diff(
        path.read_text().splitlines(), after.splitlines(), "written", "happens", lineterm=""
    )
    text = "\n".join(diff)
    assert not text, f"{path.name}: --rewrite writes what happens now\n{text}"


def test_there_is_a_transcript_of_each_subject() -> None:
    assert {path.stem for path in TRANSCRIPTS} >= {
        "deposed_primary",
        "failover",
        "first_views",
        "lost_confirmations",
        "transfer_under_writes",
        "view_server_restart",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> pong a\n", "t.txt, line 1: no command 'pong'. Expected one of call, check,"),
        ("Hm.\n\n> ping a\n", "t.txt, line 3: 'ping a': 'a' does not run"),
        ("> deliver Forward\n", "t.txt, line 1: no such message is in flight"),
        ("> start view a\n> deliver Pong\n", "t.txt, line 2: 'Pong' names no messages"),
        ("Hm.\n    output\n", "t.txt, line 2: output without a command in front of it"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match="^" + expected.replace(".", r"\.")):
        rewritten(path, Conductor().run)

"""Starts ``python -m tests.storm`` for tests, and leaves nothing of it behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Final

import pytest

from tests.processes import children_of
from tests.storm.cluster import REPOSITORY
from tests.storm.enclosure import missing

__all__ = ["LONG", "descendants", "need_links", "program", "start"]

LONG: Final = os.environ.get("PBACTORS_LONG") == "1"
"""Whether everything has to be possible: set by ``tools/test --long``."""


def need_links() -> None:
    """Skip the test, or fail it if ``LONG``, where no links can be cut, and say what is missing."""
    why_not = missing()
    if why_not is not None:
        (pytest.fail if LONG else pytest.skip)(f"no links can be cut here: {why_not}")


def program(*options: str) -> list[str]:
    """Return the command of a storm."""
    return [sys.executable, "-m", "tests.storm", *options]


@contextmanager
def start(*options: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start a storm and yield it with its folder; its standard output is that of this process.

    The folder is left to the caller.
    """
    folder = Path(tempfile.mkdtemp(prefix="pbactors-storm-"))
    with subprocess.Popen(
        program(*options, "--folder", str(folder), "--with-stdin"),
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process, folder
        finally:
            if process.poll() is None:  # only then is its group certainly still its own
                os.killpg(process.pid, SIGKILL)


def descendants(pid: int) -> set[int]:
    """Return the living processes below one, as far as they have not lost their parents."""
    found = set[int]()
    for child in children_of(pid):
        found |= {child} | descendants(child)
    return found

"""What the benchmarks say: progress while they work, tables for people, JSON lines for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pbactors

__all__ = ["Report", "table"]


class Report:
    """Where figures go.

    Args:
        path: the file for JSON lines, or None.

    Raises:
        RuntimeError: it cannot be written; better now than when all is measured.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is None:
            return
        try:
            path.open("a", encoding="utf-8").close()
        except OSError as error:
            raise RuntimeError(
                f"--json {path} cannot be written: {error.strerror}. Expected a file in a folder "
                "that exists; for example: --json found.jsonl"
            ) from None

    def append(self, row: dict[str, object]) -> None:
        """Append a line, with when and where it was measured."""
        if self._path is None:
            return
        where = {
            "time": round(time.time()),
            "version": pbactors.__version__,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, **where}) + "\n")

    def progress(self, text: str) -> None:
        """Show on a terminal what is measured now; an empty text removes it."""
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with the first column to the left and the others to the right."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in (heads, *rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)

"""Who writes what where. Client and judge read the same script."""

from __future__ import annotations

import textwrap
from pathlib import Path

__all__ = ["PREFIX", "Script"]

PREFIX = "page-"
"""How every key begins."""

LINES_PER_PAGE = 8
"""Of each client. A value stays small, since every append returns the whole of it."""

COLUMNS = 100
"""Longer lines of a text are wrapped."""


class Script:
    """The lines of a text, over and over, spread over pages that all clients write on.

    Every line begins with its client and number, so no two appends are the same. The number decides
    the page, so clients that are equally fast are on the same page at the same time.

    Args:
        text: what to write; blank lines are left out.

    Raises:
        ValueError: there is nothing in it.
    """

    def __init__(self, text: str) -> None:
        self._lines = [part for line in text.splitlines() for part in textwrap.wrap(line, COLUMNS)]
        if not self._lines:
            raise ValueError("the text is empty")

    @classmethod
    def of(cls, path: Path) -> Script:
        """Return the script for a text file in UTF-8.

        Raises:
            OSError: it cannot be read.
            ValueError: it is empty, or no text in UTF-8.
        """
        return cls(path.read_text(encoding="utf-8"))

    def line(self, client: int, number: int) -> str:
        """Return what a client appends as its ``number``-th, from 1, with the line's end."""
        return f"{client} {number} {self._lines[(number - 1) % len(self._lines)]}\n"

    def key(self, number: int) -> str:
        """Return where it appends that."""
        return f"{PREFIX}{(number - 1) // LINES_PER_PAGE}"

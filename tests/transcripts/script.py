"""The form of a transcript: prose at the margin, commands behind ``>``, their output indented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["INDENT", "Part", "read", "rewritten"]

INDENT = "    "
PROMPT = "> "


@dataclass
class Part:
    """A command with the prose in front of it.

    Attributes:
        prose: the lines in front of the command, as they stand; of the last part those at the end.
        command: without its prompt; empty where only prose is left.
        line: where the command stands, from 1.
        output: the recorded lines, without indentation.
    """

    prose: list[str] = field(default_factory=list)
    command: str = ""
    line: int = 0
    output: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the part as it stands in the file."""
        command = [PROMPT + self.command] if self.command else []
        return [*self.prose, *command, *(INDENT + line for line in self.output)]


def read(path: Path) -> list[Part]:
    """Return the parts of a transcript.

    Raises:
        ValueError: an indented line follows no command.
    """
    parts = [Part()]
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.startswith(INDENT):
            if parts[-1].prose or len(parts) == 1:
                raise ValueError(
                    f"{path.name}, line {number}: output without a command in front of it. "
                    "Expected prose at the margin, or a command such as '> ping a'"
                )
            parts[-2].output.append(line.removeprefix(INDENT))
        elif line.startswith(PROMPT):
            parts[-1].command = line.removeprefix(PROMPT)
            parts[-1].line = number
            parts.append(Part())
        else:
            parts[-1].prose.append(line)
    return parts


def rewritten(path: Path, run: Callable[[str], list[str]]) -> str:
    """Return a transcript with what really came of its commands.

    Args:
        path: the transcript.
        run: does a command, and returns what came of it.

    Raises:
        ValueError: a command makes no sense; the text says which, and an example.
    """
    lines: list[str] = []
    for part in read(path):
        if part.command:
            try:
                part.output = run(part.command)
            except ValueError as error:
                raise ValueError(f"{path.name}, line {part.line}: {error}") from error
        lines += part.lines()
    return "\n".join(lines) + "\n"

"""The judge: what clients were told against what is there in the end.

An acknowledgement is the promise that an append has happened, once, on primary and backup. The
client notes at which place of the page it happened, as the returned value shows. Afterwards:

- every line that is there was written by a client, on this page, and stands there once;
- the lines of one client stand in the order of their numbers;
- every acknowledged line is there, at the very place that the client was shown, so what one client
  saw was never taken back or changed under it;
- a line that was sent and not acknowledged is there once or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from demonstration.script import Script

__all__ = ["Evidence", "findings"]


@dataclass(slots=True)
class Evidence:
    """What one client did and was told.

    Attributes:
        client: which one, from 1.
        ends: for each append, by number from 1: where it ended in the page, in characters, as the
            acknowledgement showed; None without one.
        gap_s: the longest wait for the next acknowledgement, in seconds.
        errors: what went wrong, in words.
    """

    client: int
    ends: list[int | None]
    gap_s: float
    errors: list[str]

    @property
    def acknowledged(self) -> int:
        """How many appends were acknowledged."""
        return len(self.ends) - self.ends.count(None)

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Evidence:
        """Read it from a file.

        Raises:
            OSError: there is none: the client came to no end.
        """
        return cls(**json.loads(path.read_text()))


def findings(
    script: Script, evidence: Sequence[Evidence], pages: Mapping[str, str]
) -> Iterator[str]:
    """Yield everything that is wrong, in words; nothing if all is well.

    Args:
        script: what was to be written.
        evidence: of every client.
        pages: every key with its value, after the last client has ended.
    """
    clients = {one.client: one for one in evidence}
    there: dict[tuple[int, int], tuple[int, str]] = {}  # (client, number): where it ends, page
    for page, value in pages.items():
        last: dict[int, int] = {}
        end = 0
        for line in value.splitlines(keepends=True):
            end += len(line)
            wrote = _author(line)
            if wrote is None or line != script.line(*wrote):
                yield f"{page}: nobody writes {line!r}"
                continue
            client, number = wrote
            if client not in clients or number > len(clients[client].ends):
                yield f"{page}: client {client} never sent its line {number}"
            elif page != script.key(number):
                yield f"{page}: line {number} of client {client} belongs to {script.key(number)}"
            elif wrote in there:
                yield f"{page}: line {number} of client {client} stands there twice"
            elif number < last.get(client, 0):
                yield f"{page}: line {number} of client {client} stands behind {last[client]}"
            there.setdefault(wrote, (end, page))
            last[client] = max(number, last.get(client, 0))
    for client, one in clients.items():
        yield from (f"client {client}: {error}" for error in one.errors)
        yield from _broken_promises(script, one, there)


def _broken_promises(
    script: Script, one: Evidence, there: Mapping[tuple[int, int], tuple[int, str]]
) -> Iterator[str]:
    for number, promised in enumerate(one.ends, start=1):
        if promised is None:
            continue
        page = script.key(number)
        found = there.get((one.client, number))
        if found is None:
            yield f"{page}: line {number} of client {one.client} was acknowledged and is not there"
        elif found != (promised, page):
            yield (
                f"{page}: line {number} of client {one.client} ended at {promised} when it was "
                f"acknowledged, and now at {found[0]} of {found[1]}"
            )


def _author(line: str) -> tuple[int, int] | None:
    """Return client and number of a line, or None if it has none."""
    client, _, rest = line.partition(" ")
    number = rest.partition(" ")[0]
    if client.isdecimal() and number.isdecimal() and int(number) > 0:
        return int(client), int(number)
    return None

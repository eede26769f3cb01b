"""Progress of long work: a bar on a terminal, and nothing where nobody would read it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["counting"]


@contextmanager
def counting(unit: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show on stderr how much is done, if that is a terminal.

    Args:
        unit: what is counted, for example ``"schedules"``.
        total: how many there will be; None where nobody knows.

    Yields:
        A function to be told how many are done.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    # Imported here, since every other command would wait for it.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(unit, total=total)
        yield lambda done: bar.update(task, completed=done)

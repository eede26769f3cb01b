"""The client processes: started, told to finish, and asked what they saw."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demonstration import appender
from demonstration.evidence import Evidence

__all__ = ["Clients", "appending"]


class Clients:
    """Processes that append until they are told to finish.

    Args:
        processes: each with the file into which it will write its evidence.
    """

    def __init__(self, processes: dict[Path, subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def ended(self) -> list[str]:
        """Say which clients have ended by themselves, which none should."""
        return [
            f"{path.stem} ended with code {process.returncode}, see {path.with_suffix('.log')}"
            for path, process in self._processes.items()
            if process.poll() is not None
        ]

    def finish(self) -> list[Evidence]:
        """Let all of them come to an end, and return what they saw.

        Raises:
            RuntimeError: one came to no end, or to a bad one.
        """
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for path, process in self._processes.items():
            try:
                code = process.wait(appender.FINISH_S + 15)
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"{path.stem} does not come to an end") from None
            if code != 0:
                raise RuntimeError(self.ended()[0])
        return [Evidence.read(path) for path in self._processes]


@contextmanager
def appending(topology: Path, text: Path, count: int) -> Iterator[Clients]:
    """Start ``count`` clients; none of them outlives the block."""
    processes: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        for client in range(1, count + 1):
            path = topology.parent / f"client-{client}.json"
            command = [sys.executable, "-m", "demonstration.appender"]
            with path.with_suffix(".log").open("wb") as log:
                processes[path] = subprocess.Popen(
                    [*command, topology, text, str(client), path],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                )
        yield Clients(processes)
    finally:
        for process in processes.values():
            process.kill()
        for process in processes.values():
            process.communicate()

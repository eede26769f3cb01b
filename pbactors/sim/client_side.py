"""Who takes what clients' cores say."""

from __future__ import annotations

from pbactors.protocol.messages import Request
from pbactors.sim.process import Process

__all__ = ["ClientSide"]


class ClientSide:
    """Who takes what clients' cores say. Does nothing; ``Callers`` does something."""

    def requested(self, process: Process, request: Request) -> None:
        """A client sends a request."""

    def completed(self, process: Process, call: int, outcome: bytes | None) -> None:
        """A call has ended."""

    def closed(self, process: Process) -> None:
        """A session has ended, as its user asked."""

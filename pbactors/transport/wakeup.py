"""A descriptor that becomes readable when another thread wants to be noticed."""

from __future__ import annotations

import socket
import threading

__all__ = ["WakeUp"]


class WakeUp:
    """One end is polled by its owner, the other is written by anyone. Many sets are one."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # Keeps a set from writing into a descriptor that was closed and given out anew. Reentrant,
        # since a signal handler may set while its own thread is here.
        self._closing = threading.RLock()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._reader.fileno()

    def set(self) -> None:
        """Make it readable. From any thread or signal handler; does nothing once closed."""
        with self._closing:
            try:
                self._writer.send(b"\0")
            except OSError:
                return  # full, so it is readable already; or closed

    def clear(self) -> None:
        """Make it unreadable, until the next set. Only for the owner."""
        try:
            while len(self._reader.recv(4096)) == 4096:
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Release both descriptors. Only for the owner; repeating it does nothing."""
        with self._closing:
            self._writer.close()
            self._reader.close()

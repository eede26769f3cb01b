"""The exclusive right to bind an ``ipc://`` path.

ZeroMQ removes whatever stands at an ``ipc://`` path before it binds, also the socket of a living
process, whose traffic it then silently takes. A lock beside the path, which ends with its process,
tells a living owner from the leftovers of a dead one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat

__all__ = ["IpcClaim"]


class IpcClaim:
    """Holds ``PATH.lock`` until it is released or the process ends.

    Args:
        path: of the socket, without ``ipc://``.

    Raises:
        OSError: someone living listens there (``EADDRINUSE``), something that is no socket stands
            there (``EEXIST``), or the folder cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock_path = f"{path}.lock"
        self._descriptor = self._lock()
        try:
            _refuse_if_taken(path)
        except OSError:
            self._unlock()
            raise

    def _lock(self) -> int:
        while True:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None
            if self._is_current(descriptor):
                return descriptor
            os.close(descriptor)  # its last owner removed the file between our two steps

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._lock_path))
        except FileNotFoundError:
            return False

    def _unlock(self) -> None:
        _remove(self._lock_path)
        os.close(self._descriptor)

    def release(self) -> None:
        """Remove the socket's path, which ZeroMQ leaves behind, and give the claim up."""
        _remove(self._path)
        self._unlock()

    def disown(self) -> None:
        """In a forked child: let go of the inherited lock, which stays the parent's."""
        os.close(self._descriptor)


def _refuse_if_taken(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "a file that is no socket stands there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass  # a living listener with a full backlog
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return

"""How a child of ``pbactors up`` ends with it, however ``up`` ends.

Two ways, since each covers what the other cannot:

- The child's stdin is the reading end of a pipe, whose writing end is open in ``up`` alone and
  never written to. The kernel closes it with ``up``, also after ``kill -9``. That works on every
  POSIX system, and cannot be missed by starting too late.
- On Linux the kernel kills the child when the thread that started it is gone: ``up``'s main thread.
  That also reaches a child that cannot notice anything, because somebody has stopped it with
  SIGSTOP or because a method of the user's class hangs with the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["end_with_parent"]

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent(on_parent_gone: Callable[[], None]) -> None:
    """Bind the life of this process to that of its parent.

    Args:
        on_parent_gone: called on a thread of its own, if the process is still there to do that.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    threading.Thread(target=_watch, args=(on_parent_gone,), daemon=True).start()


def _watch(on_parent_gone: Callable[[], None]) -> None:
    while os.read(0, 1024):
        pass
    on_parent_gone()

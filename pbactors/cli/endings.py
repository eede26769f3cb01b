"""Being asked to end, as an event among others, for the commands that run until then."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Any, Final

__all__ = ["signals_as_events"]

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_as_events(events: SimpleQueue[Any]) -> Iterator[None]:
    """Put Ctrl-C, SIGTERM and the loss of the terminal into ``events``, as ``signal.Signals``.

    A handler that only does that can strike anywhere and leaves nothing half-done: ``put`` of this
    kind of queue may interrupt itself. After the first signal a second one ends the process at
    once, without a traceback, so that impatience is never ignored. For the main thread.
    """

    def ask(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        events.put(signal.Signals(number))

    before = {each: signal.getsignal(each) for each in _ENDING}
    if before[signal.SIGHUP] is signal.SIG_IGN:  # nohup: it is meant to outlive the terminal
        del before[signal.SIGHUP]
    for each in before:
        signal.signal(each, ask)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

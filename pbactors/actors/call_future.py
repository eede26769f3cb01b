"""``CallFuture``: where the result of a call arrives, at the price of a lock.

A future of pykka's own holds a condition with two locks, and a call of ours makes one each time.
Everything else about it, ``map``, ``filter``, ``join``, ``reduce`` and ``await``, is pykka's.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pykka

__all__ = ["CallFuture"]

T = TypeVar("T")


def _patience_s(timeout: float) -> float:
    return min(max(0.0, timeout), threading.TIMEOUT_MAX)


class CallFuture(pykka.Future[T]):
    """Set once, by an actor; read from any thread, any number of times."""

    # Here rather than in each future: most of them never set more than one.
    _is_set = False
    _value: Any = None
    _error: BaseException | None = None

    def __init__(self) -> None:
        super().__init__()
        self._unset = threading.Lock()  # held until the future is set
        self._unset.acquire()

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the result; waits for it.

        Args:
            timeout: how long at most, in seconds; None for as long as it takes.

        Raises:
            pykka.Timeout: it did not come in time. It may still come.
            Exception: what the call ended with, if it has failed.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._is_set:
            if not self._unset.acquire(timeout=-1 if timeout is None else _patience_s(timeout)):
                raise pykka.Timeout(f"{timeout} seconds")
            self._unset.release()  # for whoever else waits
        if self._error is not None:
            raise self._error.with_traceback(None)
        return self._value

    def set(self, value: T | None = None) -> None:
        """Set the result.

        Raises:
            RuntimeError: it is set.
        """
        self._refuse_twice()
        self._value = value
        self._is_set = True
        self._unset.release()

    def set_exception(self, exc_info: Any = None) -> None:
        """Let the call fail with an exception: that of ``exc_info``, or the one that is handled.

        Raises:
            RuntimeError: it is set.
        """
        self._refuse_twice()
        self._error = (exc_info or sys.exc_info())[1]
        self._is_set = True
        self._unset.release()

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Let ``get`` return what a function returns.

        Raises:
            RuntimeError: it is set.
        """
        self._refuse_twice()
        super().set_get_hook(func)

    def _refuse_twice(self) -> None:
        if self._is_set or self._get_hook is not None:
            raise RuntimeError("this future is set already")

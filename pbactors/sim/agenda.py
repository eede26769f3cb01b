"""Virtual time: what shall happen when, in an order that depends on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

__all__ = ["Agenda"]


class Agenda:
    """Things to do, by time; those of the same moment in the order in which they were entered.

    Attributes:
        now_ms: the moment of what is being done.
        steps: how many things were done.
    """

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.steps = 0
        self._entered = 0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, time_ms: float, act: Callable[..., None], *arguments: Any) -> None:
        """Enter something that shall happen at ``time_ms``, or now if that is over."""
        self._entered += 1
        heappush(self._heap, (time_ms, self._entered, act, arguments))

    def after(self, delay_ms: float, act: Callable[..., None], *arguments: Any) -> None:
        """Enter something that shall happen ``delay_ms`` from now."""
        self._entered += 1
        heappush(self._heap, (self.now_ms + delay_ms, self._entered, act, arguments))

    def run(self, until_ms: float, enough: Callable[[], bool] | None = None) -> None:
        """Do one thing after the other until it is ``until_ms``, or there is ``enough``."""
        heap = self._heap
        while heap and heap[0][0] <= until_ms:
            time_ms, _, act, arguments = heappop(heap)
            if time_ms > self.now_ms:
                self.now_ms = time_ms
            self.steps += 1
            act(*arguments)
            if enough is not None and enough():
                return
        self.now_ms = max(self.now_ms, until_ms)

"""Listens to what nodes publish, for tools."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Self

from pbactors.config import Limits
from pbactors.transport.interface import Received
from pbactors.transport.zeromq import ZeroMQTransport

__all__ = ["Subscriber"]


class Subscriber:
    """Receives what publishers say on one topic. A context manager for one thread.

    Args:
        addresses: the publishers' addresses by node name. One that is not there yet is connected
            when it comes, and again after every loss.
        topic: the exact topic frame.

    Raises:
        ValueError: something is no address.
    """

    def __init__(self, addresses: Mapping[str, str], topic: bytes) -> None:
        self._addresses = addresses
        self._topic = topic
        self._transport = ZeroMQTransport(None, None, {}, Limits().message_bytes_max)
        self._arrived: deque[Received] = deque()

    def __enter__(self) -> Self:
        self._transport.open()
        try:
            for node, address in self._addresses.items():
                self._transport.subscribe(node, address, self._topic)
        except BaseException:
            self._transport.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def receive(self, timeout_ms: float | None) -> Received | None:
        """Return the next record with the name of its node, or None when time is over.

        Args:
            timeout_ms: None waits for ever.
        """
        until_s = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        while not self._arrived:
            left_ms = None if until_s is None else (until_s - time.monotonic()) * 1000
            self._transport.wait(left_ms)
            self._arrived.extend(self._transport.receive(1000))
            if not self._arrived and left_ms is not None and left_ms <= 0:
                return None
        return self._arrived.popleft()

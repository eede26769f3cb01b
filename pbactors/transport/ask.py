"""One question to many nodes at once, for tools."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pbactors.config import Limits
from pbactors.transport.zeromq import ZeroMQTransport

__all__ = ["ask_once"]


def ask_once(addresses: Mapping[str, str], body: bytes, timeout_ms: float) -> dict[str, bytes]:
    """Send ``body`` once to every node and gather the first reply of each.

    Args:
        addresses: where to ask, by node name.
        body: the request.
        timeout_ms: for all of them together.

    Returns:
        Replies by node name, as soon as all are there or time is over. A node that cannot be
        reached, or says nothing, is missing.
    """
    limits = Limits()
    transport = ZeroMQTransport(
        None, None, addresses, limits.message_bytes_max, patience_ms=timeout_ms
    )
    replies: dict[str, bytes] = {}
    until_s = time.monotonic() + timeout_ms / 1000
    transport.open()
    try:
        for node in addresses:
            transport.send(node, body)
        while len(replies) < len(addresses) and (left_s := until_s - time.monotonic()) > 0:
            transport.wait(left_s * 1000)
            for received in transport.receive(len(addresses)):
                replies.setdefault(received.node, received.body)
    finally:
        transport.close()
    return replies

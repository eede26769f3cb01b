"""One question of a tool to nodes, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping

from pbactors import wire
from pbactors.errors import MalformedMessage
from pbactors.protocol.message import Message
from pbactors.protocol.view import FRESH, Member
from pbactors.transport.ask import ask_once

__all__ = ["ask"]


def ask(
    addresses: Mapping[str, str], question: Message, timeout_s: float, cluster: bytes = b""
) -> dict[str, Message]:
    """Ask nodes once, all at the same time. Blocks; from any thread.

    Args:
        addresses: where to ask, by node name.
        question: what.
        timeout_s: how long to wait for all of them together.
        cluster: the id of the cluster that is meant; empty where any will do.

    Returns:
        Answers by node name. Who did not answer in time, or with junk, is missing.
    """
    body = wire.encode(cluster, Member("", FRESH), question)
    answers: dict[str, Message] = {}
    for name, answer in ask_once(addresses, body, timeout_s * 1000).items():
        try:
            _, answers[name] = wire.decode(answer)
        except MalformedMessage:
            continue
    return answers

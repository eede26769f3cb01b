"""What all messages share: a tag of their own in one registry, and a judgement of their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from pbactors.protocol.view import INCARNATION_BYTES

__all__ = ["CLUSTER_BYTES", "REGISTRY", "Message", "not_an_incarnation", "registered"]

CLUSTER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Message:
    """What nodes and clients exchange.

    Attributes:
        tag: tells its kind on the wire.
        bulk: whether it travels on the bulk channel, where it delays nothing else.
        without_cluster: whether a sender may say it that knows no cluster id.
    """

    tag: ClassVar[int] = -1
    bulk: ClassVar[bool] = False
    without_cluster: ClassVar[bool] = False

    def invalid(self) -> str | None:
        """Return why the fields make no sense together, or None."""
        return None


REGISTRY: dict[int, type[Message]] = {}
"""Every kind of message by its tag; filled by ``messages`` and ``tool_messages``."""

M = TypeVar("M", bound=type[Message])


def registered(kind: M) -> M:
    """Add a kind of message to the registry.

    Raises:
        ValueError: its tag is taken.
    """
    if kind.tag in REGISTRY:
        raise ValueError(f"tag {kind.tag} is taken by {REGISTRY[kind.tag].__name__}")
    REGISTRY[kind.tag] = kind
    return kind


def not_an_incarnation(value: bytes) -> str | None:
    """Return why a value is no incarnation, or None."""
    if len(value) != INCARNATION_BYTES:
        return f"an incarnation has {INCARNATION_BYTES} bytes, not {len(value)}"
    return None

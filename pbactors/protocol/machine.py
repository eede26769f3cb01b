"""What a replicated machine must offer the core.

To the core a machine executes opaque bytes and can be copied in bounded pieces. Everything a user
sees (methods, values, the context) is built on this in ``pbactors.machines``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from typing import Self

__all__ = ["Machine"]


class Machine(ABC):
    """A deterministic machine: equal histories of ``execute`` give equal states and outcomes."""

    @abstractmethod
    def execute(self, first: int, stamp: bytes, bodies: Sequence[bytes]) -> list[bytes]:
        """Execute commands in their order and return the outcome of each.

        Where they are parted into calls of this method changes no outcome. An ``Exception`` of the
        user's code is an outcome too (R52); any other ``BaseException`` passes through and stops
        the node before it confirms or answers.

        Args:
            first: place of the first command in the order, from 1; the others follow it.
            stamp: time and entropy of their batch, chosen by the primary (R26).
            bodies: the encoded commands.
        """

    @abstractmethod
    def query(self, stamp: bytes, body: bytes) -> bytes:
        """Execute one query, which changes nothing, and return its outcome.

        Args:
            stamp: the stamp of the last executed command, or empty; queries never advance it (R51).
            body: the encoded query.
        """

    @abstractmethod
    def snapshot(self, piece_bytes_max: int) -> Iterator[bytes]:
        """Yield the whole state in pieces of about ``piece_bytes_max`` bytes at most.

        The state is that of the moment of this call. Where ``executes_during_snapshot`` says no,
        nothing is executed while the iterator is in use.
        """

    @abstractmethod
    def executes_during_snapshot(self) -> bool:
        """Tell whether a snapshot that is begun now stays that of this moment while commands are
        executed (R33).
        """

    @abstractmethod
    def digest(self, before: int, outcomes: Sequence[bytes], copy: bytes) -> int:
        """Return the chained digest, of 32 bits, of the outcomes of commands (R50).

        Args:
            before: the digest of all outcomes before; 0 before any.
            outcomes: of the commands that were executed, in order. The text of an exception does
                not count.
            copy: different on each copy; it goes in where an outcome never counts as equal on two
                copies: RecursionError and MemoryError (R52).
        """

    @abstractmethod
    def blank(self) -> Self:
        """Return a machine of the same kind with nothing in it, to ``load`` a snapshot into."""

    @abstractmethod
    def load(self, piece: bytes) -> None:
        """Take the next piece of a snapshot. Only on a ``blank`` machine, in order.

        Raises:
            PbactorsError: the piece does not belong to a machine of this kind.
        """

    @abstractmethod
    def loaded(self) -> None:
        """Finish after the last piece.

        Raises:
            PbactorsError: pieces are missing.
        """

    @abstractmethod
    def clone(self) -> Self:
        """Return an independent copy with equal state."""

    @abstractmethod
    def freeze(self) -> Hashable:
        """Return something hashable, equal exactly where states are equal."""

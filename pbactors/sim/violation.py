"""What ends a run before its time."""

from __future__ import annotations

from pbactors.errors import PbactorsError

__all__ = ["Violation"]


class Violation(PbactorsError):
    """A promise is broken; the text says which, and how."""

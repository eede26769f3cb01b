"""Which Python values can be arguments, results and state, and their exact bytes.

Supported are None, bool, int of any size, float, str, bytes, list, tuple, dict, set, frozenset and
aware datetime: these very types, no subclasses. A value comes back as what it was, so a copy of
the state behaves as the original does; everything else is refused by name, with the place where it
stands. Nothing here runs code that bytes name.

:func:`pack` and :func:`unpack` are for what fits one message, :func:`split` and :class:`Assembler`
for state of any size. Functions are thread-safe; a ``Splitter`` or ``Assembler`` belongs to one
thread.
"""

from pbactors.values.assembler import Assembler
from pbactors.values.packing import holds_at_most, pack, pack_atoms, unpack, unpack_atoms
from pbactors.values.splitter import Splitter, split
from pbactors.values.supported import DEPTH_MAX, SUPPORTED_TYPES, check_state

__all__ = [
    "DEPTH_MAX",
    "SUPPORTED_TYPES",
    "Assembler",
    "Splitter",
    "check_state",
    "holds_at_most",
    "pack",
    "pack_atoms",
    "split",
    "unpack",
    "unpack_atoms",
]

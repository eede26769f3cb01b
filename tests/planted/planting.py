"""Planting a bug into the running cores, and taking it out again.

A mutant is a change of source text. The changed module is compiled, and the code of each function
that differs is swapped into the function that is in use. So nothing has to be imported anew, and
what holds a reference to a function runs the mutant too.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType

__all__ = ["Change", "planted"]


@dataclass(frozen=True)
class Change:
    """One replacement in one file of ``pbactors/protocol``.

    Attributes:
        file: its name without ``.py``.
        before: what stands there, exactly once.
        after: what stands there in the mutant.
    """

    file: str
    before: str
    after: str


@contextmanager
def planted(*changes: Change) -> Iterator[None]:
    """Run the block with these changes planted."""
    originals: list[tuple[FunctionType, CodeType]] = []
    texts: dict[str, str] = {}
    for change in changes:
        module = importlib.import_module(f"pbactors.protocol.{change.file}")
        text = texts.get(change.file) or inspect.getsource(module)
        assert text.count(change.before) == 1, f"not exactly once in {change.file}: {change.before}"
        texts[change.file] = text.replace(change.before, change.after)
    try:
        for file, text in texts.items():
            module = importlib.import_module(f"pbactors.protocol.{file}")
            mutated = _codes(compile(text, module.__file__ or file, "exec", dont_inherit=True))
            swapped = 0
            for function in _functions(module):
                code = mutated.get(function.__code__.co_qualname)
                if code is not None and code != function.__code__:
                    originals.append((function, function.__code__))
                    function.__code__ = code
                    swapped += 1
            assert swapped, f"nothing differs in {file}"
        yield
    finally:
        for function, code in reversed(originals):
            function.__code__ = code


def _codes(code: CodeType) -> dict[str, CodeType]:
    """Return the code of every function in a module, by qualified name."""
    found = {}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found[constant.co_qualname] = constant
            found |= _codes(constant)
    return found


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield every function and method that a module defines."""
    for thing in vars(module).values():
        if isinstance(thing, FunctionType) and thing.__module__ == module.__name__:
            yield thing
        elif isinstance(thing, type) and thing.__module__ == module.__name__:
            for member in vars(thing).values():
                function = member.fget if isinstance(member, property) else member
                function = getattr(function, "__func__", function)
                if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                    yield function

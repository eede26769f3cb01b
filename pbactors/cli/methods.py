"""The methods of a replicated class as words of a command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import click

from pbactors.machines import StateMachine
from pbactors.machines.state_machine import interface

__all__ = ["check_arguments", "find_method", "usage_of"]


def find_method(machine: type[StateMachine], name: str) -> Callable[..., Any]:
    """Return a command or query of the class.

    Raises:
        UsageError: there is none of that name; the text names those there are.
    """
    known = list(interface(machine))
    if name in known:
        function: Callable[..., Any] = getattr(machine, name)
        return function
    close = get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else "."
    raise click.UsageError(
        f"{machine.__qualname__} has no command or query {name!r}{meant}\n"
        f"There are: {', '.join(known) or 'none at all'}"
    )


def check_arguments(name: str, function: Callable[..., Any], values: Sequence[object]) -> None:
    """Find a wrong number of arguments before anything is sent.

    Raises:
        UsageError: saying what the method takes.
    """
    try:
        inspect.signature(function).bind(None, *values)
    except TypeError as error:
        raise click.UsageError(f"{name}: {error}. Expected: {usage_of(name, function)}") from None


def usage_of(name: str, function: Callable[..., Any]) -> str:
    """Return how to call a method, for example ``increment KEY [AMOUNT]``."""
    words = [name]
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        word = parameter.name.upper()
        if parameter.kind is parameter.VAR_POSITIONAL:
            words.append(f"[{word}]...")
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            words.append(word if parameter.default is parameter.empty else f"[{word}]")
    return " ".join(words)

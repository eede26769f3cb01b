"""Processes that help to measure: clients, and the nodes of what pbactors is held against."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

__all__ = ["pipe", "start"]

_CONTEXT = multiprocessing.get_context("spawn")


def pipe() -> tuple[Connection, Connection]:
    """Return the two ends of a pipe, one of which may go to a helper."""
    return _CONTEXT.Pipe()


def start(target: Callable[..., object], *args: object) -> BaseProcess:
    """Run ``target`` in a process that ends with ours.

    Ctrl-C goes to every process of a terminal. A helper must not be interrupted by it, with a
    traceback wherever it happens to be: whoever started it ends it.
    """
    process = _CONTEXT.Process(target=target, args=args, daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process inherits it
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process

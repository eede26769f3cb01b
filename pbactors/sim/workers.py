"""Several processes that work for this one, and end with it, however it ends.

A pool of the standard library waits for ever for what a process that was killed should have done.
Here each process has a pipe of its own, so that its death shows at once.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, process
from typing import Any, NamedTuple, TypeVar

__all__ = ["WorkerDied", "spread"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONTEXT = multiprocessing.get_context("spawn")  # forked threads and sockets help nobody


class WorkerDied(Exception):
    """A process ended while it worked.

    Attributes:
        item: what it worked on.
    """

    def __init__(self, item: Any, exit_code: int | None) -> None:
        how = "ended"
        if exit_code is not None and exit_code < 0:
            how = f"was killed by {signal.Signals(-exit_code).name}"
        elif exit_code is not None:
            how = f"ended with exit code {exit_code}"
        super().__init__(f"the process that worked on it {how}")
        self.item = item


class _Worker(NamedTuple):
    process: process.BaseProcess
    pipe: connection.Connection

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def spread(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    processes: int,
    hash_seed: int | None = None,
) -> Generator[Result, None, None]:
    """Yield what ``work`` returns for each item, in their order. Nothing goes on afterwards.

    Args:
        work: anything that can be pickled, as what it takes and returns.
        items: what to work on.
        processes: how many at most.
        hash_seed: how they hash texts, as ``PYTHONHASHSEED`` says; each in its own way if None.

    Raises:
        WorkerDied: a process ended: it was killed, or what it ran ended it.
    """
    waiting = deque(enumerate(items))
    at_work: dict[Any, tuple[_Worker, int]] = {}
    done: dict[int, Result] = {}
    due = 0
    try:
        while due < len(items):
            while waiting and len(at_work) < processes:
                worker = _start(work, hash_seed)
                at_work[worker.pipe] = worker, _next(worker, waiting)
            for pipe in connection.wait(list(at_work)):
                worker, number = at_work[pipe]
                done[number] = _result(worker, items[number])
                if waiting:
                    at_work[pipe] = worker, _next(worker, waiting)
                else:
                    worker.end()
                    del at_work[pipe]
            while due in done:
                yield done.pop(due)
                due += 1
    finally:
        for worker, _ in at_work.values():
            worker.end()


def _next(worker: _Worker, waiting: deque[tuple[int, Any]]) -> int:
    """Give a worker what is next; return which that is."""
    number, item = waiting.popleft()
    worker.pipe.send(item)
    return number


def _start(work: Callable[[Any], object], hash_seed: int | None) -> _Worker:
    ours, theirs = _CONTEXT.Pipe()
    started = _CONTEXT.Process(target=_serve, args=(work, theirs), daemon=True)
    with _hashing_by(hash_seed):
        started.start()
    theirs.close()
    return _Worker(started, ours)


@contextmanager
def _hashing_by(seed: int | None) -> Generator[None, None, None]:
    """Let processes that start meanwhile hash texts by a seed."""
    before = os.environ.get("PYTHONHASHSEED")
    if seed is not None:
        os.environ["PYTHONHASHSEED"] = str(seed)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONHASHSEED", None)
        else:
            os.environ["PYTHONHASHSEED"] = before


def _result(worker: _Worker, item: object) -> Any:
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        raise WorkerDied(item, worker.process.exitcode) from None


def _serve(work: Callable[[Any], object], pipe: connection.Connection) -> None:
    """Work until there is nothing more, or the first process is gone.

    Ctrl-C reaches the whole group, and the first process ends the others; what is printed here
    must not stand among results.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a run makes much and leaves little
    sys.stdout = sys.stderr
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        pipe.send(work(item))


def _end_with_the_first() -> None:
    first = multiprocessing.parent_process()
    if first is not None:
        connection.wait([first.sentinel])
        os._exit(1)

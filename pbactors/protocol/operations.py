"""What repeats thousands of times inside a message: plain tuples.

They travel from request to log to forward without being wrapped again, because the cost of a
wrapper is the cost of an operation:

* an *operation* is ``(session, number, floor, kind, body)``,
* a *query* is ``(query id, session, after, body)``: ``after`` is the last command before it,
* a *result* is ``(session, number, outcome)``,
* an *answer* is ``(query id, outcome)``.

Bodies and outcomes are opaque bytes; ``pbactors.machines`` gives them their meaning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

__all__ = [
    "BODY_OF",
    "KIND_OF",
    "NUMBER_OF",
    "TOKEN_BYTES",
    "Answer",
    "Kind",
    "Operation",
    "Query",
    "Result",
    "by_session",
    "in_order",
    "in_rows",
    "invalid_operation",
]

TOKEN_BYTES = 16

Operation: TypeAlias = tuple[int, int, int, int, bytes]
Query: TypeAlias = tuple[int, int, int, bytes]
Result: TypeAlias = tuple[int, int, bytes]
Answer: TypeAlias = tuple[int, bytes]

# What ``map`` can take out of many operations, without a step of the interpreter for each.
NUMBER_OF, KIND_OF, BODY_OF = itemgetter(1), itemgetter(3), itemgetter(4)


def by_session(operations: Iterable[Operation]) -> Iterator[tuple[int, list[Operation]]]:
    """Yield operations in rows of one session each; openings have session 0.

    Mostly a row is all that one client has sent, and what can be done once for a row need not be
    done for each operation.
    """
    for session, row in groupby(operations, itemgetter(0)):
        yield session, list(row)


class Kind(IntEnum):
    """What an operation does to its session."""

    OPEN = 0
    CALL = 1
    CLOSE = 2


def invalid_operation(operation: Operation) -> str | None:
    """Return why these numbers make no operation, or None."""
    session, number, floor, kind, body = operation
    if kind == Kind.CALL:
        if not 0 < floor <= number or session == 0:
            return "a call needs a session and 0 < floor <= number"
    elif kind == Kind.OPEN:
        if session or number or floor or len(body) != TOKEN_BYTES:
            return f"an opening has no numbers and a token of {TOKEN_BYTES} bytes"
    elif kind == Kind.CLOSE:
        if not 0 < floor <= number or session == 0 or body:
            return "a closing needs a session, 0 < floor <= number, and no body"
    else:
        return f"no kind of operation: {kind}"
    return None


def in_rows(
    operations: Iterable[Operation], queries: Iterable[Query]
) -> Iterator[tuple[list[Operation], list[Query]]]:
    """Yield one client's operations in rows, each with the queries right behind its last, which is
    the last that they must see.
    """
    waiting = deque(queries)
    row: list[Operation] = []
    for operation in operations:
        due: list[Query] = []
        while waiting and waiting[0][2] < operation[1]:
            due.append(waiting.popleft())
        if due:
            yield row, due
            row = []
        row.append(operation)
    yield row, list(waiting)


def in_order(
    operations: Iterable[Operation], queries: Iterable[Query]
) -> Iterator[tuple[Operation | None, Query | None]]:
    """Yield one client's operations and queries one by one, in the order of ``in_rows``."""
    for row, due in in_rows(operations, queries):
        for operation in row:
            yield operation, None
        for query in due:
            yield None, query

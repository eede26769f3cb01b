"""What must be true of what clients saw, and clients that run side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import pairwise

__all__ = ["appends_linearizable", "elements_in_order", "side_by_side"]


def appends_linearizable(appends: Iterable[tuple[str, str]]) -> bool:
    """Tell whether appends to one key, which nobody else changes, can have run one by one.

    Each result ends with what was appended, and all results, sorted by length, form a chain of
    strict prefixes in which each is exactly one append longer than the one before.

    Args:
        appends: ``(appended, result)`` of every append.
    """
    chain = sorted(appends, key=lambda append: len(append[1]))
    values = ["", *(result for _, result in chain)]
    return all(
        after == before + appended
        for (before, after), (appended, _) in zip(pairwise(values), chain, strict=True)
    )


def elements_in_order(value: str, elements: Iterable[Iterable[str]]) -> bool:
    """Tell whether ``value`` consists of these elements, each once, each client's in its order."""
    left = value
    for element in (element for client in elements for element in client):
        if value.count(element) != 1:
            return False
        left = left.replace(element, "")
    return not left and all(
        value.index(first) < value.index(second)
        for client in elements
        for first, second in pairwise(client)
    )


def side_by_side(*clients: Callable[[], None]) -> None:
    """Run these at the same time, each on a thread of its own; raise what the first one raised."""
    errors: list[BaseException] = []

    def run(client: Callable[[], None]) -> None:
        try:
            client()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]

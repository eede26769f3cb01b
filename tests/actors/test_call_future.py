"""``CallFuture`` behaves as pykka's own futures do, at the price of a lock."""

from __future__ import annotations

import asyncio
import threading

import pykka
import pytest

from pbactors.actors.call_future import CallFuture


def failed(error: Exception) -> CallFuture[object]:
    future: CallFuture[object] = CallFuture()
    future.set_exception((type(error), error, None))
    return future


def test_a_result_is_read_as_often_as_one_likes() -> None:
    future: CallFuture[int] = CallFuture()
    future.set(7)
    assert [future.get(), future.get(timeout=0)] == [7, 7]


def test_everyone_who_waits_gets_it() -> None:
    future: CallFuture[str] = CallFuture()
    found: list[str] = []
    waiting = [threading.Thread(target=lambda: found.append(future.get())) for _ in range(5)]
    for thread in waiting:
        thread.start()
    future.set("done")
    for thread in waiting:
        thread.join(timeout=10)
    assert found == ["done"] * 5


def test_who_waits_too_long_may_wait_again() -> None:
    future: CallFuture[str] = CallFuture()
    for timeout in (0, 0.01, -1):
        with pytest.raises(pykka.Timeout):
            future.get(timeout=timeout)
    waiting = threading.Timer(0.05, future.set, ["late"])
    waiting.start()
    assert future.get(timeout=float("inf")) == "late"
    waiting.join()
    assert future.get(timeout=0) == "late"


def test_a_failure_is_raised_each_time_with_a_traceback_of_its_own() -> None:
    future = failed(KeyError("key"))
    depths = []
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            future.get()
        depths.append(len(caught.traceback))
    assert depths[0] == depths[1]


def test_an_exception_under_way_is_taken_as_it_is() -> None:
    future: CallFuture[object] = CallFuture()
    try:
        raise ValueError("under way")
    except ValueError:
        future.set_exception()
    with pytest.raises(ValueError, match="under way"):
        future.get()


def test_it_is_set_once() -> None:
    future: CallFuture[int] = CallFuture()
    future.set(1)
    for again in (
        lambda: future.set(2),
        lambda: future.set_exception((ValueError, ValueError(), None)),
        lambda: future.set_get_hook(lambda _: 3),
    ):
        with pytest.raises(RuntimeError, match="set already"):
            again()
    assert future.get() == 1


def test_what_pykka_makes_of_futures_works() -> None:
    one: CallFuture[int] = CallFuture()
    two: CallFuture[int] = CallFuture()
    both = one.join(two)
    more = one.map(lambda value: value + 1)
    one.set(1)
    two.set(2)
    assert both.get() == [1, 2]
    assert more.get(timeout=1) == 2
    assert more.map(str).get() == "2"
    with pytest.raises(KeyError):
        failed(KeyError()).map(str).get()


def test_it_can_be_awaited() -> None:
    future: CallFuture[int] = CallFuture()
    future.set(5)

    async def ask() -> int:
        return await future

    assert asyncio.run(ask()) == 5

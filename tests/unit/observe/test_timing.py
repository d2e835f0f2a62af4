from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from wirework.binding.depends import kind_of
from wirework.binding.plan import Plan
from wirework.observe.timing import timed

lines: list[str] = []


async def of_async(x: int) -> int:
    return x


def of_sync(x: int) -> int:
    return x


async def of_stream(x: int) -> AsyncIterator[int]:
    try:
        yield x
        yield x
    finally:
        lines.append("closed")


def of_values(x: int) -> Iterator[int]:
    try:
        yield x
        yield x
    finally:
        lines.append("closed")


async def fails(x: int) -> int:
    raise KeyError(x)


class Taken(list[float]):
    def plan(self, function: Callable[..., Any]) -> Any:
        return timed(Plan(function, "test"), self.append)


@pytest.mark.parametrize("function", [of_async, of_sync, of_stream, of_values])
def test_a_timed_function_is_of_the_same_kind_and_name(function: Callable[..., Any]) -> None:
    found = Taken().plan(function)
    assert kind_of(found) == kind_of(function)
    assert found.__name__ == function.__name__
    assert inspect.unwrap(found) is function


async def test_each_call_is_timed_once() -> None:
    taken = Taken()
    assert await taken.plan(of_async)(1) == 1
    assert taken.plan(of_sync)(x=2) == 2
    assert len(taken) == 2
    assert all(seconds >= 0 for seconds in taken)


async def test_a_call_that_fails_is_timed_too() -> None:
    taken = Taken()
    with pytest.raises(KeyError):
        await taken.plan(fails)(1)
    assert len(taken) == 1


async def test_a_stream_is_timed_until_its_last_item() -> None:
    taken = Taken()
    stream = taken.plan(of_stream)(3)
    assert await anext(stream) == 3
    assert taken == []
    assert [value async for value in stream] == [3]
    assert len(taken) == 1
    assert list(taken.plan(of_values)(4)) == [4, 4]
    assert len(taken) == 2


async def test_a_stream_that_is_given_up_is_closed_at_once() -> None:
    lines.clear()
    taken = Taken()
    stream = taken.plan(of_stream)(3)
    await anext(stream)
    await stream.aclose()
    values = taken.plan(of_values)(3)
    next(values)
    values.close()
    assert lines == ["closed", "closed"]
    assert len(taken) == 2

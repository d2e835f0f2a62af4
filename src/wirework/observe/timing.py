"""Functions that tell how long they took."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, TypeAlias

from ..binding.plan import Plan

__all__ = ["timed"]

_Observe: TypeAlias = Callable[[float], None]
_now = time.perf_counter


def timed(plan: Plan, observe: _Observe) -> Callable[..., Any]:
    """Return the function of `plan`, of the same kind, which tells how long it took."""
    kinds = {"async": _timed_async, "async generator": _timed_stream, "generator": _timed_values}
    wrap: Callable[..., Callable[..., Any]] = kinds.get(plan.kind, _timed_sync)
    return functools.update_wrapper(wrap(plan.function, observe), plan.function)


def _timed_async(function: Any, observe: _Observe) -> Any:
    async def measured(*args: Any, **kwargs: Any) -> Any:
        begun = _now()
        try:
            return await function(*args, **kwargs)
        finally:
            observe(_now() - begun)

    return measured


def _timed_sync(function: Any, observe: _Observe) -> Any:
    def measured(*args: Any, **kwargs: Any) -> Any:
        begun = _now()
        try:
            return function(*args, **kwargs)
        finally:
            observe(_now() - begun)

    return measured


def _timed_stream(function: Any, observe: _Observe) -> Any:
    async def measured(*args: Any, **kwargs: Any) -> Any:
        begun = _now()
        try:
            async with aclosing(function(*args, **kwargs)) as values:
                async for value in values:
                    yield value
        finally:
            observe(_now() - begun)

    return measured


def _timed_values(function: Any, observe: _Observe) -> Any:
    def measured(*args: Any, **kwargs: Any) -> Any:
        begun = _now()
        try:
            yield from function(*args, **kwargs)
        finally:
            observe(_now() - begun)

    return measured

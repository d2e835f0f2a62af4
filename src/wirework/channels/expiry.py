"""Subscriptions whose tokens are good for some time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..timers import wheel

if TYPE_CHECKING:
    from .subscription import Subscription

__all__ = ["Expiry"]


class Expiry:
    """Has a subscription end when its token is not good any more, unless it is renewed.

    The wheel looks at it; the time is that of the wall clock, as tokens have it.

    Args:
        subscription: which.
        at: Unix time in seconds.
        end: ends it.
    """

    __slots__ = ("_end", "_subscription", "at")

    def __init__(
        self, subscription: Subscription, at: float, end: Callable[[Subscription], None]
    ) -> None:
        self._subscription = subscription
        self._end = end
        self.at = at
        clock = wheel()
        clock.watch(self, clock.now() + max(0.0, at - time.time()))

    def tick(self, now: float) -> float | None:
        """End the subscription if its time is over."""
        left = self.at - time.time()
        if left > 0:
            return now + left
        self._end(self._subscription)
        return None

    def stop(self) -> None:
        """Look no more."""
        wheel().forget(self)

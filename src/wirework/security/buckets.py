"""Token buckets: how much a peer may do in a while, and when it may go on. Pure: time is given."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from itertools import islice
from typing import Final, Self

from ..settings import Settings

__all__ = ["Bucket", "Buckets", "Budget", "burst_of"]

_LEAST_RATE: Final = 1e-6
_SLACK: Final = 1e-9
"""Part of a token that may be missing: what rounding takes."""
_SEARCHED: Final = 16
"""Buckets that are looked at for a full one before the oldest goes, full or not."""


class Bucket:
    """Holds at most `burst` tokens, begins full, and gets `rate` tokens a second.

    Between any two moments at most `burst` tokens and `rate` times the seconds between them are
    taken. Exact however long it is in use: the tokens are computed from the moment when it was
    last full, and what was taken since is counted in whole numbers.

    Args:
        rate: tokens a second, at least 0.000001.
        burst: tokens that it holds, at least 1.

    Raises:
        ValueError: `rate` or `burst` is something else.
    """

    __slots__ = ("_full_at", "_spent", "burst", "rate")

    def __init__(self, rate: float, burst: int) -> None:
        if not (_LEAST_RATE <= rate < math.inf and burst >= 1):
            raise ValueError(
                f"bucket: expected rate >= {_LEAST_RATE} and burst >= 1, got {rate!r} and {burst!r}"
            )
        self.rate = rate
        self.burst = burst
        self._full_at = -math.inf
        self._spent = 0

    def __repr__(self) -> str:
        return f"Bucket(rate={self.rate!r}, burst={self.burst!r})"

    def take(self, tokens: int, now: float) -> float:
        """Take `tokens` at once, or none of them.

        Returns 0.0 if they were there. Otherwise the seconds (`retry_after`, in whole
        milliseconds) after which they will be, if nobody takes any in between; infinity for more
        than `burst`, which never come. `now` is in seconds of any monotonic clock; one that
        runs back gives nothing.
        """
        wait = self.wait(tokens, now)
        if not wait:
            self._spent += tokens
        return wait

    def wait(self, tokens: int, now: float) -> float:
        """Return what `take` would, and take nothing."""
        missing = tokens - self.level(now)
        if missing <= _SLACK:
            return 0.0
        if tokens > self.burst:
            return math.inf
        # Rounded up by at least 10 us, so that after this time they are there for certain.
        return (math.floor(missing / self.rate * 1000 + 0.01) + 1) / 1000

    def level(self, now: float) -> float:
        """Return how many tokens there are."""
        grown = max(0.0, now - self._full_at) * self.rate
        if grown >= self._spent:
            self._full_at, self._spent = max(now, self._full_at), 0
            return self.burst
        return self.burst - self._spent + grown

    def is_full(self, now: float) -> bool:
        """Whether it holds all the tokens that it can."""
        return self.level(now) == self.burst


class Buckets:
    """A bucket for each key, such as an address or a user, in bounded memory.

    A bucket that is full again is the same as none, so it is forgotten: each new key looks at the
    two that were used least recently. At `max_keys` the one that was used least recently goes, a
    full one if there is one among the first few; so a peer that goes on trying is not forgotten.

    Args:
        rate: tokens a second of each bucket.
        burst: tokens that each holds.
        max_keys: buckets that are kept at most; about 200 bytes each. Default 16,384.

    Raises:
        ValueError: a number that cannot be used.
    """

    def __init__(self, rate: float, burst: int, *, max_keys: int = 16_384) -> None:
        Bucket(rate, burst)
        if max_keys < 1:
            raise ValueError(f"buckets: expected max_keys >= 1, got {max_keys!r}")
        self.rate = rate
        self.burst = burst
        self.max_keys = max_keys
        self._found: OrderedDict[Hashable, Bucket] = OrderedDict()
        """In the order of their last use."""

    def __len__(self) -> int:
        return len(self._found)

    def take(self, key: Hashable, tokens: int, now: float) -> float:
        """Take `tokens` from the bucket of `key`; see `Bucket.take`."""
        bucket = self._found.get(key)
        if bucket is None:
            self._make_room(now)
            bucket = self._found[key] = Bucket(self.rate, self.burst)
        else:
            self._found.move_to_end(key)
        return bucket.take(tokens, now)

    def _make_room(self, now: float) -> None:
        for key in list(islice(self._found, 2)):
            if self._found[key].is_full(now):
                del self._found[key]
        if len(self._found) >= self.max_keys:
            oldest = list(islice(self._found, _SEARCHED))
            full = (key for key in oldest if self._found[key].is_full(now))
            del self._found[next(full, oldest[0])]


class Budget:
    """What one connection may send: messages and bytes a second.

    Args:
        messages: a token for each message; None: no limit.
        size: a token for each byte; None: no limit.
    """

    __slots__ = ("limit", "messages", "size")

    def __init__(self, messages: Bucket | None = None, size: Bucket | None = None) -> None:
        self.messages = messages
        self.size = size
        self.limit = ""
        """The setting that the last message which was not allowed has met."""

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return a new connection's budget, None where nothing is limited.

        A message of `max_message_size` always fits into a full budget.
        """
        rate, size = settings.message_rate, settings.byte_rate
        if rate is None and size is None:
            return None
        messages = Bucket(rate, settings.message_burst or burst_of(rate)) if rate else None
        if size is None:
            return cls(messages)
        burst = max(settings.byte_burst or size, settings.max_message_size)
        return cls(messages, Bucket(size, burst))

    def charge(self, size: int, now: float) -> float:
        """Count a message of `size` bytes; 0.0, or the seconds until it would be allowed.

        A message that is not allowed takes nothing. See `Bucket.take`.
        """
        wait = self.messages.wait(1, now) if self.messages is not None else 0.0
        size_wait = self.size.wait(size, now) if self.size is not None else 0.0
        if wait or size_wait:
            self.limit = "message_rate" if wait >= size_wait else "byte_rate"
            return max(wait, size_wait)
        self._take(size, now)
        return 0.0

    def _take(self, size: int, now: float) -> None:
        if self.messages is not None:
            self.messages.take(1, now)
        if self.size is not None:
            self.size.take(size, now)


def burst_of(rate: float) -> int:
    """Return the burst where none is given: as many as in a second, at least 1."""
    return max(1, math.ceil(rate))

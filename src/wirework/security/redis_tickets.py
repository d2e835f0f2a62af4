"""Used tickets in Redis, for all processes that share it."""

from __future__ import annotations

import math
import time
from typing import Final

from .redis_client import client_of

__all__ = ["RedisTickets"]

_MARGIN: Final = 60_000
"""Milliseconds that a ticket is remembered after its end, for processes whose clocks are late."""


class RedisTickets:
    """Remembers in a Redis server which tickets were used; see `TicketStore`.

    A server that forgets under memory pressure (`maxmemory-policy`) lets tickets be used again
    within their 30 seconds.

    Each is remembered for a minute more than it is good for, so the clocks of the processes may
    differ by up to a minute; that of the Redis server does not matter.

    Args:
        url: `redis://[[user]:password@]host[:port][/db]`, `rediss://` with TLS, `unix://path`.
        prefix: what all keys begin with. Default "wirework:ticket:".
        timeout: seconds within which the server must answer; if it does not, handshakes with a
            ticket are refused with 503. Default 5.0.

    Raises:
        SettingsError: redis-py is not installed, or the address cannot be read; the text does not
            repeat the address.
    """

    def __init__(self, url: str, *, prefix: str = "wirework:ticket:", timeout: float = 5.0) -> None:
        self._redis = client_of(url, "RedisTickets", timeout)
        self._prefix = prefix

    async def spend(self, id: str, until: float) -> bool:
        """Note that a ticket was used; False where it was before, in whichever process.

        Raises:
            RedisError: the server does not answer, and the ticket may be used or not.
        """
        left = max(1, math.ceil((until - time.time()) * 1000)) + _MARGIN
        return bool(await self._redis.set(self._prefix + id, "1", nx=True, px=left))

    async def close(self) -> None:
        """End the connections; the next call makes new ones."""
        await self._redis.aclose()

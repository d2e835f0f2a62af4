"""Used tickets in Redis, for all processes that share it."""

from __future__ import annotations

import math

from .redis_client import client_of

__all__ = ["RedisTickets"]


class RedisTickets:
    """Remembers in a Redis server which tickets were used; see `TicketStore`.

    A server that forgets under memory pressure (`maxmemory-policy`) lets tickets be used again
    within their 30 seconds.

    Args:
        url: `redis://[[user]:password@]host[:port][/db]`, `rediss://` with TLS, `unix://path`.
        prefix: what all keys begin with. Default "wirework:ticket:".
        timeout: seconds within which the server must answer; if it does not, nobody is let in.
            Default 5.0.

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
        end = math.ceil(until * 1000)
        return bool(await self._redis.set(self._prefix + id, "1", nx=True, pxat=end))

    async def close(self) -> None:
        """End the connections; the next call makes new ones."""
        await self._redis.aclose()

"""How the stores that need a Redis server reach it."""

from __future__ import annotations

from typing import Any

from ..errors import SettingsError

__all__ = ["client_of"]


def client_of(url: str, what: str, timeout: float) -> Any:
    """Return a client of redis-py for `what`, a class; nothing is connected yet.

    Raises:
        SettingsError: redis-py is not installed, or the address cannot be read; the text does not
            repeat the address.
    """
    try:
        from redis import asyncio as redis
    except ImportError as error:
        raise SettingsError(f"{what} needs redis: pip install 'wirework[redis]'") from error
    try:
        return redis.from_url(
            url, decode_responses=True, socket_timeout=timeout, socket_connect_timeout=timeout
        )
    except ValueError:
        raise SettingsError(
            f"{what}: expected redis://, rediss:// or unix:// and an address"
        ) from None

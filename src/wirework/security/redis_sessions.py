"""Sessions in Redis, for all processes that share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .redis_client import client_of

__all__ = ["RedisSessions"]

_MARK: Final = "m"
"""The field that makes a session without values exist."""
_VALUE: Final = "v:"

_UPDATE: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i])
  else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
if ARGV[1] == '' then redis.call('PERSIST', KEYS[1])
else redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return 1
"""
_RENAME: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1
"""


class RedisSessions:
    """Keeps sessions in a Redis server: one hash for each; see `SessionStore`.

    Sessions last as long as Redis keeps its data. A server that forgets under memory pressure
    (`maxmemory-policy`) ends sessions. Not for Redis Cluster: a session changes its key.

    Args:
        url: `redis://[[user]:password@]host[:port][/db]`, `rediss://` with TLS, `unix://path`.
        prefix: what all keys begin with. Default "wirework:session:".
        timeout: seconds within which the server must answer. Default 5.0.

    Raises:
        SettingsError: redis-py is not installed, or the address cannot be read; the text does not
            repeat the address.
    """

    def __init__(
        self, url: str, *, prefix: str = "wirework:session:", timeout: float = 5.0
    ) -> None:
        self._redis = client_of(url, "RedisSessions", timeout)
        self._prefix = prefix
        self._update = self._redis.register_script(_UPDATE)
        self._rename = self._redis.register_script(_RENAME)

    async def load(self, id: str) -> Mapping[str, str] | None:
        """Return all values of a session; None: there is no such session."""
        found = await self._redis.hgetall(self._prefix + id)
        if not found:
            return None
        return {
            name.removeprefix(_VALUE): text
            for name, text in found.items()
            if name.startswith(_VALUE)
        }

    async def create(self, id: str, values: Mapping[str, str], max_age: int | None) -> None:
        """Begin a session with these values."""
        key = self._prefix + id
        fields = {_MARK: "1", **{_VALUE + name: text for name, text in values.items()}}
        async with self._redis.pipeline(transaction=True) as steps:
            steps.delete(key).hset(key, mapping=fields)
            if max_age is not None:
                steps.expire(key, max_age)
            await steps.execute()

    async def update(self, id: str, changes: Mapping[str, str | None], max_age: int | None) -> bool:
        """Set and remove values of a session; False: there is none."""
        args = ["" if max_age is None else str(max_age)]
        for name, text in changes.items():
            args += [_VALUE + name, text or ""]
        return bool(await self._update(keys=[self._prefix + id], args=args))

    async def rename(self, id: str, new_id: str) -> bool:
        """Keep a session under another id, with the rest of its time; False: there is none."""
        return bool(await self._rename(keys=[self._prefix + id, self._prefix + new_id]))

    async def delete(self, id: str) -> None:
        """End a session."""
        await self._redis.delete(self._prefix + id)

    async def close(self) -> None:
        """End the connections; the next call makes new ones."""
        await self._redis.aclose()

"""One client, step by step."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

__all__ = ["Peer"]

PATIENCE = 20.0
_ids = count(1)


class Peer:
    """A connection that speaks Typed; `heard` is everything that was said to it."""

    def __init__(self, socket: ClientConnection, user: str) -> None:
        self.user = user
        self.heard: list[dict[str, Any]] = []
        self._socket = socket
        self._seen = 0

    async def ask(self, kind: str, **data: Any) -> Any:
        """Send a message; return what answers it."""
        id = next(_ids)
        await self._socket.send(json.dumps({"type": kind, "id": id, "data": data}))
        while True:
            said = await self._next()
            if said.get("id") == id:
                assert said["type"] != "error", said
                return said

    async def enter(self, *channels: str) -> None:
        """Subscribe."""
        for channel in channels:
            await self.ask("channel.subscribe", channel=channel)

    async def members(self, channel: str) -> list[str]:
        """Return who is there."""
        answer = await self.ask("channel.presence", channel=channel)
        return sorted(each["user"] for each in answer["data"]["members"])

    async def hears(self, kind: str, **parts: Any) -> dict[str, Any]:
        """Wait for a message that was not waited for yet; what was said before it is passed by."""
        while True:
            while self._seen < len(self.heard):
                said = self.heard[self._seen]
                self._seen += 1
                data: Any = said.get("data")
                if said["type"] == kind and all(data[name] == parts[name] for name in parts):
                    return said
            await self._next()

    def times(self, kind: str, user: str) -> int:
        """How often it was told this of a user."""
        told = [said["data"] for said in self.heard if said["type"] == kind]
        return sum(said["member"]["user"] == user for said in told)

    async def left(self, user: str) -> None:
        """Wait until it is told that a user has gone."""
        async with asyncio.timeout(PATIENCE):
            while not self.times("channel.left", user):
                await self._next()

    async def is_closed(self) -> int | None:
        """Wait until the server closes the connection; return its code."""
        try:
            while True:
                await self._next()
        except ConnectionClosed:
            return self._socket.close_code

    async def close(self) -> None:
        """Go."""
        await self._socket.close()

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            said: dict[str, Any] = json.loads(await self._socket.recv())
        self.heard.append(said)
        return said

"""Scenes for the tests of Redis: servers of their own, workers on them, and somebody in charge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hiredis

from wirework.brokers.redis import RedisBroker
from wirework.brokers.redis.resp import pack

from .record import Worker
from .servers import HOST, BrokerServer, redis_server

__all__ = ["Scene", "command", "scene"]


async def command(port: int, *words: str) -> Any:
    """Send one command of an administrator to a server; return its answer."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(pack(*words))
            answers = hiredis.Reader()
            answer: Any = False
            while answer is False:
                answers.feed(await reader.read(65_536))
                answer = answers.gets()
        finally:
            writer.close()
            await writer.wait_closed()
    if isinstance(answer, hiredis.ReplyError):
        raise answer
    return answer


class Scene:
    """One server, the workers on it, and its administrator."""

    def __init__(self, server: BrokerServer) -> None:
        self.server = server
        self._brokers: list[RedisBroker] = []

    async def worker(
        self, url: str = "", *, timeout: float = 5.0, lease: float = 60.0, prefix: str = "test"
    ) -> Worker:
        """Return a started worker."""
        broker = RedisBroker(url or self.server.url, timeout=timeout, prefix=prefix)
        broker.lease = lease
        self._brokers.append(broker)
        worker = Worker(broker)
        await broker.start(worker.seen)
        return worker

    async def order(self, *words: str) -> Any:
        """Have the administrator send a command."""
        return await command(self.server.port, *words)

    async def cut(self, kind: str = "") -> None:
        """Close every connection of the workers, or those of one kind."""
        for each in (kind,) if kind else ("normal", "pubsub"):
            await self.order("CLIENT", "KILL", "TYPE", each)

    async def end(self) -> None:
        """Stop everything."""
        for broker in self._brokers:
            await broker.stop()
        self.server.end()


@asynccontextmanager
async def scene(folder: Path, *options: str) -> AsyncIterator[Scene]:
    """Start a server with these options."""
    server = redis_server(folder, "--enable-debug-command", "yes", *options)
    server.start()
    found = Scene(server)
    try:
        yield found
    finally:
        await found.end()

"""A bad network between a peer and a server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.contract.process import HOST

__all__ = ["Line", "line_to"]


class Line:
    """A TCP proxy that delays, holds back, cuts up and falsifies what goes through it."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.falsify: Callable[[bytes], bytes] | None = None
        """Applied to all that the peer sends, if given."""
        self.chunk = 65536
        """Bytes that go through at once."""
        self.delay = 0.0
        """Seconds that a piece takes on average; up to twice that, in fact."""
        self.idle_timeout: float | None = None
        """Seconds without a byte in either direction after which both ends are cut."""
        self.passed = 0
        """Pieces that went through."""
        self._target = port
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Swallow nothing, but let nothing through: a blackhole."""
        self._open.clear()

    def release(self) -> None:
        """Let everything through again."""
        self._open.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one peer."""
        behind, onward = await asyncio.open_connection(HOST, self._target)
        tasks = [
            asyncio.create_task(self._pass(reader, onward, self.falsify)),
            asyncio.create_task(self._pass(behind, writer, None)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for end in (writer, onward):
                end.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        falsify: Callable[[bytes], bytes] | None,
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(self.idle_timeout):
                    data = await reader.read(self.chunk)
            except (TimeoutError, ConnectionError):
                return
            if not data:
                return
            await self._open.wait()
            if self.delay:
                await asyncio.sleep(random.random() * 2 * self.delay)
            writer.write(falsify(data) if falsify else data)
            self.passed += 1
            await writer.drain()


@asynccontextmanager
async def line_to(port: int) -> AsyncIterator[Line]:
    """Lay a line to the server on `port`; its own port is in `port`."""
    line = Line(port)
    listener = await asyncio.start_server(line.connect, HOST, 0)
    line.port = listener.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        listener.close()

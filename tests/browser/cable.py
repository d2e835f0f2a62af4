"""The network between a browser and a server, which can be pulled out and plugged in again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

__all__ = ["Cable", "cable_to"]

_HOST = "127.0.0.1"


class Cable:
    """A TCP proxy: pages that are opened at its `origin` depend on it."""

    def __init__(self, origin: str) -> None:
        self.origin = ""
        self._port = urlsplit(origin).port
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_plugged = True
        self._is_heard = asyncio.Event()
        self._is_heard.set()

    def deafen(self) -> None:
        """Hold back what the server says, until it is pulled."""
        self._is_heard.clear()

    def pull(self) -> None:
        """Cut all connections, and let none through."""
        self._is_plugged = False
        for end in self._ends:
            end.transport.abort()

    def plug(self) -> None:
        """Let new connections through again."""
        self._is_plugged = True
        self._is_heard.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until one of its ends is gone."""
        if not self._is_plugged:
            writer.transport.abort()
            return
        behind, onward = await asyncio.open_connection(_HOST, self._port)
        ends = {writer, onward}
        self._ends |= ends
        said = asyncio.create_task(_carry(reader, onward))
        heard = asyncio.create_task(_carry(behind, writer, self._is_heard))
        try:
            await asyncio.wait({said, heard}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ends -= ends
            for task in (said, heard):
                task.cancel()
            for end in ends:
                end.transport.abort()


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    may_go: asyncio.Event | None = None,
) -> None:
    while data := await reader.read(65_536):
        if may_go is not None:
            await may_go.wait()
        writer.write(data)


@asynccontextmanager
async def cable_to(origin: str) -> AsyncIterator[Cable]:
    """Lay a cable to the server at `origin`."""
    cable = Cable(origin)
    listener = await asyncio.start_server(cable.serve, _HOST, 0)
    cable.origin = f"http://{_HOST}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield cable
    finally:
        listener.close()
        cable.pull()

"""Granian with its RSGI interface, in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.harness import TIMEOUT
from tests.contract.process import HOST, ServerProcess
from tests.contract.sockets import SocketServer

__all__ = ["UPGRADE", "RsgiServer", "running"]

COMMAND = ("granian", "--interface", "rsgi", "--host", HOST, "--port", "{port}")
UPGRADE = (
    "Host: {authority}",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


class RsgiServer(SocketServer):
    """A running Granian."""

    def __init__(self, process: ServerProcess) -> None:
        super().__init__("rsgi", process.port)
        self.process = process

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.process.output

    async def exchange(self, *lines: str) -> bytes:
        """Send the lines of a request; return the beginning of the answer, "" for none."""
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(HOST, self.port)
            text = "\r\n".join((*lines, "", "")).format(authority=self.authority)
            writer.write(text.encode("latin-1"))
            try:
                return await reader.read(65536)
            except ConnectionError:
                return b""
            finally:
                writer.transport.abort()

    async def handshake(self, path: str, *headers: str, start: str = "GET {} HTTP/1.1") -> int:
        """Send a handshake; return the status of its answer, 0 for none."""
        answer = await self.exchange(start.format(path), *UPGRADE, *headers)
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0

    async def pid(self) -> int:
        """Return the process id of its worker."""
        found: int = (await self.request("GET", "/pid")).json()
        return found

    async def notes(self, id: str, count: int) -> list[Any]:
        """Return what handlers noted under `id`, waiting for `count` notes."""
        found: list[Any] = (
            await self.request("GET", f"/notes/{id}", params={"count": count})
        ).json()
        return found


@contextmanager
def running(application: str, log: Path, *options: str) -> Iterator[RsgiServer]:
    """Serve `application` within the block."""
    process = ServerProcess("rsgi", (*COMMAND, *options, application), log)
    try:
        process.wait_until_it_accepts()
        yield RsgiServer(process)
        process.end()
    finally:
        process.kill()

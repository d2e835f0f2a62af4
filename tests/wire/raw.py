"""A client of bytes: handshakes as they are spelled, frames as they are."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import SO_LINGER, SO_RCVBUF, SOL_SOCKET

from tests.contract.process import HOST

__all__ = ["RawClient", "frame", "handshake", "raw_client"]

TIMEOUT = 10.0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Key and answer of RFC 6455 section 1.3."""


def handshake(
    path: str = "/",
    *more: str,
    connection: str = "Connection: Upgrade",
    upgrade: str = "Upgrade: websocket",
    host: str = "Host: testserver",
) -> bytes:
    """Return an upgrade request; `more` are whole header lines."""
    lines = (
        f"GET {path} HTTP/1.1",
        host,
        connection,
        upgrade,
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *more,
    )
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def frame(data: bytes, opcode: int = 1, *, is_final: bool = True) -> bytes:
    """Return one masked frame of a client (RFC 6455 section 5.2)."""
    mask = os.urandom(4)
    size = len(data)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    key = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return bytes([(0x80 if is_final else 0) | opcode]) + length + mask + masked


class RawClient:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes, *, step: int = 0) -> None:
        """Send `data`, in pieces of `step` bytes if given."""
        for start in range(0, len(data), step or len(data)):
            self._writer.write(data[start : start + step] if step else data)
            await self._writer.drain()

    async def head(self) -> bytes:
        """Return the head of the server's answer, in lower case."""
        async with asyncio.timeout(TIMEOUT):
            return (await self._reader.readuntil(b"\r\n\r\n")).lower()

    async def some(self, size: int) -> bytes:
        """Return the next `size` bytes, or what there is until the end."""
        async with asyncio.timeout(TIMEOUT):
            try:
                return await self._reader.readexactly(size)
            except asyncio.IncompleteReadError as error:
                return error.partial

    async def frame(self, *, within: float = TIMEOUT) -> tuple[int, bytes]:
        """Return opcode and payload of the server's next frame."""
        first, payload = await self.whole_frame(within=within)
        if first & 0x40:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        return first & 0x0F, payload

    async def whole_frame(self, *, within: float = TIMEOUT) -> tuple[int, bytes]:
        """Return the first byte and the payload, as it is, of the server's next frame."""
        async with asyncio.timeout(within):
            first, size = await self._reader.readexactly(2)
            if size > 125:
                length = await self._reader.readexactly(2 if size == 126 else 8)
                size = int.from_bytes(length, "big")
            return first, await self._reader.readexactly(size)

    def finish(self) -> None:
        """Send no more (FIN), and go on reading."""
        self._writer.write_eof()

    def abort(self) -> None:
        """Vanish (RST)."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger)
        self._writer.transport.abort()

    async def rest(self, *, within: float = TIMEOUT) -> bytes:
        """Return everything until the server ends the connection."""
        async with asyncio.timeout(within):
            return await self._reader.read()


@asynccontextmanager
async def raw_client(port: int, *, is_deaf: bool = False) -> AsyncIterator[RawClient]:
    """Connect, and hang up at the end of the block; a deaf client's system buffers little."""
    connecting = socket.socket()
    if is_deaf:
        connecting.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
    connecting.connect((HOST, port))
    reader, writer = await asyncio.open_connection(sock=connecting)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()

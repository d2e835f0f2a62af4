"""Real servers behind the suite's interface, spoken to with the `websockets` client."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from wirework.types import Frame, HeaderList

from .harness import TIMEOUT, Closed, Peer, Refused
from .process import HOST

__all__ = ["NO_TLS", "SocketServer"]

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of httpx: without it each one reads all certificates of this machine, for 30 ms."""


class SocketServer:
    """A server that listens on this machine."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.authority = f"{HOST}:{port}"

    @asynccontextmanager
    async def connect(
        self,
        path: str,
        *,
        headers: HeaderList = (),
        subprotocols: Sequence[str] = (),
        is_deaf: bool = False,
    ) -> AsyncIterator[Peer]:
        opening = connect(
            f"ws://{self.authority}{path}",
            additional_headers=list(headers),
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            compression=None,
            proxy=None,
            open_timeout=TIMEOUT,
            close_timeout=TIMEOUT,
            ping_interval=None,
            max_queue=1 if is_deaf else 4096,
            sock=_socket(self.port, is_deaf),
        )
        try:
            connection = await opening
        except InvalidStatus as error:
            response = error.response
            items = list(response.headers.raw_items())
            raise Refused(response.status_code, items, bytes(response.body or b"")) from None
        peer = _SocketPeer(connection)
        try:
            yield peer
        finally:
            await (peer.abort() if is_deaf else peer.close())

    async def knock(self, path: str) -> _SocketKnock:
        _, writer = await asyncio.open_connection(HOST, self.port)
        key = base64.b64encode(bytes(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {self.authority}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        writer.write("\r\n".join((*lines, "", "")).encode())
        await writer.drain()
        return _SocketKnock(writer)

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        url = f"http://{self.authority}"
        async with httpx.AsyncClient(
            base_url=url, trust_env=False, timeout=TIMEOUT * 2, verify=NO_TLS
        ) as client:
            return await client.request(method, path, **options)


def _socket(port: int, is_deaf: bool) -> socket.socket:
    found = socket.socket()
    if is_deaf:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect((HOST, port))
    found.setblocking(False)
    return found


class _SocketPeer:
    def __init__(self, connection: ClientConnection) -> None:
        assert connection.response is not None
        self.subprotocol: str | None = connection.subprotocol
        self.headers = httpx.Headers(list(connection.response.headers.raw_items()))
        self._connection = connection

    async def send(self, frame: Frame) -> None:
        async with asyncio.timeout(TIMEOUT):
            await self._connection.send(frame)

    async def receive(self) -> Frame:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._connection.recv()
        except ConnectionClosed as error:
            close = error.rcvd
            raise Closed(close.code if close else 1006, close.reason if close else "") from None

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        connection = self._connection
        if code is not None:
            await connection.close(code, reason)
            return
        connection.protocol.send_close()
        connection.send_data()
        async with asyncio.timeout(TIMEOUT):
            await connection.wait_closed()

    async def abort(self) -> None:
        self._connection.transport.abort()
        async with asyncio.timeout(TIMEOUT):
            await self._connection.wait_closed()


class _SocketKnock:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def abort(self) -> None:
        self._writer.transport.abort()

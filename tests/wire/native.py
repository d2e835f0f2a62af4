"""Applications on the native transport of a real Uvicorn, in the test's own event loop."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.contract.process import HOST
from tests.wire.raw import RawClient, handshake, raw_client
from tests.wire.serving import PromptServer
from wirework.types import ASGIApp

__all__ = [
    "HTTP",
    "Living",
    "NATIVE",
    "NativeServer",
    "OWN_HTTP",
    "alive",
    "echo",
    "ended",
    "native_server",
    "received",
    "until",
]

NATIVE = "wirework.transports.native:NativeProtocol"
OWN_HTTP = "wirework.transports.native:HttpProtocol"
HTTP = ("h11", OWN_HTTP)
"""What may be beneath; Uvicorn's own httptools class is the base of the second."""

TIMEOUT = 15.0


class NativeServer:
    """A running server."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.uvicorn = server
        self.port = port

    @property
    def connections(self) -> set[Any]:
        """What Uvicorn counts as open connections."""
        return self.uvicorn.server_state.connections

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The running calls of the application."""
        return self.uvicorn.server_state.tasks

    def stop(self) -> None:
        """Tell the server to stop."""
        self.uvicorn.should_exit = True

    def connect(self, path: str = "/", *, tls: Any = None, **options: Any) -> connect:
        """Connect with the `websockets` client."""
        scheme = "ws" if tls is None else "wss"
        options = {"compression": None, "proxy": None, "ping_interval": None, **options}
        return connect(f"{scheme}://{HOST}:{self.port}{path}", ssl=tls, max_size=None, **options)

    async def refusal(self, path: str = "/") -> Any:
        """Return the HTTP response that refuses a handshake."""
        try:
            async with self.connect(path):
                raise AssertionError("expected a refusal")
        except InvalidStatus as error:
            return error.response

    @asynccontextmanager
    async def opened(self, path: str = "/", *, is_deaf: bool = False) -> AsyncIterator[RawClient]:
        """Open a connection of bytes, whose handshake is accepted."""
        async with raw_client(self.port, is_deaf=is_deaf) as client:
            await client.send(handshake(path))
            assert (await client.head()).startswith(b"http/1.1 101 ")
            yield client


@asynccontextmanager
async def native_server(
    app: ASGIApp | Any, http: str = OWN_HTTP, **options: Any
) -> AsyncIterator[NativeServer]:
    """Serve `app` on a free port within the block."""
    listener = socket.create_server((HOST, 0), backlog=512)
    options = {"lifespan": "off", "log_config": None, "ws": NATIVE, **options}
    server = PromptServer(uvicorn.Config(app, http=http, **options))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started)
        yield NativeServer(server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        async with asyncio.timeout(TIMEOUT):
            await task


async def until(is_so: Callable[[], Any], *, every: float = 0.001, within: float = TIMEOUT) -> None:
    """Let the event loop turn until `is_so()`; look `every` so many seconds."""
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(every)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that accepts and sends back what comes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def alive(server: NativeServer) -> bool:
    """Whether a new connection is served."""
    async with server.connect() as client:
        await client.send("alive")
        return await received(client) == "alive"


async def received(client: ClientConnection) -> str | bytes:
    """Return the next message."""
    async with asyncio.timeout(TIMEOUT):
        return await client.recv()


async def ended(client: ClientConnection) -> tuple[int | None, str | None]:
    """Wait for the end; return its code and reason."""
    async with asyncio.timeout(TIMEOUT):
        await client.wait_closed()
    return client.close_code, client.close_reason


class Living:
    """The objects of some classes that have come to be since this was made, and still are."""

    def __init__(self, *kinds: type) -> None:
        gc.collect()
        self._kinds = kinds
        self._before = {id(found) for found in gc.get_objects() if isinstance(found, kinds)}

    def __call__(self) -> list[Any]:
        found = (each for each in gc.get_objects() if isinstance(each, self._kinds))
        return [each for each in found if id(each) not in self._before]

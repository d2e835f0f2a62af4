"""A real server in the tests' own event loop, so that a test may reach into the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from wirework.types import ASGIApp

NATIVE = "wirework.transports.native:NativeProtocol"

SECONDS = 15.0
"""How long to wait for anything before a test fails."""


class Server(uvicorn.Server):
    """Tells when it listens, and leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def origin(self) -> str:
        port = self.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"


@asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0, ws: Any = "auto") -> AsyncIterator[str]:
    """Serve `app`, on a free port unless it is given; yields `http://127.0.0.1:40001`, its origin.

    `ws` is what carries WebSockets, as Uvicorn calls it: `NATIVE` is what `wirework run` takes.
    """
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        ws=ws,
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    running = asyncio.create_task(server.serve())
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait({running, listening}, timeout=SECONDS, return_when="FIRST_COMPLETED")
        assert listening.done(), "the server did not start"
        yield server.origin
    finally:
        listening.cancel()
        server.should_exit = True
        async with asyncio.timeout(SECONDS):
            await running

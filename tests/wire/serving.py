"""Applications on a real Uvicorn in the test's own event loop."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from tests.contract.process import HOST
from tests.contract.sockets import SocketServer
from wirework.types import ASGIApp

__all__ = ["IMPLEMENTATIONS", "PromptServer", "serving"]

IMPLEMENTATIONS = ("websockets-sansio", "wsproto")
"""Uvicorn's own WebSocket implementations; the third one is deprecated."""

_STOP = 15.0


class PromptServer(uvicorn.Server):
    """Uvicorn's server, but for how often it looks whether it should exit: else every 0.1 s."""

    async def main_loop(self) -> None:
        for counter in itertools.count():
            if await self.on_tick(counter):
                return
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    app: ASGIApp | Any, ws: str = "websockets-sansio", **options: Any
) -> AsyncIterator[SocketServer]:
    """Serve `app` on a free port within the block."""
    listener = socket.create_server((HOST, 0))
    config = uvicorn.Config(app, ws=ws, lifespan="on", log_config=None, access_log=False, **options)
    server = PromptServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield SocketServer(f"uvicorn {ws}", listener.getsockname()[1])
    finally:
        server.should_exit = True
        async with asyncio.timeout(_STOP):
            await task

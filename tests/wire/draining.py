"""An application that writes down what happens to it, served until it is told to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from wirework import App, Query, WebSocket

__all__ = ["app"]

Id = Annotated[str, Query()]


def note(*words: object) -> None:
    """Write a line at once, so that the server's own lines do not come between its words."""
    os.write(1, " ".join(("NOTE", *map(str, words), "\n")).encode())


async def gate(id: str) -> None:
    """Wait until the test makes the file `id`: nothing else reaches a server that stops."""
    while not (Path(os.environ["GATES"]) / id).exists():  # noqa: ASYNC110 - a file
        await asyncio.sleep(0.005)


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    yield
    note("shutdown")


app = App(lifespan=lifespan, http=None)


async def on_connect(id: Id) -> str:
    note("connect", id)
    return "ready"


async def on_disconnect(id: Id, code: int) -> None:
    await asyncio.sleep(0)
    note("disconnect", id, code)


@app.ws("/messages", conn=on_connect, disconn=on_disconnect)
async def messages(data: str) -> str:
    return data


@app.ws("/working", conn=on_connect, disconn=on_disconnect)
async def working(data: str, id: Id, ws: WebSocket) -> str:
    """Answer when the gate is opened."""
    await ws.send(f"began {data}")
    await gate(id)
    return f"answered {data}"


@app.ws("/stuck", conn=on_connect, disconn=on_disconnect)
async def stuck(data: str, id: Id, ws: WebSocket) -> None:
    """Never answer."""
    await ws.send(f"began {data}")
    try:
        await asyncio.Event().wait()
    finally:
        note("cleaned", id)


@app.websocket("/loop")
async def loop(ws: WebSocket, id: Id) -> None:
    """Answer when the gate is opened, message by message."""
    note("connect", id)
    await ws.accept()
    await ws.send_text("ready")
    try:
        async for message in ws:
            await ws.send_text(f"began {message!s}")
            await gate(id)
            await ws.send_text(f"answered {message!s}")
    finally:
        note("disconnect", id, ws.close_code)


@app.websocket("/stuck-loop")
async def stuck_loop(ws: WebSocket, id: Id) -> None:
    """Wait for something else than the peer."""
    note("connect", id)
    await ws.accept()
    await ws.send_text("ready")
    try:
        await asyncio.Event().wait()
    finally:
        note("cleaned", id)
        note("disconnect", id, ws.close_code)


@app.websocket("/hesitant")
async def hesitant(ws: WebSocket, id: Id) -> None:
    """Never answer the handshake."""
    note("asked", id)
    await asyncio.Event().wait()


@app.get("/")
async def index() -> str:
    return "hello"

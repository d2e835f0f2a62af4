"""An application that writes down every hook, served in processes that are told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from wirework import App, Query, WebSocket

Id = Annotated[str, Query()]


def note(*words: object) -> None:
    print("NOTE", *words, flush=True)


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    note("startup")
    yield
    note("shutdown")


app = App(lifespan=lifespan)


async def on_connect(id: Id) -> str:
    note("connect", id)
    return "ready"


async def on_disconnect(id: Id, code: int) -> None:
    await asyncio.sleep(0)
    note("disconnect", id, code)


@app.ws("/messages", conn=on_connect, disconn=on_disconnect)
async def messages(data: str, id: Id) -> None: ...


@app.websocket("/loop")
async def loop(ws: WebSocket, id: Id) -> None:
    note("connect", id)
    await ws.accept()
    await ws.send_text("ready")
    try:
        async for _ in ws:
            pass
    finally:
        note("disconnect", id, ws.close_code)

"""The application that the tests of docs/deployment.md serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wirework import App, Send, WebSocket


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    yield
    print("NOTE stopped", flush=True)


app = App(lifespan=lifespan)


async def gone(code: int) -> None:
    print(f"NOTE gone with {code}", flush=True)


@app.ws("/slow", disconn=gone)
async def slow(text: str, send: Send, ws: WebSocket) -> str:
    await send("begun")
    while not ws.closed:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    print("NOTE finished", flush=True)
    return "an answer that goes nowhere"


@app.ws("/who")
async def who(text: str, ws: WebSocket) -> str:
    host = ws.client[0] if ws.client else "nobody"
    return f"{host} at {ws.url}"

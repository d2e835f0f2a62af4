"""The application whose pages and streams are attacked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from wirework import App, QueryToken, WebSocket
from wirework.dialects import Centrifugo

app = App(secret_key="a secret that is long enough for tests")
LARGE = "y" * 8_000_000


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for frame in ws:
        await ws.send(frame)


@app.post("/greet")
async def greet(name: str) -> str:
    return f"hello {name}"


@app.get("/large")
async def large() -> str:
    return LARGE


async def verify(token: str) -> str | None:
    return {"t-ada": "ada"}.get(token)


@app.ws("/query", auth=QueryToken(verify))
async def by_query(text: str, user: str) -> str:
    return user


live = app.events("/connection", dialect=Centrifugo())


@live.on("flood")
async def flood(n: int) -> AsyncIterator[str]:
    for _ in range(n):
        yield "x" * 1000


@app.get("/state")
async def state() -> dict[str, Any]:
    return {"tasks": len(asyncio.all_tasks())}

"""Channels under attack."""

from __future__ import annotations

import asyncio
from typing import Any

from wirework import App, History, WebSocket
from wirework.dialects import Typed

__all__ = ["app"]

app = App()
app.events("/live", dialect=Typed())
news = app.channel("news:{name}", history=History(size=10, ttl=60))
left = 0


@news.on_subscribe
async def enter() -> bool:
    return True


@news.on_unsubscribe
async def leave() -> None:
    global left
    left += 1


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for frame in ws:
        await ws.send(frame)


@app.get("/state")
async def state() -> dict[str, Any]:
    stats = app.channels.hub.stats
    return {
        "channels": stats.channels,
        "subscriptions": stats.subscriptions,
        "left": left,
        "tasks": len(asyncio.all_tasks()),
    }

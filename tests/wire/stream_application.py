"""What tests of streams talk to, on every server."""

from __future__ import annotations

import os

from wirework import App, History, WebSocket
from wirework.dialects import Centrifugo

__all__ = ["app"]

app = App(secret_key="of all workers of this application")
live = app.events("/connection", dialect=Centrifugo(), limits={"write_stall_timeout": 1.0})
room = app.channel("room:{name}", history=History(size=100, ttl=60), presence=True)
ends: dict[str, int] = {}


@room.on_subscribe
@room.on_publish
async def anything() -> bool:
    return True


@live.on("add")
async def add(a: int, b: int) -> int:
    return a + b


@live.on("pid")
async def pid() -> int:
    return os.getpid()


@live.on("leave")
async def leave(ws: WebSocket) -> None:
    ws.end(4403, "go away")


@live.on("flood")
async def flood(ws: WebSocket, size: int, times: int) -> None:
    for _ in range(times):
        await ws.send("x" * size)


@live.on_disconnect
async def note(ws: WebSocket, code: int) -> None:
    ends[ws.id] = code


@app.get("/ended/{id}")
async def ended(id: str) -> int:
    return ends.get(id, 0)


@app.get("/pid")
async def pid_of_page() -> int:
    return os.getpid()

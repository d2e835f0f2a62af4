"""The application under attack; its settings come from the environment."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any

from wirework import App, Bearer, ConnectionClosed, Query, WebSocket
from wirework.dialects import Typed

app = App()
seen: Counter[str] = Counter()
"""How often hooks and handlers began and ended."""


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    seen["begun"] += 1
    try:
        async for frame in ws:
            await ws.send(frame)
    finally:
        seen["ended"] += 1


async def on_connect() -> None:
    seen["connect"] += 1


async def on_disconnect() -> None:
    await asyncio.sleep(0)
    seen["disconnect"] += 1


@app.ws("/messages", conn=on_connect, disconn=on_disconnect)
async def messages(data: str) -> str:
    return data


desk = app.events("/typed", dialect=Typed())


@desk.on("say")
async def say(text: str) -> str:
    return text


@desk.on("count")
async def count(upto: int) -> AsyncIterator[int]:
    for number in range(upto):
        yield number


@app.websocket("/push")
async def push(ws: WebSocket, size: Annotated[int, Query()] = 1000) -> None:
    """Send numbered frames until the peer is gone."""
    await ws.accept()
    number = 0
    while True:
        await ws.send_bytes(number.to_bytes(4, "big") + bytes(size))
        number += 1


@app.websocket("/close")
async def close(ws: WebSocket) -> None:
    await ws.accept()
    await ws.close(4000, "done here")


@app.websocket("/late")
async def late(ws: WebSocket) -> None:
    """Go on sending after the close."""
    await ws.accept()
    await ws.close(4000, "done here")
    for _ in range(100):
        try:
            await ws.send_text("late")
        except ConnectionClosed:
            seen["refused sends"] += 1


@app.websocket("/wait")
async def wait(ws: WebSocket) -> None:
    """Never answer the handshake."""
    await asyncio.Event().wait()


async def verify(token: str) -> str | None:
    return {"t-ada": "ada"}.get(token)


@app.ws("/private/{name}", auth=Bearer(verify))
async def private(data: str) -> str:
    return data


@app.websocket("/headers")
async def headers(ws: WebSocket) -> None:
    """Say what the handshake was."""
    await ws.accept(ws.handshake.subprotocols[0] if ws.handshake.subprotocols else None)
    pairs = [[name, value] for name, value in ws.handshake.headers.items()]
    await ws.send_json({"path": ws.handshake.path, "headers": pairs})


@app.get("/clock")
async def clock(by: Annotated[int, Query()]) -> int:
    """Set the wall clock of this process forward."""
    now = time.time
    time.time = lambda: now() + by
    return by


@app.get("/state")
async def state() -> dict[str, Any]:
    """What only the process itself knows."""
    return {
        "pid": os.getpid(),
        "tasks": len(asyncio.all_tasks()),
        "cpu": time.process_time(),
        "seen": dict(seen),
    }

"""Applications that write down every hook, served by Granian processes that are told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from tests.contract.record import Record
from wirework import App, Query, Send, WebSocket

__all__ = ["app", "broken_at_the_end", "broken_at_the_start", "note"]

Id = Annotated[str, Query()]
WORDS = 100
record = Record()


def note(*words: object) -> None:
    """Write a line at once, so that the server's own lines do not come between its words."""
    os.write(1, " ".join(("NOTE", *map(str, words), "\n")).encode())


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    note("startup")
    async with asyncio.TaskGroup():  # must be left in the task that has entered it
        yield
    note("shutdown")


app = App(lifespan=lifespan)


async def on_connect(id: Id) -> str:
    note("connect", id)
    return "ready"


async def on_disconnect(id: Id, code: int, reason: str) -> None:
    await asyncio.sleep(0)
    note("disconnect", id, code, reason)
    await record.add(id, "disconnect", code)


@app.ws("/messages", conn=on_connect, disconn=on_disconnect)
async def messages(data: str, id: Id) -> None: ...


@app.ws("/busy", conn=on_connect, disconn=on_disconnect)
async def busy(data: str, id: Id) -> None:
    await record.add(id, "began", data)
    await record.gate(id)
    note("handled", id, data)


@app.websocket("/loop")
async def loop(ws: WebSocket, id: Id) -> None:
    note("connect", id)
    await ws.accept()
    await ws.send_text("ready")
    try:
        async for _ in ws:
            pass
    finally:
        note("disconnect", id, ws.close_code, ws.close_reason)


@app.ws("/words", disconn=on_disconnect)
async def words(data: str, id: Id, send: Send) -> None:
    """Say much, and have the worker stop before any of it can have left."""
    for number in range(WORDS):
        await send(f"{number} {'x' * 1000}")
    signal.raise_signal(signal.SIGTERM)


@app.websocket("/opening")
async def opening(ws: WebSocket, id: Id) -> None:
    await record.add(id, "began")
    try:
        await record.gate(id)
    finally:
        note("gave up", id)


@app.get("/pid")
async def pid() -> int:
    return os.getpid()


@app.get("/notes/{id}")
async def read_notes(id: str, count: Annotated[int, Query()]) -> list[Any]:
    return await record.until(id, count)


@app.post("/open/{id}")
async def open_gate(id: str) -> None:
    record.open(id)


@app.post("/take-signals")
async def take_signals() -> None:
    """Make the event loop read its signals itself, as it does when a handler is added."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)


@asynccontextmanager
async def fail_to_start(app: App) -> AsyncIterator[None]:
    raise ConnectionError("the database is down")
    yield


@asynccontextmanager
async def fail_to_stop(app: App) -> AsyncIterator[None]:
    yield
    raise ConnectionError("the database has gone")


broken_at_the_start = App(lifespan=fail_to_start)
broken_at_the_end = App(lifespan=fail_to_stop)

"""What unit tests share: a way to talk with a small application, and a transport by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from wirework import App, WebSocket
from wirework.connection import TEXT, Connection, Outgoing, State
from wirework.dialects import Centrifugo
from wirework.settings import Settings
from wirework.testing import TestClient, TestWebSocket
from wirework.types import HeaderList


@asynccontextmanager
async def talking(app: App, path: str = "/", **options: Any) -> AsyncIterator[TestWebSocket]:
    """Start the application and open one connection."""
    async with TestClient(app) as client, client.connect(path, **options) as ws:
        yield ws


def counting(**options: Any) -> App:
    """Return an application that serves clients of Centrifugo at /connection."""
    app = App(**options)
    live = app.events("/connection", dialect=Centrifugo())

    @live.on("add")
    async def add(a: int, b: int) -> int:
        return a + b

    @live.on("leave")
    async def leave(ws: WebSocket) -> None:
        ws.end(4403, "go away")

    @live.on("repeat")
    async def repeat(ws: WebSocket, times: int, size: int) -> None:
        for _ in range(times):
            await ws.send("x" * size)

    return app


class Gate:
    """Lets a test hold a handler, and know that it is held."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.open.wait()


class Journal:
    """Notes what happens, and makes dependencies that note their life in it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def lending(self, name: str) -> Callable[[], AsyncIterator[str]]:
        async def lend() -> AsyncIterator[str]:
            self.lines.append(f"open {name}")
            try:
                yield name
            except BaseException as error:
                self.lines.append(f"{type(error).__name__} in {name}")
                raise
            finally:
                self.lines.append(f"close {name}")

        return lend


class Line:
    """A transport that does nothing by itself: the test takes and feeds."""

    name: ClassVar[str] = "line"
    carries_codes: ClassVar[bool] = True
    joins_texts: ClassVar[bool] = False

    def __init__(self, **settings: Any) -> None:
        self.calls: list[Any] = []
        self.connection = Connection(self, Settings(**settings))

    async def accept(self, subprotocol: str | None, headers: HeaderList) -> None:
        self.calls.append(("accept", subprotocol, list(headers)))

    async def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        self.calls.append(("refuse", status, list(headers), body))

    def wake(self) -> None:
        self.calls.append("wake")

    backlog = 0

    def ping(self) -> bool:
        self.calls.append("ping")
        return True

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def written(self) -> list[str]:
        """Take everything that the connection has to write."""
        frames = []
        while (frame := self.connection.take()) is not None:
            frames.append(frame.data.decode())
        return frames


async def open_line(**settings: Any) -> Line:
    """Return a line whose connection is accepted."""
    line = Line(**settings)
    await line.connection.accept()
    assert line.connection.state is State.OPEN
    line.calls.clear()
    return line


def text(data: str, key: str = "") -> Outgoing:
    """Return a text frame."""
    return Outgoing(TEXT, data.encode(), key)

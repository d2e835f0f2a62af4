"""A hand-written ASGI server for one connection: it sends what servers may send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from wirework.types import ASGIApp, HeaderList, Message

__all__ = ["Driver", "driving"]

TIMEOUT = 10.0


class Driver:
    """The server's side: put messages for the application, get what it says."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None]
        self.on_send: Callable[[Message], Awaitable[None]] | None = None
        """Awaited with each message of the application; what it raises, `send` raises."""
        self.is_receiving = False
        """Whether the application waits for a message."""
        self.received = 0
        """How many messages the application has taken."""
        self._to_app: asyncio.Queue[Message | Exception] = asyncio.Queue()
        self._is_taking = False
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()

    def put(self, kind: str, **fields: Any) -> None:
        """Queue a `websocket.*` message for the application."""
        self._to_app.put_nowait({"type": f"websocket.{kind}", **fields})

    def fail(self, error: Exception) -> None:
        """Have `receive` raise `error`, after what was put before."""
        self._to_app.put_nowait(error)

    async def get(self) -> Message:
        """Return the application's next message."""
        async with asyncio.timeout(TIMEOUT):
            return await self._from_app.get()

    async def accepted(self) -> Message:
        """Return the acceptance, which must be the application's next message."""
        message = await self.get()
        assert message["type"] == "websocket.accept", message
        return message

    async def ended(self) -> None:
        """Wait until the application has returned; what it raises is raised."""
        async with asyncio.timeout(TIMEOUT):
            await asyncio.shield(self.task)

    def is_silent(self) -> bool:
        """Whether the application has said nothing more."""
        return self._from_app.empty()

    async def digested(self) -> None:
        """Wait until the application has come for more than all that was put."""
        async with asyncio.timeout(TIMEOUT):
            await self._to_app.join()

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        self._have_taken()
        self.is_receiving = True
        try:
            message = await self._to_app.get()
        finally:
            self.is_receiving = False
        if isinstance(message, Exception):
            raise message
        self.received += 1
        self._is_taking = True
        return message

    def _have_taken(self) -> None:
        if self._is_taking:
            self._is_taking = False
            self._to_app.task_done()

    async def send(self, message: Message) -> None:
        """ASGI's `send`."""
        if self.on_send is not None:
            await self.on_send(message)
        self._from_app.put_nowait(message)


@asynccontextmanager
async def driving(
    app: ASGIApp, path: str = "/", headers: HeaderList = (), **scope: Any
) -> AsyncIterator[Driver]:
    """Connect to `app`, whose scope has only what the specification requires, and `scope`."""
    driver = Driver()
    full = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        **scope,
    }
    driver.put("connect")
    driver.task = asyncio.create_task(_run(app, full, driver))
    try:
        yield driver
        driver.put("disconnect", code=1001)
        await driver.ended()
    finally:
        driver.task.cancel()


async def _run(app: ASGIApp, scope: dict[str, Any], driver: Driver) -> None:
    await app(scope, driver.receive, driver.send)

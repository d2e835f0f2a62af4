"""The application's lifespan, and that of the HTTP application inside it: each runs once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from . import closecodes
from .connection import Connection, State
from .types import ASGIApp, Message, Receive, Scope, SendMessage

__all__ = ["Lifespan", "end_connections", "has_lifespan", "inner_lifespan", "serve_lifespan"]

logger = logging.getLogger("wirework")

_TURN = 0.01
"""Seconds between two looks at connections that are ending."""

_FLUSH = 0.5
"""Seconds for the last frames of connections whose handlers have ended."""

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
"""`lifespan(app)`: an async context manager; a mapping that it yields becomes the scope's state."""


async def serve_lifespan(
    context: AbstractAsyncContextManager[Mapping[str, Any]],
    scope: Scope,
    receive: Receive,
    send: SendMessage,
) -> None:
    """Answer the server's lifespan messages with `context` (ASGI, lifespan specification)."""
    await receive()
    is_started = False
    try:
        async with context as state:
            if state:
                scope.setdefault("state", {}).update(state)
            await send({"type": "lifespan.startup.complete"})
            is_started = True
            await receive()
    except BaseException as error:
        kind = "shutdown" if is_started else "startup"
        logger.error("%s failed", kind, exc_info=error)
        await send({"type": f"lifespan.{kind}.failed", "message": f"{type(error).__name__}"})
        raise
    await send({"type": "lifespan.shutdown.complete"})


async def end_connections(connections: Iterable[Connection], seconds: float) -> None:
    """Close what is still open with 1012, and wait for handlers and hooks, at most `seconds`.

    Servers differ: Uvicorn has ended every connection before it stops the application, Hypercorn
    has cancelled them, Granian leaves them to the application and then ends the process.
    """
    accepted = [found for found in connections if found.is_accepted]
    for connection in accepted:
        connection.close(closecodes.RESTARTING)
    if not await _until(lambda: all(found.is_finished for found in accepted), seconds):
        logger.error("a connection's handlers did not end within %s s", seconds)
    await _until(lambda: all(found.state is State.CLOSED for found in accepted), _FLUSH)


async def _until(is_so: Callable[[], bool], seconds: float) -> bool:
    deadline = asyncio.get_running_loop().time() + seconds
    while not is_so():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_TURN)
    return True


def has_lifespan(app: object) -> bool:
    """Whether a Starlette or FastAPI application was given a lifespan; False for any other."""
    context = getattr(getattr(app, "router", None), "lifespan_context", None)
    return context is not None and type(context).__name__ != "_DefaultLifespan"


@asynccontextmanager
async def inner_lifespan(app: ASGIApp) -> AsyncIterator[dict[str, Any]]:
    """Run the lifespan of another ASGI application; one that has none is fine."""
    inner = _Inner(app)
    await inner.start()
    try:
        yield inner.scope["state"]
    finally:
        await inner.stop()


class _Inner:
    """Speaks the server's part of the lifespan protocol to an application."""

    def __init__(self, app: ASGIApp) -> None:
        self.scope: dict[str, Any] = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": {},
        }
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        answer = await self._ask("startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the HTTP application failed to start: {answer.get('message')}")

    async def stop(self) -> None:
        assert self._task is not None
        answer = None if self._task.done() else await self._ask("shutdown")
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            logger.error("the HTTP application failed to stop: %s", answer.get("message"))
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()

    async def _run(self) -> None:
        await self._app(self.scope, self._to_app.get, self._from_app.put)

    async def _ask(self, phase: str) -> Message | None:
        assert self._task is not None
        self._to_app.put_nowait({"type": f"lifespan.{phase}"})
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        logger.debug("the HTTP application has no lifespan")
        return None

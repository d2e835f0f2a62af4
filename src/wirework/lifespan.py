"""The application's lifespan, and that of the HTTP application inside it: each runs once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

from .types import ASGIApp, Message, Receive, Scope, SendMessage

__all__ = ["Lifespan", "has_lifespan", "inner_lifespan", "serve_lifespan"]

logger = logging.getLogger("wirework")

_GRACE: Final = 5.0
"""Seconds for the HTTP application to return once its lifespan is over."""

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
    except asyncio.CancelledError:  # a server that does not wait for the end
        raise
    except BaseException as error:
        kind = "shutdown" if is_started else "startup"
        logger.error("%s failed", kind, exc_info=error)
        await send({"type": f"lifespan.{kind}.failed", "message": f"{type(error).__name__}"})
        raise
    await send({"type": "lifespan.shutdown.complete"})


def has_lifespan(app: object) -> bool:
    """Whether a Starlette or FastAPI application was given a lifespan; False for any other."""
    context = getattr(getattr(app, "router", None), "lifespan_context", None)
    return context is not None and type(context).__name__ != "_DefaultLifespan"


@asynccontextmanager
async def inner_lifespan(app: ASGIApp) -> AsyncIterator[dict[str, Any]]:
    """Run the lifespan of another ASGI application; one that has none is fine."""
    inner = _Inner(app)
    try:
        await inner.start()
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
        self._task = asyncio.create_task(self._run())
        self._is_up = False

    async def start(self) -> None:
        answer = await self._ask("startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the HTTP application failed to start: {answer.get('message')}")
        self._is_up = answer is not None

    async def stop(self) -> None:
        """Bring it down if it is up, and see its task end, which nobody else awaits."""
        if not self._is_up:
            self._task.cancel()
            await self._end()
            return
        answer = await self._ask("shutdown")
        is_told = answer is not None and answer["type"] == "lifespan.shutdown.failed"
        if answer is not None and is_told:
            logger.error("the HTTP application failed to stop: %s", answer.get("message"))
        error = await self._end()
        if error is not None and not is_told:
            logger.error("the lifespan of the HTTP application failed", exc_info=error)

    async def _end(self) -> BaseException | None:
        """See the task end, and return its error; one that goes on is cancelled."""
        await asyncio.wait([self._task], timeout=_GRACE)
        if not self._task.done():
            logger.warning("the HTTP application goes on after its lifespan: it is cancelled")
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_GRACE)
        if not self._task.done() or self._task.cancelled():
            return None
        return self._task.exception()

    async def _run(self) -> None:
        await self._app(self.scope, self._to_app.get, self._from_app.put)

    async def _ask(self, phase: str) -> Message | None:
        self._to_app.put_nowait({"type": f"lifespan.{phase}"})
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        if not self._is_up:
            logger.debug("the HTTP application has no lifespan")
        return None

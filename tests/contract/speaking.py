"""Functions under test that speak dialects: the same ones in each, as far as it has words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from wirework import App, Close, FirstMessage, Reject, RequestFailed, WebSocket
from wirework.dialects import Centrifugo, Htmx, NamedSockets, State, Status, Typed
from wirework.dialects.base import Dialect

from .handlers import Id
from .record import Record

__all__ = ["GREETING", "TOKEN", "add_dialects"]

TOKEN = "the good one"
GREETING = {"hello": "you"}


class Numbers(msgspec.Struct):
    a: int
    b: int = 1


def add_dialects(app: App, record: Record) -> None:
    """Add the functions below /speak, by their names in messages or in paths."""
    for name, dialect in NAMED.items():
        events = app.events(f"/speak/{name}", dialect=dialect)
        for word, function in (functions(record) | named_functions()).items():
            events.on(word)(function)
        events.on_disconnect(leaving(record))
    for name, dialect in UNNAMED.items():
        for word, function in functions(record).items():
            path = f"/speak/{name}/{word}"
            app.ws(path, dialect=dialect, disconn=leaving(record))(function)
    _add_welcome(app)
    _add_secrets(app, record)


NAMED: dict[str, Dialect] = {
    "typed": Typed(),
    "state": State(),
    "named": NamedSockets(),
    "centrifugo": Centrifugo(),
}
UNNAMED: dict[str, Dialect] = {"status": Status(), "htmx": Htmx()}


def leaving(record: Record) -> Callable[..., Any]:
    async def leave(id: Id, code: int) -> None:
        await record.add(id, "disconnect", code)

    return leave


def functions(record: Record) -> dict[str, Callable[..., Any]]:
    """Return what every dialect can call; each connection has an id in its query."""

    async def add(a: int, b: int = 1) -> int:
        return a + b

    async def total(numbers: Numbers) -> int:
        return numbers.a + numbers.b

    async def push(ws: WebSocket, a: int) -> None:
        await ws.send(a)

    async def fail(a: int = 0) -> int:
        raise RuntimeError("a secret")

    async def reject(a: int = 0) -> int:
        raise Reject("sold_out", "no tea left")

    async def part(ws: WebSocket, code: int, reason: str) -> None:
        raise Close(code, reason)

    async def count(to: int, id: Id) -> AsyncIterator[int]:
        try:
            for number in range(to):
                yield number
                await asyncio.sleep(0)
        finally:
            await record.add(id, "stopped")

    words = (add, total, push, fail, reject, part, count)
    return {function.__name__: function for function in words}


def named_functions() -> dict[str, Callable[..., Any]]:
    """Return what only those with names for what the server says can call."""

    async def greet(ws: WebSocket) -> None:
        await ws.send_event("greeting", GREETING)

    async def ask(ws: WebSocket) -> Any:
        try:
            return await ws.request("how many?", GREETING, type=int)
        except RequestFailed as error:
            return [error.code, error.message]

    return {"greet": greet, "ask": ask}


def _add_welcome(app: App) -> None:
    events = app.events("/speak/welcome", dialect=Typed(ready=True))

    @events.on_ready
    async def on_ready(ws: WebSocket) -> str:
        name = await ws.request("who are you?", type=str)
        return f"welcome, {name}"


def _add_secrets(app: App, record: Record) -> None:
    async def verify(token: str) -> str | None:
        return "Ada" if token == TOKEN else None

    for name in ("typed", "state"):
        path = f"/speak/secret/{name}"
        events = app.events(path, dialect=NAMED[name], auth=FirstMessage(verify))
        events.on_disconnect(leaving(record))

        @events.on("who")
        async def who(user, id: Id) -> str:  # type: ignore[no-untyped-def]
            await record.add(id, "asked")
            return str(user)

        hurried = FirstMessage(verify, timeout=0.2)
        app.events(f"/speak/hurried/{name}", dialect=NAMED[name], auth=hurried)

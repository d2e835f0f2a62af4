"""Connections side by side: nothing of one shows in another, and nothing stays when it ends."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any

import pytest

from tests.unit.applications import Gate, talking
from tests.unit.session.talk import User, ask, heard, login, message, send, user_of, value
from wirework import App, Call, Depends, FirstMessage, Query, WebSocket
from wirework.connection import current
from wirework.dialects import Typed
from wirework.testing import TestClient, TestWebSocket

TENANTS, MESSAGES, SWITCHES = 10, 250, 40


async def get_user_name(ws: WebSocket, tenant: Annotated[str, Query()]) -> AsyncIterator[str]:
    await asyncio.sleep(0)
    yield f"{tenant} {ws.user.name}"


async def get_lasting(ws: WebSocket, tenant: Annotated[str, Query()]) -> str:
    await asyncio.sleep(0)
    return f"{tenant} {ws.query['tenant']}"


def watched_app() -> App:
    """Return an application whose handler looks again and again whose it is."""
    app = App()
    dice = random.Random(5)

    async def middleware(call: Call, ws: WebSocket, call_next: Any) -> Any:
        before = ws.user.name
        found = await call_next(call)
        assert ws.user.name == before
        return found

    desk = app.events(
        "/",
        dialect=Typed(),
        auth=FirstMessage(user_of),
        middleware=[middleware],
        concurrency=4,
    )

    @desk.on_ready
    async def on_ready(ws: WebSocket, user: User) -> None:
        ws.state.owner = user.name

    @desk.on("look")
    async def look(
        n: int,
        ws: WebSocket,
        user: User,
        message: Call,
        tenant: Annotated[str, Query()],
        name: Annotated[str, Depends(get_user_name)],
        lasting: Annotated[str, Depends(get_lasting, scope="connection")],
    ) -> list[Any]:
        for _ in range(dice.randrange(SWITCHES * 2)):
            await asyncio.sleep(0)
            assert current.get() is ws.connection
            assert ws.state.owner == user.name == ws.user.name == tenant
            assert (name, lasting) == (f"{tenant} {tenant}",) * 2
            assert message.id == n
        return [n, user.name]

    return app


async def test_tenants_see_nothing_of_one_another_in_a_hundred_thousand_switches() -> None:
    app = watched_app()

    async def use(ws: TestWebSocket, name: str) -> None:
        send(ws, login(name))
        assert await ws.receive_json() == {"type": "ready"}
        for first in range(0, MESSAGES, 10):
            ids = range(first, first + 10)
            send(ws, *[message("look", {"n": id, "user": "eve"}, id=id) for id in ids])
            said = sorted(await heard(ws, 10), key=lambda each: each["id"])
            assert said == [value("look", [id, name], id=id) for id in ids]

    async with TestClient(app, timeout=50) as client, AsyncExitStack() as stack:
        names = [f"tenant{number}" for number in range(TENANTS)]
        opening = [client.connect("/", query={"tenant": name}) for name in names]
        sockets = [await stack.enter_async_context(each) for each in opening]
        await asyncio.gather(*map(use, sockets, names))


@pytest.mark.parametrize("how", ["used", "cancelled", "asking", "unauthenticated"])
async def test_a_connection_that_has_ended_leaves_nothing_behind(how: str) -> None:
    app = App()
    gate = Gate()
    seen: list[weakref.ref[Any]] = []
    desk = app.events("/", dialect=Typed(), auth=FirstMessage(user_of), concurrency=2)

    @desk.on_connect
    async def on_connect(ws: WebSocket) -> None:
        seen.extend([weakref.ref(ws), weakref.ref(ws.connection)])

    @desk.on("stream")
    async def stream() -> AsyncIterator[int]:
        yield 1
        await gate()

    @desk.on("ask")
    async def ask_back(ws: WebSocket) -> Any:
        return await ws.request("guess")

    async with TestClient(app) as client:
        async with client.connect("/") as ws:
            if how != "unauthenticated":
                send(ws, login())
                await ws.receive_json()
                assert (await ask(ws, "stream"))["seq"] == 0
            if how == "cancelled":
                send(ws, message("cancel", id=1), message("cancel", id=2))
                await ws.receive_json()
            if how == "asking":
                assert (await ask(ws, "ask", id=2))["ask"] == 1
            gate.open.set()
        del ws
        await asyncio.sleep(0)
        gc.collect()
        socket, connection = (each() for each in seen)
        assert socket is None
        # the timer of a request keeps its context, and with it the connection, until it runs out
        assert connection is None or how == "asking"


async def test_what_one_client_sends_cannot_reach_into_the_program() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())

    @desk.on("note")
    async def note(data, message: Call, ws: WebSocket) -> Any:  # type: ignore[no-untyped-def]
        return [data, message.name, ws.user]

    payload = {"user": "eve", "ws": 1, "message": {"name": "x"}, "__class__": "y", "self": 2}
    async with talking(app) as ws:
        assert await ask(ws, "note", payload) == value("note", [payload, "note", None])

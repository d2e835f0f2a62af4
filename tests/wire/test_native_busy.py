"""A client whose messages wait behind a busy function, on the native transport."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.wire.native import native_server, until
from tests.wire.raw import RawClient, frame
from wirework import App, WebSocket
from wirework.connection import Connection
from wirework.dialects import Typed
from wirework.timers import wheel

PING, PONG = 9, 10
MANY = 100
"""More messages than an inbox holds."""


class Desk:
    """Events with functions that are held, and others that are not."""

    def __init__(self) -> None:
        self.app = App(heartbeat_interval=25, heartbeat_timeout=10)
        self.release = asyncio.Event()
        self.ends: list[int] = []
        self.connections: list[Connection] = []
        desk = self.app.events("/", dialect=Typed())

        @desk.on_connect
        async def on_connect(ws: WebSocket) -> None:
            self.connections.append(ws.connection)

        @desk.on("busy")
        async def busy() -> None:
            await self.release.wait()

        @desk.on("tick")
        async def tick() -> AsyncIterator[int]:
            yield 0
            await self.release.wait()

        @desk.on("ask")
        async def ask(ws: WebSocket) -> object:
            return await ws.request("how many?", timeout=15)

        @desk.on("note")
        async def note(number: int) -> int:
            return number

        @desk.on_disconnect
        async def on_disconnect(code: int) -> None:
            self.ends.append(code)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[RawClient]:
        async with native_server(self.app) as server, server.opened() as client:
            try:
                yield client
            finally:
                self.release.set()


def said(type: str, **keys: Any) -> bytes:
    return frame(json.dumps({"type": type, **keys}).encode())


def notes() -> bytes:
    return b"".join(said("note", id=number, data={"number": number}) for number in range(MANY))


async def heard(client: RawClient) -> Any:
    opcode, data = await client.frame()
    assert opcode == 1, (opcode, data)
    return json.loads(data)


async def test_a_client_whose_messages_wait_is_not_given_up_and_none_is_lost() -> None:
    desk = Desk()
    async with desk.opened() as client:
        await client.send(said("busy", id=-1) + notes())
        await until(lambda: desk.connections[0].is_paused)
        (connection,) = desk.connections
        now = wheel().now()
        for seconds in range(5, 100, 5):
            connection.tick(now + seconds)
        desk.release.set()
        assert await heard(client) == {"type": "busy", "id": -1}
        for number in range(MANY):
            assert await heard(client) == {"type": "note", "id": number, "data": number}
        for seconds in (100, 126):  # the messages count, and then there is silence
            connection.tick(now + seconds)
        assert await client.frame() == (PING, b"")
        await client.send(frame(b"", PONG))
        await until(lambda: connection.deadlines.pongs == 1)
        connection.tick(now + 137)
        assert connection.is_open


async def test_a_client_cancels_a_stream_behind_which_its_messages_wait() -> None:
    desk = Desk()
    async with desk.opened() as client:
        await client.send(said("tick", id=-1))
        assert (await heard(client))["seq"] == 0
        await client.send(notes())
        await until(lambda: len(desk.connections[0].inbox) == MANY)
        await client.send(said("cancel", id=-1))
        assert await heard(client) == {"type": "end", "id": -1, "data": {"count": 1}}
        assert [(await heard(client))["data"] for _ in range(MANY)] == list(range(MANY))


async def test_a_client_answers_a_request_behind_which_its_messages_wait() -> None:
    desk = Desk()
    async with desk.opened() as client:
        await client.send(said("ask", id=-1) + notes())
        question = await heard(client)
        await until(lambda: len(desk.connections[0].inbox) == MANY)
        await client.send(said("answer", ask=question["ask"], data=7))
        assert await heard(client) == {"type": "ask", "id": -1, "data": 7}
        assert [(await heard(client))["data"] for _ in range(MANY)] == list(range(MANY))


async def test_a_client_that_goes_while_its_messages_wait_behind_a_stream_is_noticed() -> None:
    desk = Desk()
    async with desk.opened() as client:
        await client.send(said("tick", id=-1))
        assert (await heard(client))["seq"] == 0
        await client.send(notes())
        client.abort()
        await until(lambda: desk.connections[0].is_closed)
        desk.release.set()
        await until(lambda: desk.ends)
    assert desk.ends == [1006]

"""Where a connection is put into a collection, so that it is always taken out again."""

from __future__ import annotations

import asyncio

import pytest

from wirework import App, WebSocket
from wirework.dialects import Typed
from wirework.testing import HandshakeRefused, TestClient


class Place:
    """Connections that enter slowly, and are counted where the pages say."""

    def __init__(self) -> None:
        self.people: set[WebSocket] = set()
        self.at_the_door: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()
        self.door = asyncio.Event()
        self.added = asyncio.Event()
        self.app = App()
        self.app.ws("/accepting", conn=self.enter, disconn=self.leave)(self.say)
        desk = self.app.events("/ready", dialect=Typed())
        desk.on_connect(self.wait)
        desk.on_ready(self.add)
        desk.on_disconnect(self.leave)

    async def wait(self, ws: WebSocket) -> None:
        self.at_the_door.set_result(ws)
        await self.door.wait()

    async def enter(self, ws: WebSocket) -> None:
        await self.wait(ws)
        await ws.accept()
        await self.add(ws)

    async def add(self, ws: WebSocket) -> None:
        self.people.add(ws)
        self.added.set()

    async def leave(self, ws: WebSocket) -> None:
        self.people.remove(ws)

    async def say(self, text: str) -> None: ...


async def connect(client: TestClient, path: str) -> None:
    async with client.connect(path) as ws:
        await ws.close()


@pytest.mark.parametrize("path", ["/accepting", "/ready"])
async def test_whoever_stays_is_put_in_and_taken_out(path: str) -> None:
    place = Place()
    place.door.set()
    async with TestClient(place.app) as client:
        async with client.connect(path) as ws:
            await place.added.wait()
            assert place.people == {await place.at_the_door}
            await ws.close()
        assert not place.people


@pytest.mark.parametrize("path", ["/accepting", "/ready"])
async def test_whoever_goes_before_the_acceptance_is_never_put_in(path: str) -> None:
    place = Place()
    async with TestClient(place.app) as client:
        coming = asyncio.create_task(connect(client, path))
        ws = await place.at_the_door
        ws.connection.lost(1006)
        place.door.set()
        with pytest.raises(HandshakeRefused):
            await coming
    assert not place.people

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wirework import App, ConnectionClosed, WebSocket
from wirework.dialects import Typed
from wirework.testing import HandshakeRefused, TestClient


class Held:
    """An application whose message handler says that it has begun, and waits."""

    def __init__(self, **settings: Any) -> None:
        self.app = App(**{"drain_spread": 0, **settings})
        self.gate = asyncio.Event()
        self.seen: list[Any] = []
        self.app.ws("/", disconn=self.gone, concurrency=2)(self.handle)
        self.app.websocket("/loop")(self.loop)

    async def handle(self, data: str, ws: WebSocket) -> str:
        await ws.send(f"began {data}")
        try:
            await self.gate.wait()
        finally:
            self.seen.append(data)
        return f"answered {data}"

    async def loop(self, ws: WebSocket) -> None:
        await ws.accept()
        try:
            async for message in ws:
                await ws.send(f"began {message!s}")
                await self.gate.wait()
                await ws.send(f"answered {message!s}")
        finally:
            self.seen.append(ws.close_code)

    def gone(self, code: int) -> None:
        self.seen.append(code)


@pytest.mark.parametrize("path", ["/", "/loop"])
async def test_who_waits_for_nothing_is_closed_at_once(path: str) -> None:
    held = Held(drain_timeout=3000)
    async with TestClient(held.app) as client, client.connect(path) as ws:
        await held.app.shut_down()
        await ws.assert_closed(1012, "restarting")
    assert held.seen == [1012]


@pytest.mark.parametrize("path", ["/", "/loop"])
async def test_a_running_handler_answers_before_the_close(path: str) -> None:
    held = Held(drain_timeout=3000)
    async with TestClient(held.app) as client, client.connect(path) as ws:
        await ws.send_text("one")
        assert await ws.receive_text() == "began one"
        ending = held.app.shut_down()
        await ws.assert_silent()
        held.gate.set()
        assert await ws.receive_text() == "answered one"
        await ws.assert_closed(1012)
        await ending


@pytest.mark.parametrize("path", ["/", "/loop"])
async def test_messages_that_come_after_the_stop_are_dropped(path: str) -> None:
    held = Held(drain_timeout=3000)
    async with TestClient(held.app) as client, client.connect(path) as ws:
        await ws.send_text("one")
        assert await ws.receive_text() == "began one"
        ending = held.app.shut_down()
        await ws.assert_silent()
        await ws.send_text("two")
        held.gate.set()
        assert await ws.receive_text() == "answered one"
        await ws.assert_closed(1012)
        await ending
    assert "two" not in held.seen


async def test_a_handler_that_does_not_end_is_cancelled_and_the_hook_runs_after_it() -> None:
    held = Held(drain_timeout=0.1)
    async with TestClient(held.app) as client, client.connect("/") as ws:
        await ws.send_text("one")
        assert await ws.receive_text() == "began one"
        await held.app.shut_down()
        await ws.assert_closed(1012)
    assert held.seen == ["one", 1012]


async def test_told_twice_it_waits_for_nothing() -> None:
    held = Held(drain_timeout=3000, drain_spread=1000)
    async with TestClient(held.app) as client, client.connect("/") as ws, client.connect("/loop"):
        await ws.send_text("one")
        assert await ws.receive_text() == "began one"
        ending = held.app.shut_down()
        await ws.assert_silent()
        assert held.app.shut_down(at_once=True) is ending
        await ending
        await ws.assert_closed(1012)
    assert sorted(map(str, held.seen)) == ["1012", "1012", "one"]


async def test_the_answer_to_a_request_is_still_heard() -> None:
    app = App(drain_spread=0, drain_timeout=3000, dialect=Typed())
    began, gate = asyncio.Event(), asyncio.Event()

    @app.ws("/")
    async def ask(ws: WebSocket) -> str:
        began.set()
        await gate.wait()
        return str(await ws.request("name", None, timeout=60))

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_json({"type": "call", "id": 1})
        await began.wait()
        ending = app.shut_down()
        await ws.assert_silent()
        gate.set()
        asked = await ws.receive_json()
        await ws.send_json({"type": "answer", "ask": asked["ask"], "data": "Ada"})
        assert (await ws.receive_json())["data"] == "Ada"
        await ws.assert_closed(1012)
        await ending


async def test_a_handler_that_sends_for_ever_ends_when_half_of_the_rest_is_over() -> None:
    app = App(drain_spread=3000, drain_timeout=3000)
    ends: list[type[BaseException]] = []

    @app.ws("/")
    async def tick(data: str, ws: WebSocket) -> None:
        try:
            while True:
                await ws.send("tick")
                await asyncio.sleep(0)
        except BaseException as error:
            ends.append(type(error))
            raise

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_text("begin")
        assert await ws.receive_text() == "tick"
        async with asyncio.timeout(10):
            await app.shut_down()
    assert ends == [ConnectionClosed]


async def test_nobody_is_let_in_any_more_until_the_application_starts_again() -> None:
    held = Held(drain_timeout=3000, drain_spread=2.5)
    async with TestClient(held.app) as client:
        await held.app.shut_down()
        with pytest.raises(HandshakeRefused) as refused:
            async with client.connect("/"):
                pass
        assert refused.value.status == 503
        assert dict(refused.value.headers)["retry-after"] == "3"
    async with TestClient(held.app) as client, client.connect("/"):
        pass


async def test_a_handshake_that_is_not_answered_is_refused_and_its_handler_cancelled() -> None:
    app = App(drain_timeout=3000)
    asked = asyncio.Event()
    ends: list[type[BaseException]] = []

    @app.websocket("/")
    async def hesitant(ws: WebSocket) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            ends.append(type(error))
            raise

    async def connect() -> int:
        with pytest.raises(HandshakeRefused) as refused:
            async with client.connect("/"):
                pass
        return refused.value.status

    async with TestClient(app) as client, asyncio.TaskGroup() as group:
        asking = group.create_task(connect())
        await asked.wait()
        await app.shut_down()
    assert asking.result() == 503
    assert ends == [asyncio.CancelledError]

"""`app.from_thread`: threads of the application's own speak through its event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.applications import Gate, talking
from tests.unit.session.talk import ask, heard, message, send, value
from wirework import App, ConnectionClosed, WebSocket, broadcast
from wirework.dialects import Typed
from wirework.testing import TestClient


class Desk:
    """An application whose `def` handlers speak from their threads."""

    def __init__(self) -> None:
        self.app = App()
        self.desk = self.app.events("/", dialect=Typed())
        self.sockets: list[WebSocket] = []

        @self.desk.on_connect
        async def on_connect(ws: WebSocket) -> None:
            self.sockets.append(ws)

        @self.desk.on("work")
        def work(steps: int, ws: WebSocket) -> int:
            assert threading.current_thread() is not threading.main_thread()
            for step in range(steps):
                self.app.from_thread(ws.send_event, "progress", step)
            return steps

        @self.desk.on("ask")
        def ask_back(ws: WebSocket) -> Any:
            return self.app.from_thread(ws.request, "guess", {"to": 3})


async def test_a_def_handler_sends_in_order_before_its_answer() -> None:
    async with talking(Desk().app) as ws:
        send(ws, message("work", {"steps": 3}, id=1))
        progress = [{"type": "progress", "data": step} for step in range(3)]
        assert await heard(ws, 4) == [*progress, value("work", 3)]


async def test_a_def_handler_asks_its_client() -> None:
    async with talking(Desk().app) as ws:
        assert await ask(ws, "ask") == {"type": "guess", "ask": 1, "data": {"to": 3}}
        send(ws, message("answer", 2, ask=1))
        assert await ws.receive_json() == value("ask", 2)


async def test_it_returns_the_result_and_raises_the_error_of_the_call() -> None:
    app = App()

    async def double(n: int) -> int:
        if n < 0:
            raise KeyError(n)
        return n * 2

    async with TestClient(app):
        assert await asyncio.to_thread(app.from_thread, double, 4) == 8
        with pytest.raises(KeyError):
            await asyncio.to_thread(app.from_thread, double, -1)


async def test_many_threads_at_once_interleave_whole_frames() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:

        def speak(name: str) -> None:
            for number in range(50):
                desk.app.from_thread(desk.sockets[0].send_event, name, number)

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(4) as pool:
            threads = [loop.run_in_executor(pool, speak, name) for name in "abcd"]
            said = await heard(ws, 200)
            await asyncio.gather(*threads)
    for name in "abcd":
        assert [each["data"] for each in said if each["type"] == name] == list(range(50))


async def test_a_thread_may_tell_everybody() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        told = await asyncio.to_thread(desk.app.from_thread, broadcast, desk.sockets, "news")
        assert told == 1
        assert await ws.receive_json() == {"type": "message", "data": "news"}


async def test_a_peer_that_is_gone_raises_in_the_thread() -> None:
    desk = Desk()
    async with talking(desk.app):
        pass
    async with TestClient(desk.app):
        with pytest.raises(ConnectionClosed):
            await asyncio.to_thread(desk.app.from_thread, desk.sockets[0].send_event, "tick")


# --- misuse -------------------------------------------------------------------------------------


async def test_in_the_event_loops_own_thread_it_would_wait_for_itself() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        with pytest.raises(RuntimeError, match="this is the event loop's thread; await the call"):
            desk.app.from_thread(desk.sockets[0].send_event, "tick")
        assert await ask(ws, "work", {"steps": 0}) == value("work", 0)


async def test_without_a_running_application_there_is_nobody_to_run_it() -> None:
    app = App()
    calls: list[int] = []

    async def call() -> None:
        calls.append(1)

    with pytest.raises(RuntimeError, match="from_thread: the application is not running"):
        app.from_thread(call)
    async with TestClient(app):
        await asyncio.to_thread(app.from_thread, call)
    with pytest.raises(RuntimeError, match="from_thread: the application is not running"):
        await asyncio.to_thread(app.from_thread, call)
    assert calls == [1]


async def test_a_timeout_cancels_the_call() -> None:
    app = App()
    gate = Gate()
    ends: list[str] = []
    cancelled = asyncio.Event()

    async def call() -> None:
        try:
            await gate()
        except asyncio.CancelledError:
            ends.append("cancelled")
            cancelled.set()
            raise

    async with TestClient(app):
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(lambda: app.from_thread(call, timeout=0.01))
        await cancelled.wait()
    assert ends == ["cancelled"]


async def test_a_timeout_of_the_call_itself_is_told_as_it_is() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        socket = desk.sockets[0]

        async def ask_back() -> Any:
            return await socket.request("guess", timeout=0)

        with pytest.raises(TimeoutError):
            await asyncio.to_thread(desk.app.from_thread, ask_back)
        assert await ws.receive_json() == {"type": "guess", "ask": 1}
        assert await ask(ws, "work", {"steps": 0}) == value("work", 0)

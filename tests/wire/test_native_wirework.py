"""Wirework applications on the native transport: as the server's own, and mounted in others."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.wire.native import OWN_HTTP, Living, native_server, received, until
from tests.wire.raw import RawClient, frame, handshake, raw_client
from wirework import App, ConnectionClosed, WebSocket
from wirework.connection import Connection
from wirework.transports.native.link import NativeLink
from wirework.transports.native.protocol import NativeProtocol
from wirework.transports.native.wire import Wire

CLOSE = 8


class Hooked:
    """An application whose hooks are counted."""

    def __init__(self, **settings: Any) -> None:
        self.app = App(drain_spread=0, **settings)
        self.events: list[Any] = []
        self.hold: asyncio.Event | None = None
        self.app.ws("/", conn=self.conn, disconn=self.disconn)(self.message)

    async def conn(self, ws: WebSocket) -> None:
        self.events.append("connect")
        if self.hold is not None:
            await self.hold.wait()

    async def disconn(self, ws: WebSocket, code: int) -> None:
        await asyncio.sleep(0)
        self.events.append(code)

    async def message(self, msg: str) -> str:
        return msg

    def count(self) -> Counter[Any]:
        return Counter(self.events)


def mounted(app: App) -> Any:
    outer = FastAPI()
    outer.mount("/", app)
    return outer


async def test_fifty_idle_connections_of_a_message_handler_have_no_task() -> None:
    hooked = Hooked()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(native_server(hooked.app, OWN_HTTP))
        before = len(asyncio.all_tasks())
        for _ in range(50):
            client = await stack.enter_async_context(server.opened())
            await client.send(frame(b"hello"))
            assert await client.frame() == (1, b"hello")
        await until(lambda: len(asyncio.all_tasks()) <= before)
        assert not server.tasks
        assert len(server.connections) == 50


async def test_code_of_the_application_always_runs_in_a_task() -> None:
    app = App()
    tasks: list[asyncio.Task[Any] | None] = []

    async def conn(ws: WebSocket) -> None:
        tasks.append(asyncio.current_task())

    @app.ws("/hooked", conn=conn)
    @app.ws("/plain")
    async def answer(msg: str) -> str:
        tasks.append(asyncio.current_task())
        return msg

    @app.websocket("/held")
    async def held(ws: WebSocket) -> None:
        tasks.append(asyncio.current_task())
        await ws.accept()
        await ws.send(await ws.receive())

    async with native_server(app) as server:
        for path in ("/plain", "/hooked", "/held"):
            async with server.opened(path) as client:
                await client.send(frame(b"hello"))
                assert await client.frame() == (1, b"hello")
    assert len(tasks) == 4
    assert None not in tasks


async def test_what_stands_before_the_application_is_never_passed_by() -> None:
    seen: list[str] = []

    class Guarded(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["type"])
            await super().__call__(scope, receive, send)

    class Wrapper:
        def __init__(self, app: App) -> None:
            self.app = app

        def __getattr__(self, name: str) -> Any:
            return getattr(self.app, name)

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(f"wrapped {scope['type']}")
            await self.app(scope, receive, send)

    async def answer(msg: str) -> str:
        return msg

    guarded, inner = Guarded(), App()
    guarded.ws("/")(answer)
    inner.ws("/")(answer)
    wrapped: Any = Wrapper(inner)
    for app in (guarded, wrapped):
        async with native_server(app) as server, server.opened() as client:
            await client.send(frame(b"hello"))
            assert await client.frame() == (1, b"hello")
    assert [kind for kind in seen if "websocket" in kind] == ["websocket", "wrapped websocket"]


async def test_frames_glued_to_the_handshake_reach_a_route_that_opens_at_once() -> None:
    app = App()

    @app.ws("/")
    async def answer(msg: str) -> str:
        return msg

    async with native_server(app, OWN_HTTP) as server, raw_client(server.port) as client:
        await client.send(handshake("/") + frame(b"one") + frame(b"two"))
        assert (await client.head()).startswith(b"http/1.1 101 ")
        assert await client.frame() == (1, b"one")
        assert await client.frame() == (1, b"two")


async def test_an_application_that_waits_before_it_connects_is_served() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    class Waiting(App):
        async def connect(self, connection: Connection, scope: Any) -> None:
            for _ in range(2):
                await asyncio.sleep(0)
                tasks.append(asyncio.current_task())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.get_running_loop().create_future()
            await super().connect(connection, scope)

    app = Waiting()

    @app.ws("/")
    async def answer(msg: str) -> str:
        return msg

    async with native_server(app) as server, server.opened() as client:
        await client.send(frame(b"hello"))
        assert await client.frame() == (1, b"hello")
        await until(lambda: not server.tasks)
    assert len(tasks) == 2
    assert None not in tasks


async def test_mounted_in_another_application_the_call_stays_open_until_the_end() -> None:
    hooked = Hooked()
    calls: list[str] = []
    inner = mounted(hooked.app)

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        calls.append("begun")
        await inner(scope, receive, send)
        calls.append(f"over after {hooked.events[-1]}")

    async with native_server(watched) as server, server.opened() as client:
        await client.send(frame(b"hello"))
        assert await client.frame() == (1, b"hello")
        assert calls == ["begun"]
        await client.send(frame(b"\x03\xe9", CLOSE))
        await client.rest()
        await until(lambda: len(calls) > 1)
    assert calls == ["begun", "over after 1001"]


@pytest.mark.parametrize("lifespan", ["on", "off"])
@pytest.mark.parametrize("is_mounted", [False, True])
async def test_a_stop_ends_every_connection_once_and_waits_for_its_hook(
    lifespan: str, is_mounted: bool
) -> None:
    hooked = Hooked()
    app = mounted(hooked.app) if is_mounted else hooked.app
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(native_server(app, lifespan=lifespan))
        clients = [await stack.enter_async_context(server.opened()) for _ in range(10)]
        server.stop()
        for client in clients:
            assert await client.frame() == (CLOSE, b"\x03\xf4restarting")
            assert await client.rest() == b""
    assert hooked.count() == {"connect": 10, 1012: 10}


@pytest.mark.parametrize("is_mounted", [False, True])
async def test_a_call_that_the_server_cancels_still_runs_the_hook(is_mounted: bool) -> None:
    hooked = Hooked()
    entered: list[asyncio.Task[Any] | None] = []
    inner = mounted(hooked.app) if is_mounted else hooked.app

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        entered.append(asyncio.current_task())
        await inner(scope, receive, send)

    async with native_server(noted) as server:
        async with server.opened() as client:
            (task,) = entered
            assert task is not None
            task.cancel()
            assert await client.frame() == (CLOSE, b"\x03\xf4")
        await until(lambda: not server.tasks and not server.connections)
    assert hooked.count() == {"connect": 1, 1012: 1}


@pytest.mark.parametrize("is_mounted", [False, True])
async def test_a_handshake_that_is_not_answered_in_time_is_refused_and_its_handler_cancelled(
    is_mounted: bool,
) -> None:
    hooked = Hooked(handshake_timeout=0.25)
    hooked.hold = asyncio.Event()
    app = mounted(hooked.app) if is_mounted else hooked.app
    async with native_server(app) as server, raw_client(server.port) as client:
        await client.send(handshake())
        assert (await client.rest()).startswith(b"HTTP/1.1 503 ")
        await until(lambda: not server.tasks and not server.connections)
    assert hooked.count() == {"connect": 1}


@pytest.mark.parametrize("is_mounted", [False, True])
async def test_peers_that_leave_before_the_answer_leave_nothing_behind(is_mounted: bool) -> None:
    hooked = Hooked()
    hooked.hold = asyncio.Event()
    app = mounted(hooked.app) if is_mounted else hooked.app
    async with native_server(app) as server:
        for number in range(20):
            async with raw_client(server.port) as client:
                await client.send(handshake())
                await until(lambda: len(hooked.events) > number)  # noqa: B023
                if number % 2:
                    client.abort()
                else:
                    client.finish()
                    await client.rest()
        await until(lambda: all(each.is_lost for each in server.connections))
        hooked.hold.set()
        await until(lambda: not server.tasks and not server.connections)
    assert hooked.count() == {"connect": 20}


async def test_b8_three_hundred_resets_within_a_frame_end_once_each_and_leak_nothing() -> None:
    hooked = Hooked()
    living = Living(NativeProtocol, Wire, NativeLink, Connection)
    async with native_server(hooked.app) as server:
        for _ in range(300):
            async with server.opened() as client:
                await client.send(frame(b"x" * 100)[:-50])
                client.abort()
        await until(lambda: hooked.count()[1006] == 300 and not server.connections)
        await until(lambda: len(asyncio.all_tasks()) <= 2)
        gc.collect()
        assert living() == []
    assert hooked.count() == {"connect": 300, 1006: 300}


@pytest.mark.parametrize("how", ["close", "reset", "refusal", "stop"])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_what_belongs_to_a_connection_is_freed_without_the_garbage_collector(
    how: str, whose: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close" if how == "refusal" else "websocket.accept"})
        await receive()

    native: Any = Hooked(allowed_origins=[], require_origin=how == "refusal").app
    living = Living(NativeProtocol, Wire, NativeLink, Connection)
    gc.disable()
    try:
        async with native_server(native if whose == "ours" else app) as server:
            async with raw_client(server.port) as client:
                await client.send(handshake())
                await _end(client, how, server)
            await until(lambda: not server.connections and not server.tasks)
        await until(lambda: not living())
    finally:
        gc.enable()


async def _end(client: RawClient, how: str, server: Any) -> None:
    head = await client.head()
    assert (b" 403 " in head) is (how == "refusal")
    if how == "close":
        await client.send(frame(b"", CLOSE))
    if how == "reset":
        client.abort()
    elif how == "stop":
        server.stop()
        await client.rest()
    else:
        await client.rest()


async def test_what_is_sent_in_the_turn_in_which_the_socket_goes_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    app, joined = App(), asyncio.Event()

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        joined.set()
        async for _ in ws:
            pass

    async with native_server(app) as server, server.opened():
        await joined.wait()
        (ws,) = app.connections
        link: Any = ws.connection.link
        wire = link.wire
        await ws.send_text("never written")
        wire.transport.abort()
        wire.connection_lost(None)
        await until(lambda: not app.connections)
    assert caplog.messages == []


async def test_a14_messages_and_a_close_glued_to_the_request_are_all_handled() -> None:
    app = App()
    seen: list[Any] = []

    @app.websocket("/")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                seen.append(await ws.receive())
        except ConnectionClosed as error:
            seen.append(error.code)

    async with native_server(app) as server, raw_client(server.port) as client:
        await client.send(handshake() + frame(b"one") + frame(b"two") + frame(b"\x03\xe9", CLOSE))
        assert (await client.head()).startswith(b"http/1.1 101 ")
        assert await client.frame() == (CLOSE, b"\x03\xe9")
        await until(lambda: len(seen) == 3)
    assert seen == ["one", "two", 1001]


async def test_c17_what_came_early_does_not_lift_the_bound_of_the_inbox() -> None:
    hold, release = asyncio.Event(), asyncio.Event()
    app = App(inbox_frames=10)
    inboxes: list[Any] = []

    @app.websocket("/")
    async def loop(ws: WebSocket) -> None:
        inboxes.append(ws.connection)
        await hold.wait()
        await ws.accept()
        await release.wait()
        async for message in ws:
            await ws.send(message)

    async with native_server(app) as server, raw_client(server.port) as client:
        await client.send(handshake())
        await until(lambda: inboxes)
        (protocol,) = server.connections
        frames = [b"%d" % number + b"x" * 1000 for number in range(5000)]
        sending = asyncio.create_task(client.send(b"".join(frame(each) for each in frames)))
        await until(lambda: not protocol.transport.is_reading())
        transport = protocol.transport
        hold.set()
        await client.head()
        await until(lambda: len(inboxes[0].inbox) >= 10)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not transport.is_reading()
        assert len(inboxes[0].inbox) < 200
        release.set()
        assert [await client.frame() for _ in frames] == [(1, each) for each in frames]
        await sending


async def test_middleware_around_a_mounted_application_may_refuse_before_it() -> None:
    hooked = Hooked()

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and b"token" not in scope["query_string"]:
            await receive()
            await send({"type": "websocket.close", "code": 4401})
            return
        await Starlette(routes=[Mount("/", hooked.app)])(scope, receive, send)

    async with native_server(guard) as server:
        assert (await server.refusal()).status_code == 403
        async with server.connect("/?token=1") as client:
            await client.send("hello")
            assert await received(client) == "hello"
    assert hooked.events[0] == "connect"
    assert len(hooked.events) == 2

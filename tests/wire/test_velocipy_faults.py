"""What VelociPy gets wrong, each by the name of what is right here, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import hypercorn.asyncio
import msgspec
import pytest
from hypercorn.config import Config
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tests.contract.harness import closed, cookie_of, refused, within
from tests.contract.process import HOST
from tests.contract.sockets import SocketServer
from tests.wire.serving import IMPLEMENTATIONS, serving
from wirework import App, Close, ConnectionClosed, Session, ValidationError, WebSocket


@asynccontextmanager
async def on_hypercorn(app: App) -> AsyncIterator[SocketServer]:
    listener = socket.create_server((HOST, 0))
    stop = asyncio.Event()
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = None
    serve: Any = hypercorn.asyncio.serve
    task = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    try:
        yield SocketServer("hypercorn", listener.getsockname()[1])
    finally:
        stop.set()
        await within(task)
        listener.detach()


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
@pytest.mark.parametrize("debug", [True, False])
async def test_a_failing_handler_closes_with_1011_in_debug_too(
    ws: str, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(debug=debug)

    @app.websocket("/")
    async def fail(ws: WebSocket) -> None:
        await ws.accept()
        raise RuntimeError("a secret")

    async with serving(app, ws) as server, server.connect("/") as peer:
        close = await closed(peer)
    assert (close.code, close.reason) == (1011, "")
    logged = [record for record in caplog.records if record.exc_info]
    assert [str(record.exc_info[1]) for record in logged if record.exc_info] == ["a secret"]


async def test_an_ordinary_disconnect_has_the_peers_code_and_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
    app = App()

    @app.websocket("/")
    async def watch(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive_text()
        except ConnectionClosed as error:
            found.put_nowait((error.code, error.reason))
            raise

    async with serving(app) as server:
        for code, reason in ((1000, ""), (1001, "tab closed"), (4123, "bored")):
            async with server.connect("/") as peer:
                await peer.close(code, reason)
            assert await within(found.get()) == (code, reason)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_text_is_text_on_hypercorn_which_sends_bytes_none_beside_it() -> None:
    app = App()

    @app.websocket("/")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text(await ws.receive_text())
        await ws.send_bytes(await ws.receive_bytes())
        await ws.send_json(await ws.receive_json())

    @app.ws("/messages")
    async def kind(data: str) -> str:
        return type(data).__name__

    async with on_hypercorn(app) as server:
        async with server.connect("/") as peer:
            for frame in ("text", b"bytes", '{"json":true}'):
                await peer.send(frame)
                assert await peer.receive() == frame
        async with server.connect("/messages") as peer:
            await peer.send("text")
            assert await peer.receive() == "str"


async def test_a_path_parameter_arrives_converted_and_what_does_not_convert_is_not_found() -> None:
    app = App()

    @app.websocket("/items/{id:int}/{share:float}")
    async def item(ws: WebSocket, id: int, share: float) -> None:
        await ws.accept()
        await ws.send_json([id + 1, share / 2, ws.path_params])

    async with serving(app) as server:
        async with server.connect("/items/41/0.5") as peer:
            assert json.loads(await peer.receive()) == [42, 0.25, {"id": 41, "share": 0.5}]
        assert (await refused(server, "/items/abc/0.5")).status == 404


async def test_sockets_have_the_session_of_the_pages() -> None:
    app = App(secret_key="a key of thirty-two bytes or more")

    @app.post("/login")
    async def login(name: str, session: Session) -> str:
        session["name"] = name
        return "welcome"

    @app.websocket("/")
    async def greet(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text(ws.session.get("name", "nobody"))

    async with serving(app) as server:
        response = await server.request("POST", "/login", data={"name": "Ada"})
        async with server.connect("/", headers=[*cookie_of(response.headers).items()]) as peer:
            assert await peer.receive() == "Ada"
        async with server.connect("/") as peer:
            assert await peer.receive() == "nobody"


async def test_middleware_around_the_application_guards_sockets_too() -> None:
    app = App()

    @app.websocket("/")
    async def greet(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("welcome")

    own = TrustedHostMiddleware(app, ["127.0.0.1"])
    async with serving(own) as server, server.connect("/") as peer:
        assert await peer.receive() == "welcome"
    async with serving(TrustedHostMiddleware(app, ["elsewhere.example"])) as server:
        assert (await refused(server, "/")).status in (400, 403)


async def test_exception_handlers_serve_sockets_too() -> None:
    class Full(Exception):
        pass

    app = App()

    @app.exception_handler(Full)
    async def full(connection: WebSocket, error: Full) -> None:
        raise Close(4000, "the room is full")

    @app.websocket("/")
    async def enter(ws: WebSocket) -> None:
        await ws.accept()
        raise Full

    @app.ws("/messages")
    async def say(data: str) -> str:
        raise Full

    async with serving(app) as server:
        for path in ("/", "/messages"):
            async with server.connect(path) as peer:
                if path == "/messages":
                    await peer.send("hello")
                close = await closed(peer)
                assert (close.code, close.reason) == (4000, "the room is full")


async def test_receive_json_decodes_into_a_type_and_names_every_problem() -> None:
    class Move(msgspec.Struct):
        x: int
        y: int

    app = App()

    @app.websocket("/")
    async def play(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            try:
                move = await ws.receive_json(Move)
            except ValidationError as error:
                await ws.send_json([problem["loc"] for problem in error.problems])
            else:
                await ws.send_json(move.x + move.y)

    async with serving(app) as server, server.connect("/") as peer:
        await peer.send('{"x": 1, "y": 2}')
        assert json.loads(await peer.receive()) == 3
        await peer.send('{"x": "1"}')
        assert sorted(json.loads(await peer.receive())) == [["x"], ["y"]]
        await peer.send('{"x": 2, "y": 2}')
        assert json.loads(await peer.receive()) == 4


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
async def test_one_peer_that_does_not_read_holds_up_nobody_and_costs_its_outbox_at_most(
    ws: str,
) -> None:
    peers: set[WebSocket] = set()
    waiting: list[int] = []
    ends: asyncio.Queue[int] = asyncio.Queue()
    app = App(outbox_bytes=200_000, max_message_size=100_000)

    async def join(ws: WebSocket) -> str:
        peers.add(ws)
        return "joined"

    async def leave(ws: WebSocket, code: int) -> None:
        peers.discard(ws)
        ends.put_nowait(code)

    @app.ws("/", conn=join, disconn=leave)
    async def say(data: str) -> None:
        for peer in list(peers):
            try:
                await peer.send(data)
            except ConnectionClosed:
                peers.discard(peer)
            waiting.append(sum(len(frame.data) for frame in peer.connection.outbox))

    async with serving(app, ws) as server, AsyncExitStack() as stack:
        await stack.enter_async_context(server.connect("/", is_deaf=True))
        first = await stack.enter_async_context(server.connect("/"))
        second = await stack.enter_async_context(server.connect("/"))
        assert [await first.receive(), await second.receive()] == ["joined"] * 2
        for number in range(160):
            text = f"{number} {'x' * 60_000}"
            await first.send(text)
            assert [await first.receive(), await second.receive()] == [text] * 2
        assert await within(ends.get()) == 1013
    assert max(waiting) <= 200_000

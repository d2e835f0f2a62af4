"""Every snippet of VelociPy's document, written line by line in ours, over real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from tests.contract.harness import closed, refused
from tests.wire.native import NATIVE
from tests.wire.serving import serving
from wirework import App, Close, ConnectionClosed, WebSocket, broadcast

TRANSPORTS = {"asgi": "websockets-sansio", "native": NATIVE}


@pytest.fixture(params=TRANSPORTS)
def ws(request: pytest.FixtureRequest) -> str:
    """Which WebSocket implementation Uvicorn uses."""
    return TRANSPORTS[request.param]


# --- A simple echo den ----------------------------------------------------------------------------


async def test_a_handler_has_its_own_loop_and_closes_when_it_breaks(ws: str) -> None:
    app = App()
    ends: asyncio.Queue[str] = asyncio.Queue()

    @app.websocket("/ws")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                message = await ws.receive_text()
                await ws.send_text(f"echo: {message}")
        except Exception as error:
            ends.put_nowait(type(error).__name__)
            await ws.close()

    async with serving(app, ws) as server:
        async with server.connect("/ws") as peer:
            for word in ("hello", "world"):
                await peer.send(word)
                assert await peer.receive() == f"echo: {word}"
        assert await asyncio.wait_for(ends.get(), 10) == "ConnectionClosed"
        async with server.connect("/ws") as peer:
            await peer.send(b"no text")
            assert (await closed(peer)).code == 1000
        assert await asyncio.wait_for(ends.get(), 10) == "WrongFrame"


async def test_a_handler_that_forgets_to_close_is_closed_with_1000(ws: str) -> None:
    app = App()

    @app.websocket("/ws")
    async def greet(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("hello")

    async with serving(app, ws) as server, server.connect("/ws") as peer:
        assert await peer.receive() == "hello"
        assert (await closed(peer)).code == 1000


# --- Reading the terrain: path params and headers -------------------------------------------------


async def test_path_parameters_headers_query_and_state_are_on_the_socket(ws: str) -> None:
    app = App()

    @app.websocket("/rooms/{room_id}")
    async def room(ws: WebSocket) -> None:
        before = [ws.accepted, ws.closed]
        await ws.accept()
        room_id = ws.path_params["room_id"]
        client_name = ws.header("x-client-name", default="stranger")
        await ws.send_text(f"joined room {room_id} as {client_name}")
        await ws.send_json([ws.headers["X-CLIENT-NAME"], ws.query_string])
        await ws.send_json([before, [ws.accepted, ws.closed]])
        while True:
            text = await ws.receive_text()
            await ws.send_text(f"[{room_id}] {text}")

    async with serving(app, ws) as server:
        headers = [("X-Client-Name", "rex")]
        async with server.connect("/rooms/7?a=1&b=%20", headers=headers) as peer:
            assert await peer.receive() == "joined room 7 as rex"
            assert json.loads(await peer.receive()) == ["rex", "a=1&b=%20"]
            assert json.loads(await peer.receive()) == [[False, False], [True, False]]
            await peer.send("roar")
            assert await peer.receive() == "[7] roar"


async def test_a_header_that_is_not_there_has_its_default(ws: str) -> None:
    app = App()

    @app.websocket("/")
    async def who(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json([ws.header("X-Name", default="stranger"), ws.header("x-name")])

    async with serving(app, ws) as server, server.connect("/") as peer:
        assert json.loads(await peer.receive()) == ["stranger", None]


# --- Binary and JSON frames -----------------------------------------------------------------------


class Move(msgspec.Struct):
    x: int
    y: int


@pytest.mark.parametrize("adapter", ["msgspec", "orjson", "stdlib"])
async def test_json_frames_use_the_adapter_of_the_application_as_http_does(
    ws: str, adapter: str
) -> None:
    app = App(json=adapter)

    @app.websocket("/game")
    async def game(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                move = await ws.receive_json()  # decoded with the app's JSON adapter
                await ws.send_json({"ack": move, "tick": 42})
        except Exception:
            await ws.close()

    @app.websocket("/typed")
    async def typed(ws: WebSocket) -> None:
        await ws.accept()
        move = await ws.receive_json(Move)
        await ws.send_json({"ack": move, "tick": move.x})

    @app.post("/move")
    async def move(move: Move) -> dict[str, Any]:
        return {"ack": move, "tick": 42}

    async with serving(app, ws) as server:
        async with server.connect("/game") as peer:
            await peer.send('{"x": 1, "y": 2}')
            frame = await peer.receive()
            assert frame == '{"ack":{"x":1,"y":2},"tick":42}'
            await peer.send("{")
            assert (await closed(peer)).code == 1000
        async with server.connect("/typed") as peer:
            await peer.send('{"x": 1, "y": 2}')
            assert await peer.receive() == '{"ack":{"x":1,"y":2},"tick":1}'
        response = await server.request("POST", "/move", json={"x": 1, "y": 2})
        assert response.text == frame


async def test_raw_frames_are_bytes_both_ways(ws: str) -> None:
    app = App()

    @app.websocket("/game")
    async def game(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_bytes((await ws.receive_bytes())[::-1])

    async with serving(app, ws) as server, server.connect("/game") as peer:
        await peer.send(b"\x00\x01\xff")
        assert await peer.receive() == b"\xff\x01\x00"


# --- Subprotocol negotiation ----------------------------------------------------------------------


async def test_the_subprotocol_given_to_accept_is_agreed_on(ws: str) -> None:
    app = App()

    @app.websocket("/chat")
    async def chat(ws: WebSocket) -> None:
        await ws.accept(subprotocol="chat.v1")
        await ws.send_text("protocol accepted")

    async with serving(app, ws) as server:
        async with server.connect("/chat", subprotocols=["chat.v2", "chat.v1"]) as peer:
            assert await peer.receive() == "protocol accepted"
            assert peer.subprotocol == "chat.v1"
        assert (await refused(server, "/chat")).status == 400  # a browser would fail it anyway


# --- Closing with intent --------------------------------------------------------------------------


async def test_close_takes_a_code_and_a_reason_and_errors_carry_theirs(ws: str) -> None:
    app = App()

    @app.websocket("/guard")
    async def guard(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                text = await ws.receive_text()
                if text == "quit":
                    await ws.close(code=1000, reason="client requested exit")
                    return
                if text == "go":
                    raise Close(4403, "not for you")
                await ws.send_text(f"ok: {text}")
        except (Close, ConnectionClosed) as exc:
            await ws.close(code=exc.code, reason=exc.reason)

    async with serving(app, ws) as server:
        for text, end in (("quit", (1000, "client requested exit")), ("go", (4403, "not for you"))):
            async with server.connect("/guard") as peer:
                await peer.send("hello")
                assert await peer.receive() == "ok: hello"
                await peer.send(text)
                close = await closed(peer)
                assert (close.code, close.reason) == end


# --- A small broadcast pack -----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["the document's loop", "broadcast"])
async def test_a_set_of_connections_is_a_broadcast(ws: str, way: str) -> None:
    app = App()
    connections: set[WebSocket] = set()

    @app.websocket("/broadcast")
    async def room(ws: WebSocket) -> None:
        await ws.accept()
        connections.add(ws)
        await ws.send_text("joined")
        try:
            while True:
                message = await ws.receive_text()
                if way == "broadcast":
                    await broadcast(connections, message, skip=ws)
                    continue
                for conn in list(connections):
                    if conn is not ws and not conn.closed:
                        await conn.send_text(message)
        finally:
            connections.discard(ws)
            if not ws.closed:
                await ws.close()

    async with serving(app, ws) as server, AsyncExitStack() as stack:
        pack = [await stack.enter_async_context(server.connect("/broadcast")) for _ in range(3)]
        for peer in pack:
            assert await peer.receive() == "joined"
        await pack[0].send("hello")
        await pack[1].send("hello to you")
        assert [await pack[2].receive() for _ in range(2)] == ["hello", "hello to you"]
        assert await pack[0].receive() == "hello to you"
        assert await pack[1].receive() == "hello"

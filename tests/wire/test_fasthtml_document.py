"""Every snippet of FastHTML's document, written line by line in ours, with its own elements."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fasthtml.common import Div, Form, Input, Li, Titled, Ul

from tests.wire.native import NATIVE
from tests.wire.serving import serving
from wirework import App, Send, Session, WebSocket
from wirework.dialects import Htmx
from wirework.testing import TestClient

KEY = "a key of thirty-two bytes or more"
TRANSPORTS = {"asgi": "websockets-sansio", "native": NATIVE}
STYLES = {
    2: {"HEADERS": {"HX-Request": "true", "HX-Trigger": "form"}},
    4: {"headers": {"HX-Request": "true", "HX-Source": "form#form"}},
}


@pytest.fixture(params=TRANSPORTS)
def ws(request: pytest.FixtureRequest) -> str:
    """Which WebSocket implementation Uvicorn uses."""
    return TRANSPORTS[request.param]


def form(version: int = 2, **fields: Any) -> str:
    """Return the message of a form as this version of htmx sends it."""
    return json.dumps({**fields, **STYLES[version]})


def notice(text: str) -> str:
    return f'<div hx-swap-oob="true" id="notifications">{text}</div>'


@pytest.mark.parametrize("version", STYLES)
async def test_a_socket_has_a_function_for_messages_and_one_for_each_end(
    ws: str, version: int
) -> None:
    app = App(dialect=Htmx())
    ends: list[str] = []

    async def on_conn(send: Send) -> None:
        await send(Div("Hello, world!", id="notifications"))

    def on_disconn(ws: WebSocket) -> None:
        ends.append(ws.handshake.path)

    @app.ws("/ws", conn=on_conn, disconn=on_disconn)
    async def on_message(msg: str, send: Send) -> None:
        await send(Div("Hello " + msg, id="notifications"))
        await send(Div("Goodbye " + msg, id="notifications"))

    async with serving(app, ws) as server, server.connect("/ws") as peer:
        assert str(await peer.receive()).strip() == notice("Hello, world!")
        await peer.send(form(version, msg="Ada"))
        for word in ("Hello", "Goodbye"):
            assert str(await peer.receive()).strip() == notice(f"{word} Ada")
    assert ends == ["/ws"]


@pytest.mark.parametrize("way", ["send", "return", "tuple", "yield"])
async def test_an_answer_is_sent_returned_or_yielded(way: str) -> None:
    app = App(dialect=Htmx())
    answer = notice("You said: hi")

    if way == "yield":

        @app.ws("/ws")
        async def stream(msg: str) -> Any:
            yield Div("You said: " + msg, id="notifications")
    else:

        @app.ws("/ws")
        async def on_message(msg: str, send: Send) -> Any:
            said = Div("You said: " + msg, id="notifications")
            if way == "send":
                await send(said)
                return None
            return (said, Div(id="empty")) if way == "tuple" else said

    async with TestClient(app) as client, client.connect("/ws") as ws:
        await ws.send_text(form(msg="hi"))
        found = await ws.receive_text()
        assert found.strip().startswith(answer)
        assert ('id="empty"' in found) is (way == "tuple")


async def test_the_page_and_the_socket_are_one_application(ws: str) -> None:
    app = App(dialect=Htmx())

    @app.get("/")
    def home() -> Any:
        cts = Div(
            Div(id="notifications"),
            Form(Input(id="msg"), id="form", ws_send=True),
            hx_ext="ws",
            ws_connect="/ws",
        )
        return Titled("Websocket Test", cts)

    @app.ws("/ws")
    async def on_message(msg: str, send: Send) -> None:
        await send(Div("Hello " + msg, id="notifications"))

    async with serving(app, ws) as server:
        page = (await server.request("GET", "/")).text
        assert "<title>Websocket Test</title>" in page
        for part in ('hx-ext="ws"', 'ws-connect="/ws"', "ws-send", 'name="msg"'):
            assert part in page
        async with server.connect("/ws") as peer:
            await peer.send(form(msg="Ada"))
            assert str(await peer.receive()).strip() == notice("Hello Ada")


async def test_the_session_is_shared_by_http_routes_and_sockets() -> None:
    app = App(secret_key=KEY, dialect=Htmx())

    @app.get("/login")
    def login(session: Session) -> str:
        session["person"] = "Bob"
        return "ok"

    @app.ws("/ws")
    async def on_message(msg: str, send: Send, session: Session) -> None:
        await send(Div(f"Hello {session.get('person')} {msg}", id="notifications"))

    async with TestClient(app) as client:
        for person in ("None", "Bob"):
            async with client.connect("/ws") as ws:
                await ws.send_text(form(msg="hi"))
                assert (await ws.receive_text()).strip() == notice(f"Hello {person} hi")
            await client.get("/login")


async def test_the_real_time_chat(ws: str) -> None:
    app = App(dialect=Htmx())
    msgs: list[str] = []
    users: dict[str, Send] = {}

    @app.get("/")
    def home() -> Any:
        lines = Div(Ul(*[Li(m) for m in msgs], id="msg-list"))
        return lines, Form(Input(id="msg"), id="form", ws_send=True)

    def on_conn(ws: WebSocket, send: Send) -> None:
        users[str(id(ws))] = send

    def on_disconn(ws: WebSocket) -> None:
        users.pop(str(id(ws)), None)

    @app.ws("/ws", conn=on_conn, disconn=on_disconn)
    async def on_message(msg: str) -> None:
        msgs.append(msg)
        for u in users.values():
            await u(Ul(*[Li(m) for m in msgs], id="msg-list"))

    async with serving(app, ws) as server:
        async with AsyncExitStack() as stack:
            tabs = [await stack.enter_async_context(server.connect("/ws")) for _ in range(3)]
            for version, tab, msg in ((2, tabs[0], "hi"), (4, tabs[1], "<b>hello</b>")):
                await tab.send(form(version, msg=msg))
                lines = [await each.receive() for each in tabs]
                assert len(set(lines)) == 1
            assert "<li>hi</li>" in str(lines[0])
            assert "<li>&lt;b&gt;hello&lt;/b&gt;</li>" in str(lines[0])
        assert "<li>hi</li>" in (await server.request("GET", "/")).text
    assert users == {}


async def test_two_sockets_of_a_page_have_routes_and_answers_of_their_own(ws: str) -> None:
    app = App(dialect=Htmx())

    @app.ws("/chat")
    async def chat(msg: str) -> Any:
        return Div(msg, id="chat")

    @app.ws("/search")
    async def search(query: str) -> Any:
        return Div(query, id="found")

    async with (
        serving(app, ws) as server,
        server.connect("/chat") as first,
        server.connect("/search") as second,
    ):
        await first.send(form(2, msg="hi"))
        await second.send(form(4, query="hi"))
        assert 'id="chat">hi' in str(await first.receive())
        assert 'id="found">hi' in str(await second.receive())
        await second.send(form(4, msg="not for you"))
        assert "query: Field required" in str(await second.receive())

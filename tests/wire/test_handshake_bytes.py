"""Handshakes and frames as bytes: the spellings of browsers and proxies, and odd segments."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.contract.sockets import SocketServer
from tests.wire.raw import ACCEPT, frame, handshake, raw_client
from tests.wire.serving import IMPLEMENTATIONS, serving
from wirework import App, WebSocket


@pytest.fixture(params=IMPLEMENTATIONS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[SocketServer]:
    async with serving(about_app(), request.param) as running:
        yield running


def about_app() -> App:
    app = App()

    @app.websocket("/{name}")
    async def about(ws: WebSocket, name: str) -> None:
        await ws.accept(ws.handshake.subprotocols[0] if ws.handshake.subprotocols else None)
        seen = {
            "name": name,
            "subprotocols": list(ws.handshake.subprotocols),
            "cookies": dict(ws.cookies),
            "query": ws.query_string,
        }
        await ws.send_json(seen)
        async for text in ws.iter_text():
            await ws.send_text(text)

    return app


@pytest.mark.parametrize(
    "request_bytes",
    [
        handshake("/x", connection="Connection: keep-alive, Upgrade"),
        handshake("/x", connection="Connection: Upgrade, keep-alive"),
        handshake("/x", connection="connection:upgrade"),
        handshake("/x", connection="CONNECTION: UPGRADE"),
        handshake("/x", upgrade="Upgrade: WebSocket"),
        handshake("/x", upgrade="upgrade: WEBSOCKET"),
        handshake("/x", "Pragma: no-cache", "Cache-Control: no-cache", "DNT: 1"),
        handshake("/x", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
        handshake("/x", "Sec-WebSocket-Extensions: x-unknown; a=1, permessage-deflate"),
        handshake("/x", "X-Forwarded-For: 10.0.0.1", "Via: 1.1 proxy", "X-Empty:"),
    ],
)
async def test_every_spelling_of_an_upgrade_is_accepted(
    server: SocketServer, request_bytes: bytes
) -> None:
    async with raw_client(server.port) as client:
        await client.send(request_bytes)
        head = await client.head()
        assert head.startswith(b"http/1.1 101 ")
        assert ACCEPT.lower() in head
        opcode, payload = await client.frame()
        assert (opcode, json.loads(payload)["name"]) == (1, "x")


async def test_a_handshake_and_a_frame_in_single_bytes_are_understood(server: SocketServer) -> None:
    async with raw_client(server.port) as client:
        await client.send(handshake("/x"), step=1)
        assert (await client.head()).startswith(b"http/1.1 101 ")
        await client.frame()
        await client.send(frame(b"hello"), step=1)
        assert await client.frame() == (1, b"hello")


async def test_fragments_are_one_message(server: SocketServer) -> None:
    parts = [frame(b"he", is_final=False), frame(b"l", 0, is_final=False), frame(b"lo", 0)]
    async with raw_client(server.port) as client:
        await client.send(handshake("/x"))
        await client.head()
        await client.frame()
        for part in parts:
            await client.send(part)
        assert await client.frame() == (1, b"hello")


async def test_subprotocols_on_one_line_or_several_are_all_offered(server: SocketServer) -> None:
    one = ["Sec-WebSocket-Protocol: a,b , c"]
    several = ["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b, c"]
    for lines in (one, several):
        async with raw_client(server.port) as client:
            await client.send(handshake("/x", *lines))
            assert b"sec-websocket-protocol: a\r\n" in await client.head()
            about = json.loads((await client.frame())[1])
            assert about["subprotocols"] == ["a", "b", "c"]


async def test_path_query_and_cookies_arrive_as_they_were_sent(server: SocketServer) -> None:
    cookies = ["Cookie: a=1; b=two", 'Cookie: c="quoted"']
    async with raw_client(server.port) as client:
        await client.send(handshake("/J%C3%BCrgen%2B?q=a+b&q=%26&empty", *cookies))
        await client.head()
        about = json.loads((await client.frame())[1])
    assert about == {
        "name": "Jürgen+",
        "subprotocols": [],
        "cookies": {"a": "1", "b": "two", "c": "quoted"},
        "query": "q=a+b&q=%26&empty",
    }


async def test_a_refusal_ends_the_connection_with_one_answer(server: SocketServer) -> None:
    async with raw_client(server.port) as client:
        await client.send(handshake("/a/b/c") + frame(b"ignored"))
        assert (await client.head()).startswith(b"http/1.1 404 ")
        assert (await client.rest()).count(b"HTTP/1.1") == 0


@pytest.mark.parametrize(
    "broken",
    [
        handshake("/x").replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
        handshake("/x").replace(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 7"),
        handshake("/x").replace(b"GET ", b"POST "),
    ],
    ids=["no key", "version 7", "POST"],
)
async def test_what_is_no_upgrade_is_refused_and_the_server_lives(
    server: SocketServer, broken: bytes
) -> None:
    async with raw_client(server.port) as client:
        await client.send(broken)
        assert (await client.head())[9:10] in (b"4", b"5")
    async with server.connect("/x") as peer:
        assert json.loads(await peer.receive())["name"] == "x"

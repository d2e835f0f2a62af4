"""Which pages may connect, asked over a socket with the Host header that browsers send."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.harness import refused
from tests.contract.sockets import SocketServer
from tests.wire.serving import serving
from wirework import App, WebSocket


@pytest.fixture
async def server() -> AsyncIterator[SocketServer]:
    app = App(allowed_origins=["https://friend.example", "https://*.friends.example"])

    @app.websocket("/")
    async def greet(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("welcome")

    @app.websocket("/browsers-only", require_origin=True)
    async def browsers_only(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("welcome")

    async with serving(app) as running:
        yield running


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://friend.example",
        "https://friend.example:8443",
        "https://friend.example.evil.example",
        "https://evilfriend.example",
        "https://friends.example",
        "null",
        "",
        "garbage",
        "http://127.0.0.1",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}.evil.example",
    ],
)
async def test_a_page_of_another_origin_is_refused(server: SocketServer, origin: str) -> None:
    headers = [("Origin", origin.format(port=server.port))]
    assert (await refused(server, "/", headers)).status == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1:{port}",
        "https://127.0.0.1:{port}",
        "https://friend.example",
        "https://a.friends.example",
        "https://b.a.friends.example",
    ],
)
async def test_the_same_and_a_listed_origin_pass(server: SocketServer, origin: str) -> None:
    headers = [("Origin", origin.format(port=server.port))]
    for path in ("/", "/browsers-only"):
        async with server.connect(path, headers=headers) as peer:
            assert await peer.receive() == "welcome"


async def test_a_client_without_a_page_passes_unless_an_origin_is_required(
    server: SocketServer,
) -> None:
    async with server.connect("/") as peer:
        assert await peer.receive() == "welcome"
    assert (await refused(server, "/browsers-only")).status == 403


async def test_two_origins_are_one_too_many(server: SocketServer) -> None:
    headers = [("Origin", "https://friend.example"), ("Origin", "https://evil.example")]
    assert (await refused(server, "/", headers)).status in (400, 403)

"""What Caspian gets wrong, each by the name of what is right here, over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.contract.harness import Closed, Peer, closed, within
from tests.wire.native import NATIVE, until
from tests.wire.serving import serving
from wirework import App, Close, Reject, WebSocket, broadcast
from wirework.dialects import NamedSockets

TRANSPORTS = {"asgi": "websockets-sansio", "native": NATIVE}
PATH = "/__pulsepoint/ws?name="
PING, PONG = '{"__pp":"ping"}', {"__pp": "pong"}


class Sockets:
    """An application with named sockets, and what its functions have noted."""

    def __init__(self, **settings: Any) -> None:
        self.app = App(**settings)
        self.guests: list[WebSocket] = []
        self.go_on = asyncio.Event()
        sockets = self.app.events("/__pulsepoint/ws", dialect=NamedSockets())

        @sockets.on("room")
        async def room(ws: WebSocket) -> None:
            self.guests.append(ws)
            async for value in ws.iter_json():
                await broadcast(self.guests, {"said": value})

        @sockets.on("busy")
        async def busy() -> str:
            await self.go_on.wait()
            return "done"

        @sockets.on("overloaded")
        async def overloaded() -> None:
            raise Close(1013, "come back later")

        @sockets.on("forbidden")
        async def forbidden() -> None:
            raise Reject("forbidden", "not for you")


@pytest.fixture(params=TRANSPORTS.values(), ids=[*TRANSPORTS])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def said(peer: Peer) -> Any:
    return json.loads(await peer.receive())


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b"{}", "expected a text frame, got a binary frame"),
        ("[]", "expected a JSON object of arguments, got an array"),
        ("{", "not readable as JSON"),
    ],
    ids=["binary", "an array", "no JSON"],
)
async def test_a_first_frame_that_holds_no_arguments_is_told_and_ends_the_connection(
    frame: str | bytes, error: str, transport: str
) -> None:
    async with serving(Sockets().app, transport) as server, server.connect(f"{PATH}room") as peer:
        await peer.send(frame)
        assert (await said(peer))["error"].startswith(error)
        assert (await closed(peer)).code == 1007


async def test_a_connection_that_says_nothing_does_not_stay(transport: str) -> None:
    sockets = Sockets(auth_timeout=0.1)
    async with serving(sockets.app, transport) as server, server.connect(f"{PATH}room") as peer:
        assert (await closed(peer)).code == 4408
    assert not sockets.guests


async def test_come_back_later_and_never_come_back_differ_on_the_wire(transport: str) -> None:
    async with serving(Sockets().app, transport) as server:
        async with server.connect(f"{PATH}overloaded") as peer:
            await peer.send("{}")
            assert (await closed(peer)).args == (1013, "come back later")
        async with server.connect(f"{PATH}forbidden") as peer:
            await peer.send("{}")
            assert await said(peer) == {"error": "not for you"}
            assert (await closed(peer)).code == 1000


async def test_a_server_that_stops_says_come_back_and_no_final_error(transport: str) -> None:
    sockets = Sockets()
    async with serving(sockets.app, transport) as server:
        waiting = server.connect(f"{PATH}room")
        peer = await waiting.__aenter__()
        await peer.send("{}")
        await until(lambda: sockets.guests)
        end = asyncio.create_task(closed(peer))
    assert (await within(end)).code == 1012
    await waiting.__aexit__(None, None, None)


async def test_a_peer_that_does_not_read_holds_nobody_up_and_is_closed(transport: str) -> None:
    sockets = Sockets(outbox_bytes=100_000)
    async with (
        serving(sockets.app, transport) as server,
        server.connect(f"{PATH}room", is_deaf=True) as deaf,
        server.connect(f"{PATH}room") as peer,
    ):
        for each in (deaf, peer):
            await each.send("{}")
        await until(lambda: len(sockets.guests) == 2)
        gone = next(ws for ws in sockets.guests)
        count = 0
        while not gone.closed:
            await peer.send(json.dumps("x" * 50_000))
            assert len((await said(peer))["said"]) == 50_000
            count += 1
        assert gone.close_code == 1013
        await peer.send('"still here"')
        assert await said(peer) == {"said": "still here"}


async def test_the_heartbeat_is_answered_before_the_arguments_and_while_the_function_is_busy(
    transport: str,
) -> None:
    sockets = Sockets()
    async with serving(sockets.app, transport) as server, server.connect(f"{PATH}busy") as peer:
        await peer.send(PING)
        assert await said(peer) == PONG
        await peer.send("{}")
        await peer.send(PING)
        assert await said(peer) == PONG
        sockets.go_on.set()
        assert await said(peer) == "done"
        with pytest.raises(Closed):
            await peer.receive()

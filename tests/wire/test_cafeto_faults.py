"""What Cafeto gets wrong, each by the name of what is right here, over real sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.contract.harness import Peer, closed, refused
from tests.contract.sockets import SocketServer
from tests.wire.native import NATIVE, until
from tests.wire.serving import serving
from wirework import App, Controller, Refuse, WebSocket
from wirework.dialects import Status
from wirework.replies import Ok, Reply

TRANSPORTS = {"asgi": "websockets-sansio", "native": NATIVE}


class Order(msgspec.Struct):
    item: str
    count: int = 1
    note: str | None = None


class Shop:
    """An application with one `on_receive` registered in every way, and what its ends were."""

    def __init__(self) -> None:
        self.app = App(dialect=Status())
        self.log: list[Any] = []
        self._add_controller()
        self._add_callbacks()
        self._add_methods()

    def _add_controller(self) -> None:
        shop = self

        @self.app.controller("/controller")
        class Direct(Controller):
            async def on_connect(self, ws: WebSocket) -> None:
                await shop.arrive(ws)

            async def on_receive(self, data: Order) -> Reply:
                return Ok(shop.sell(data))

            async def on_disconnect(self, code: int, reason: str) -> None:
                shop.log.append((code, reason))

    def _add_callbacks(self) -> None:
        @self.app.websocket("/callbacks")
        async def callbacks(ws: WebSocket) -> None:
            async def on_connect() -> None:
                await self.arrive(ws)

            async def on_receive(data: Order) -> Reply:
                return Ok(self.sell(data))

            async def on_disconnect(code: int, reason: str) -> None:
                self.log.append((code, reason))

            await ws.serve(on_receive, on_connect=on_connect, on_disconnect=on_disconnect)

    def _add_methods(self) -> None:
        shop = self

        @self.app.controller()
        class Bound(Controller):
            @shop.app.websocket("/methods")
            async def serve(self) -> None:
                await self.ws.serve(
                    self.on_receive, on_connect=self.on_connect, on_disconnect=self.on_disconnect
                )

            async def on_connect(self) -> None:
                await shop.arrive(self.ws)

            async def on_receive(self, data: Order) -> Reply:
                return Ok(shop.sell(data))

            async def on_disconnect(self, code: int, reason: str) -> None:
                shop.log.append((code, reason))

    async def arrive(self, ws: WebSocket) -> None:
        for how in ws.query:
            if how == "refuse":
                raise Refuse(403)
            if how == "accept":
                await ws.accept()
            if how == "raise":
                raise RuntimeError("a secret")

    def sell(self, order: Order) -> Order:
        if order.item == "crash":
            raise RuntimeError("a secret")
        return order


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(params=TRANSPORTS)
async def server(request: pytest.FixtureRequest, shop: Shop) -> AsyncIterator[SocketServer]:
    async with serving(shop.app, TRANSPORTS[request.param]) as server:
        yield server


@pytest.fixture(params=["/controller", "/callbacks", "/methods"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def told(peer: Peer) -> tuple[int, Any]:
    """Return the status and the body of the next answer, which comes as text."""
    frame = await peer.receive()
    assert isinstance(frame, str)
    answer = json.loads(frame)
    assert answer.keys() == {"statusCode", "body"}
    return answer["statusCode"], answer["body"]


async def sells(peer: Peer) -> bool:
    """Whether an order that fits is answered."""
    await peer.send('{"item": "tea"}')
    return await told(peer) == (200, {"item": "tea", "count": 1, "note": None})


@asynccontextmanager
async def only_errors(caplog: pytest.LogCaptureFixture, *texts: str) -> AsyncIterator[None]:
    """Nothing but errors with these texts is logged within the block."""
    caplog.clear()
    yield
    found = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [str(record.exc_info and record.exc_info[1]) for record in found] == list(texts)


async def test_after_a_message_that_does_not_fit_the_next_one_is_answered(
    server: SocketServer, path: str
) -> None:
    async with server.connect(path) as peer:
        for _ in range(3):
            await peer.send("{}")
            problem = {"loc": ["item"], "type": "missing", "msg": "Field required"}
            assert await told(peer) == (400, {"errorList": [problem]})
            assert await sells(peer)


@pytest.mark.parametrize(
    "frame", ["{", "", "nonsense", b"\xff\xfe"], ids=["cut", "empty", "text", "no UTF-8"]
)
async def test_after_what_is_no_json_the_next_message_is_answered(
    server: SocketServer, path: str, frame: str | bytes
) -> None:
    async with server.connect(path) as peer:
        await peer.send(frame)
        status, body = await told(peer)
        (problem,) = body["errorList"]
        assert (status, problem["loc"], problem["type"]) == (400, ["__model__"], "malformed")
        assert await sells(peer)


async def test_after_an_exception_the_next_message_is_answered_and_the_log_has_it(
    server: SocketServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with only_errors(caplog, "a secret"), server.connect(path) as peer:
        await peer.send('{"item": "crash"}')
        status, body = await told(peer)
        (problem,) = body["errorList"]
        assert (status, problem["type"], problem["msg"]) == (500, "internal", "internal error")
        assert await sells(peer)


async def test_optional_fields_and_defaults_are_kept_and_text_is_no_number(
    server: SocketServer, path: str
) -> None:
    async with server.connect(path) as peer:
        await peer.send('{"item": "tea", "note": null}')
        assert await told(peer) == (200, {"item": "tea", "count": 1, "note": None})
        await peer.send('{"item": "tea", "note": "hot", "count": 2}')
        assert await told(peer) == (200, {"item": "tea", "count": 2, "note": "hot"})
        await peer.send('{"item": "tea", "count": "5"}')
        problem = {"loc": ["count"], "type": "int_type", "msg": "Input should be a valid integer"}
        assert await told(peer) == (400, {"errorList": [problem]})


async def ends(server: SocketServer, path: str, shop: Shop) -> list[Any]:
    """Return every call of `on_disconnect` until that of a connection that is opened for it."""
    last = (4999, "the last")
    async with server.connect(path) as peer:
        assert await sells(peer)
        await peer.close(*last)
    await until(lambda: last in shop.log)
    return [end for end in shop.log if end != last]


async def test_on_disconnect_runs_once_with_the_peers_code_and_reason(
    server: SocketServer, path: str, shop: Shop
) -> None:
    async with server.connect(path) as peer:
        assert await sells(peer)
        await peer.close(4001, "enough")
    assert await ends(server, path, shop) == [(4001, "enough")]


async def test_on_disconnect_runs_once_where_on_connect_raises_after_it_has_accepted(
    server: SocketServer, path: str, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    async with only_errors(caplog, "a secret"):
        async with server.connect(f"{path}?accept&raise") as peer:
            close = await closed(peer)
        assert (close.code, close.reason) == (1011, "")
        assert await ends(server, path, shop) == [(1011, "")]


@pytest.mark.parametrize(("how", "status"), [("refuse", 403), ("raise", 500)])
async def test_on_disconnect_does_not_run_where_the_handshake_is_refused(
    server: SocketServer, path: str, shop: Shop, how: str, status: int
) -> None:
    refusal = await refused(server, f"{path}?{how}")
    assert (refusal.status, b"secret" in refusal.body) == (status, False)
    assert await ends(server, path, shop) == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_close_takes_a_code_and_a_reason(transport: str) -> None:
    app = App(dialect=Status())

    @app.controller("/")
    class Guard(Controller):
        async def on_receive(self, item: str) -> str:
            await self.ws.close(4403, f"no {item} for you")
            return "never said"

    async with serving(app, TRANSPORTS[transport]) as server, server.connect("/") as peer:
        await peer.send('{"item": "tea"}')
        close = await closed(peer)
    assert (close.code, close.reason) == (4403, "no tea for you")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_answers_are_binary_where_that_is_asked_for(transport: str) -> None:
    app = App(dialect=Status(binary=True))

    @app.ws("/")
    async def double(number: int) -> int:
        return number * 2

    async with serving(app, TRANSPORTS[transport]) as server, server.connect("/") as peer:
        for frame in ('{"number": 4}', b'{"number": 4}'):
            await peer.send(frame)
            assert await peer.receive() == b'{"statusCode":200,"body":8}'
        await peer.send("{}")
        answer = await peer.receive()
        assert isinstance(answer, bytes)
        assert json.loads(answer)["statusCode"] == 400

"""Who gets in, over sockets: tokens, tickets and refusals on the native transport and on ASGI."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from tests.contract.harness import Closed, refused
from tests.contract.sockets import SocketServer
from tests.wire.native import NATIVE, OWN_HTTP, native_server
from tests.wire.serving import serving
from wirework import App, Bearer, QueryToken, Ticket
from wirework.dialects import Status

ADA = [("Authorization", "Bearer t-ada")]
EVE = [("Authorization", "Bearer t-eve")]


async def verify(token: str) -> str | None:
    return {"t-ada": "ada"}.get(token)


async def greet(text: str, user: str) -> str:
    return f"{text} {user}"


def serve(app: App, transport: str) -> AbstractAsyncContextManager[SocketServer]:
    if transport == "native":
        return serving(app, NATIVE, http=OWN_HTTP)
    return serving(app)


@pytest.fixture(name="app")
def guarded() -> App:
    """Return an application with a route for each way in, and one that refuses by a close."""
    app = App(secret_key="a secret that is long enough for tests")
    app.ws("/bearer", auth=Bearer(verify))(greet)
    app.ws("/ticket", auth=Ticket())(greet)
    app.ws("/close", auth=Bearer(verify, refuse="close"), dialect=Status())(greet)
    return app


@pytest.fixture(name="server", params=["native", "asgi"])
async def running(app: App, request: pytest.FixtureRequest) -> AsyncIterator[SocketServer]:
    async with serve(app, request.param) as server:
        yield server


async def test_a_bearer_token_lets_in_and_a_wrong_one_is_refused_with_a_challenge(
    server: SocketServer,
) -> None:
    async with server.connect("/bearer", headers=ADA) as peer:
        await peer.send("hello")
        assert await peer.receive() == "hello ada"
    for headers in ([], EVE, [*ADA, *EVE]):
        refusal = await refused(server, "/bearer", headers)
        assert (refusal.status, refusal.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_token_in_the_address_is_in_no_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App()
    app.ws("/", auth=QueryToken(verify))(greet)
    server_log = logging.getLogger("uvicorn.error")  # other servers of this process configured it
    monkeypatch.setattr(server_log, "handlers", [caplog.handler])
    monkeypatch.setattr(server_log, "disabled", False)
    caplog.set_level("INFO")
    caplog.set_level("INFO", "uvicorn.error")
    async with native_server(app) as server, server.connect("/?room=1&token=t-ada"):
        pass
    assert "room=1&token=***" in caplog.text
    assert "t-ada" not in caplog.text


async def test_a_ticket_lets_in_once(app: App, server: SocketServer) -> None:
    path = f"/ticket?ticket={app.tickets.issue('ada')}"
    async with server.connect(path) as peer:
        await peer.send("hello")
        assert await peer.receive() == "hello ada"
    assert (await refused(server, path)).status == 401
    assert (await refused(server, "/ticket?ticket=made-up")).status == 401


async def test_a_refusal_by_close_is_accepted_told_and_closed(server: SocketServer) -> None:
    async with server.connect("/close", headers=EVE) as peer:
        told = json.loads(await peer.receive())
        assert told["statusCode"] == 401
        with pytest.raises(Closed) as caught:
            await peer.receive()
        assert (caught.value.code, caught.value.reason) == (4401, "Could not validate credentials.")
    async with server.connect("/close", headers=ADA) as peer:
        await peer.send('{"text": "hello"}')
        assert json.loads(await peer.receive()) == {"statusCode": 200, "body": "hello ada"}

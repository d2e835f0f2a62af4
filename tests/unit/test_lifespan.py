from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request

from wirework import App, WebSocket
from wirework.testing import TestClient

Message = MutableMapping[str, Any]


class Server:
    """A server's part of the lifespan protocol (ASGI specification, "Lifespan")."""

    def __init__(self, app: App) -> None:
        self.scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self.to_app: asyncio.Queue[Message] = asyncio.Queue()
        self.from_app: asyncio.Queue[Message] = asyncio.Queue()
        self.task = asyncio.ensure_future(app(self.scope, self.to_app.get, self.from_app.put))

    async def ask(self, phase: str) -> Message:
        await self.to_app.put({"type": f"lifespan.{phase}"})
        return await self.from_app.get()


class Log:
    """Makes lifespans that note when they begin and end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def lifespan(self, name: str, **state: Any) -> Any:
        @asynccontextmanager
        async def run(app: Any) -> AsyncIterator[dict[str, Any] | None]:
            self.lines.append(f"start {name}")
            yield state or None
            self.lines.append(f"stop {name}")

        return run


@pytest.fixture
def log() -> Log:
    return Log()


async def test_a_server_starts_and_stops_the_application_and_gets_its_state(log: Log) -> None:
    server = Server(App(lifespan=log.lifespan("own", pool=5)))
    assert await server.ask("startup") == {"type": "lifespan.startup.complete"}
    assert log.lines == ["start own"]
    assert server.scope["state"] == {"pool": 5}
    assert await server.ask("shutdown") == {"type": "lifespan.shutdown.complete"}
    await server.task
    assert log.lines == ["start own", "stop own"]


async def test_an_application_without_a_lifespan_starts_and_stops_too() -> None:
    server = Server(App())
    assert (await server.ask("startup"))["type"] == "lifespan.startup.complete"
    assert (await server.ask("shutdown"))["type"] == "lifespan.shutdown.complete"


async def test_the_lifespans_of_both_applications_run_once(log: Log) -> None:
    api = FastAPI(lifespan=log.lifespan("http", db="db"))

    @api.get("/state")
    async def state(request: Request) -> list[Any]:
        return [request.state.db, request.state.pool]

    app = App(http=api, lifespan=log.lifespan("own", pool=5))

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json(ws.handshake.scope["state"])

    async with TestClient(app) as client:
        assert log.lines == ["start http", "start own"]
        assert (await client.get("/state")).json() == ["db", 5]
        async with client.connect("/") as ws:
            assert await ws.receive_json() == {"db": "db", "pool": 5}
    assert log.lines == ["start http", "start own", "stop own", "stop http"]


async def test_an_http_application_without_a_lifespan_is_fine() -> None:
    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("http alone")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with TestClient(App(http=deaf)) as client:
        assert (await client.get("/")).status_code == 204


async def test_an_http_application_that_returns_from_its_lifespan_at_once_is_fine() -> None:
    async def quick(scope: Any, receive: Any, send: Any) -> None:
        return

    async with TestClient(App(http=quick)):
        pass


async def test_an_http_application_that_fails_to_start_stops_everything(log: Log) -> None:
    @asynccontextmanager
    async def broken(app: Any) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    app = App(http=FastAPI(lifespan=broken), lifespan=log.lifespan("own"))
    with pytest.raises(
        RuntimeError, match=r"the HTTP application failed to start: (?s:.*)no database"
    ):
        async with TestClient(app):
            raise AssertionError("never entered")
    assert log.lines == []


async def test_an_http_application_that_fails_to_stop_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def broken(app: Any) -> AsyncIterator[None]:
        yield
        raise ValueError("still busy")

    async with TestClient(App(http=FastAPI(lifespan=broken))):
        pass
    assert "the HTTP application failed to stop" in caplog.text
    assert "still busy" in caplog.text


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_a_failure_is_told_to_the_server_without_its_text_and_logged(
    phase: str, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def broken(app: App) -> AsyncIterator[None]:
        if phase == "startup":
            raise ValueError("secret")
        yield
        raise ValueError("secret")

    server = Server(App(lifespan=broken))
    answer = await server.ask("startup")
    if phase == "shutdown":
        answer = await server.ask("shutdown")
    assert answer == {"type": f"lifespan.{phase}.failed", "message": "ValueError"}
    with pytest.raises(ValueError, match="secret"):
        await server.task
    assert f"{phase} failed" in caplog.text
    assert "ValueError: secret" in caplog.text


async def test_an_application_can_be_started_again_but_not_twice_at_once(log: Log) -> None:
    app = App(lifespan=log.lifespan("own"))
    for _ in range(2):
        async with app.lifespan_context():
            with pytest.raises(RuntimeError, match="running already"):
                await app.lifespan_context().__aenter__()
    assert log.lines == ["start own", "stop own"] * 2


async def test_a_framework_around_may_run_the_lifespan_in_its_own(log: Log) -> None:
    app = App(lifespan=log.lifespan("live"))

    @asynccontextmanager
    async def lifespan(outer: FastAPI) -> AsyncIterator[None]:
        async with app.lifespan_context():
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/live", app)
    async with outer.router.lifespan_context(outer):
        assert log.lines == ["start live"]
    assert log.lines == ["start live", "stop live"]

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import pytest
import starlette.testclient
from fastapi import FastAPI, Request

import wirework.lifespan
from wirework import App, WebSocket
from wirework.testing import HandshakeRefused, TestClient

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


async def test_an_http_application_that_fails_to_start_stops_everything(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
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
    gc.collect()
    assert caplog.messages == []  # of a task whose error nobody saw


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


async def test_an_http_application_that_goes_on_after_its_lifespan_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wirework.lifespan, "_GRACE", 0.01)
    ends: list[str] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        try:
            while True:
                said = await receive()
                await send({"type": f"{said['type']}.complete"})
        finally:
            ends.append(said["type"])

    async with asyncio.timeout(10):
        async with TestClient(App(http=endless)):
            pass
    assert ends == ["lifespan.shutdown"]
    assert caplog.messages == ["the HTTP application goes on after its lifespan: it is cancelled"]


@pytest.mark.parametrize("said", [None, "lifespan.shutdown.complete"], ids=["silent", "complete"])
async def test_an_http_application_that_raises_when_it_stops_is_logged(
    said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if said is not None:
            await send({"type": said})
        raise ValueError("still busy")

    with caplog.at_level("DEBUG", "wirework"):
        async with TestClient(App(http=broken)):
            pass
    assert "the lifespan of the HTTP application failed" in caplog.messages
    assert "ValueError: still busy" in caplog.text
    assert "the HTTP application has no lifespan" not in caplog.messages


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


# --- state ----------------------------------------------------------------------------------------


def stateful(log: Log) -> App:
    app = App(lifespan=log.lifespan("own", db=1))

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        assert not hasattr(ws.state, "own")
        await ws.accept()
        ws.state.own = ws.state.db + 1
        ws.state.db = 5
        await ws.send_json([ws.state.own, ws.handshake.scope["state"]])

    @app.get("/page")
    async def page(request: Request) -> list[int]:
        return [request.state.db]

    return app


async def test_the_state_of_each_connection_begins_with_what_the_lifespan_yielded(log: Log) -> None:
    async with TestClient(stateful(log)) as client:
        for _ in range(2):
            async with client.connect("/") as ws:
                assert await ws.receive_json() == [2, {"db": 1}]


def test_a_mounted_application_has_the_state_of_its_own_lifespan(log: Log) -> None:
    app = stateful(log)

    @asynccontextmanager
    async def lifespan(outer: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with app.lifespan_context():
            yield {"outer": True}

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/live", app)
    with starlette.testclient.TestClient(outer) as client:
        for _ in range(2):
            with client.websocket_connect("/live/") as ws:
                assert ws.receive_json() == [2, {"outer": True, "db": 1}]
        assert client.get("/live/page").json() == [1]


# --- never run ------------------------------------------------------------------------------------


async def warnings_of(app: App, caplog: pytest.LogCaptureFixture, *, is_run: bool) -> list[str]:
    """Return what is logged of the lifespan while two connections are served."""

    @app.websocket("/x")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()

    client = TestClient(app)
    async with client if is_run else nullcontext():
        for _ in range(2):
            with suppress(HandshakeRefused):
                async with client.connect("/x"):
                    pass
    return [text for text in caplog.messages if "lifespan" in text]


@pytest.mark.parametrize("kind", ["lifespan", "http", "switched off"])
@pytest.mark.parametrize("is_run", [False, True])
async def test_a_lifespan_that_never_ran_is_told_once_at_the_first_connection(
    kind: str, is_run: bool, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {
        "lifespan": {"lifespan": log.lifespan("own")},
        "http": {"http": FastAPI(lifespan=log.lifespan("http"))},
        "switched off": {"websocket": False},
    }[kind]
    warned = await warnings_of(App(**options), caplog, is_run=is_run)
    assert warned == [
        "the application's lifespan never ran; is it mounted?"
        " enter app.lifespan_context() in the outer lifespan"
    ] * (not is_run)


@pytest.mark.parametrize("http", [None, FastAPI(), object()])
async def test_an_application_without_a_lifespan_need_not_be_started(
    http: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert await warnings_of(App(http=http), caplog, is_run=False) == []

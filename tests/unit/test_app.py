from __future__ import annotations

import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import starlette.applications
import starlette.middleware
import starlette.middleware.sessions
import starlette.routing
import starlette.testclient
from fastapi import FastAPI

from tests.unit.applications import talking
from wirework import App, Session, SessionError, Settings, SettingsError, WebSocket
from wirework.json import OrjsonAdapter, StdlibAdapter
from wirework.routing.paths import NoSuchRoute, ParameterError
from wirework.testing import HandshakeRefused, TestClient


def echo(**options: Any) -> App:
    app = App(**options)

    @app.ws("/ws/{room}", name="room")
    async def on_message(msg: str, room: str) -> str:
        return f"{room}: {msg}"

    return app


async def refusal(app: App, path: str, **options: Any) -> HandshakeRefused:
    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect(path, **options).__aenter__()
    return caught.value


# --- settings -----------------------------------------------------------------------------------


def test_settings_come_from_arguments_or_an_object_or_both() -> None:
    assert App(max_message_size=5).settings.max_message_size == 5
    given = Settings(max_message_size=5, debug=True)
    assert App(given).settings is given
    assert App(given, debug=False).settings == Settings(max_message_size=5)


def test_settings_come_from_a_file_and_arguments_win(tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    file.write_text("[wirework]\nmax_message_size = 5\ninbox_frames = 6\n")
    for name in (file, str(file)):
        settings = App(name, inbox_frames=7).settings
        assert (settings.max_message_size, settings.inbox_frames) == (5, 7)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIREWORK_MAX_MESSAGE_SIZE", "5")
    assert App().settings.max_message_size == 5
    assert App(max_message_size=6).settings.max_message_size == 6


def test_an_unknown_setting_names_the_nearest_one() -> None:
    with pytest.raises(SettingsError, match=r"max_mesage_size .* max_message_size"):
        App(max_mesage_size=5)


def test_the_json_adapter_is_chosen_by_name_or_given() -> None:
    assert App().json.name == "msgspec"
    assert isinstance(App(json="orjson").json, OrjsonAdapter)
    assert App(Settings(json="stdlib")).json.name == "stdlib"
    adapter = StdlibAdapter()
    assert App(json=adapter).json is adapter
    with pytest.raises(SettingsError, match="expected one of 'msgspec'"):
        App(json="ujson")


async def test_the_feature_gate_refuses_every_handshake_and_says_so_at_start_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "caspian.config.json"
    file.write_text('{"websocket": false, "projectName": "x"}')
    for app in (echo(websocket=False), echo(settings=file)):
        caplog.clear()
        for path in ("/ws/a", "/unknown"):
            refused = await refusal(app, path)
            assert (refused.status, refused.body) == (403, b"WebSockets are switched off")
        assert "websocket = false: every WebSocket handshake is refused" in caplog.text


# --- admission ----------------------------------------------------------------------------------


async def test_an_unknown_path_is_refused_with_404(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wirework")
    refused = await refusal(echo(), "/unknown")
    assert (refused.status, refused.body) == (404, b"Not Found")
    assert "refused with 404: '/unknown'" in caplog.text


async def test_a_foreign_origin_is_refused_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    refused = await refusal(echo(), "/ws/a", headers={"origin": "https://evil.example"})
    assert refused.status == 403
    assert "refused the handshake of '/ws/a'" in caplog.text


@pytest.mark.parametrize("origin", ["http://testserver", "https://friend.example"])
async def test_the_same_and_listed_origins_may_connect(origin: str) -> None:
    app = echo(allowed_origins=["https://friend.example"])
    async with talking(app, "/ws/a", headers={"origin": origin}):
        pass


async def test_an_absent_origin_may_be_required() -> None:
    assert (await refusal(echo(require_origin=True), "/ws/a")).status == 403


# --- names --------------------------------------------------------------------------------------


def test_url_path_for_finds_sockets_pages_and_mounts() -> None:
    app = echo()

    @app.get("/pages/{number:int}", name="page")
    async def page(number: int) -> str:
        return str(number)

    app.mount("/static", starlette.applications.Starlette(), name="static")
    assert app.url_path_for("room", room="a b") == "/ws/a%20b"
    assert app.url_path_for("page", number=5) == "/pages/5"
    assert app.url_path_for("static", path="app.js") == "/static/app.js"


def test_url_path_for_says_what_does_not_fit() -> None:
    app = echo()
    app.get("/pages/{number:int}", name="page")(lambda: None)
    app.mount("/static", starlette.applications.Starlette(), name="static")
    with pytest.raises(NoSuchRoute, match="did you mean 'room'"):
        app.url_path_for("rooom")
    for name, params in [("room", {}), ("page", {"number": "x"}), ("page", {}), ("static", {})]:
        with pytest.raises(ParameterError):
            app.url_path_for(name, **params)


# --- sessions -----------------------------------------------------------------------------------


def visiting(**options: Any) -> App:
    app = App(secret_key="k", **options)

    @app.post("/login")
    async def login(name: str, session: Session) -> None:
        session["name"] = name

    @app.get("/me")
    async def me(session) -> Any:  # type: ignore[no-untyped-def]
        return {"name": session.get("name")}

    async def conn(session: Session) -> None:
        session["visits"] = session.get("visits", 0) + 1

    @app.ws("/ws", conn=conn)
    async def on_message(msg: str, session: Session) -> Any:
        if msg == "write":
            session["late"] = True
        return dict(session)

    return app


async def test_a_session_is_shared_by_http_and_sockets() -> None:
    async with TestClient(visiting()) as client:
        await client.post("/login", json={"name": "anna"})
        assert (await client.get("/me")).json() == {"name": "anna"}
        for visits in (1, 2):
            async with client.connect("/ws") as ws:
                await ws.send_text("x")
                assert await ws.receive_json() == {"name": "anna", "visits": visits}
        assert (await client.get("/me")).json() == {"name": "anna"}


async def test_a_session_cannot_be_written_after_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with talking(visiting(), "/ws", session={"name": "anna"}) as ws:
        await ws.send_text("write")
        await ws.assert_closed(1011)
    assert "SessionError: the session cannot be written any more" in caplog.text


async def test_a_session_that_was_only_read_sends_no_cookie() -> None:
    app = App(secret_key="k")

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        assert ws.session == {"name": "anna"}
        await ws.accept()

    async with talking(app, session={"name": "anna"}) as ws:
        assert "set-cookie" not in ws.headers


async def test_a_refusal_carries_a_changed_session_too() -> None:
    app = App(secret_key="k")

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.session["tries"] = ws.session.get("tries", 0) + 1
        await ws.refuse(403, str(ws.session["tries"]))

    async with TestClient(app) as client:
        for tries in (b"1", b"2"):
            with pytest.raises(HandshakeRefused) as caught:
                await client.connect("/").__aenter__()
            assert caught.value.body == tries


async def test_without_a_secret_key_there_is_no_session() -> None:
    app = App()
    with pytest.raises(SessionError, match="secret_key"):
        app.sign_session({"a": 1})

    @app.ws("/")
    async def on_message(n: int, session: Session) -> None: ...

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert (await ws.receive_json())["error"]["code"] == "internal"


def test_an_empty_session_needs_no_cookie() -> None:
    assert App(secret_key="k").sign_session({}) == {}
    assert list(App(secret_key="k", session_cookie="sid").sign_session({"a": 1})) == ["sid"]


# --- ASGI ---------------------------------------------------------------------------------------


async def test_an_unknown_kind_of_scope_is_an_error() -> None:
    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("never asked")

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError("never told")

    with pytest.raises(RuntimeError, match="got 'webtransport'"):
        await App()({"type": "webtransport"}, receive, send)


@pytest.mark.parametrize("framework", [FastAPI, starlette.applications.Starlette])
def test_an_application_works_mounted_in_another(framework: Any) -> None:
    app = visiting()

    @app.websocket("/link", name="link")
    async def link(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json([ws.handshake.path, ws.url_for("link"), str(ws.url)])

    outer = framework()
    outer.mount("/live", app)
    with starlette.testclient.TestClient(outer) as client:
        assert client.post("/live/login", json={"name": "anna"}).status_code == 204
        assert client.get("/live/me").json() == {"name": "anna"}
        with client.websocket_connect("/live/ws") as ws:
            ws.send_text("x")
            assert msgspec.json.decode(ws.receive_text()) == {"name": "anna", "visits": 1}
        with client.websocket_connect("/live/link") as ws:
            seen = ["/link", "ws://testserver/live/link", "ws://testserver/live/link"]
            assert ws.receive_json() == seen


def test_a_session_of_the_framework_around_is_readable_and_not_writable() -> None:
    app = App(secret_key="another")

    @app.get("/me")
    async def me(session: Session) -> Any:
        return dict(session)

    @app.ws("/ws")
    async def on_message(n: int, session: Session) -> Any:
        with pytest.raises(SessionError):
            session["late"] = True
        return dict(session)

    async def login(request: Any) -> Any:
        request.session["name"] = "anna"
        return starlette.responses.Response()

    sessions = starlette.middleware.Middleware(
        starlette.middleware.sessions.SessionMiddleware, secret_key="k"
    )
    routes = [starlette.routing.Route("/login", login), starlette.routing.Mount("/live", app)]
    outer = starlette.applications.Starlette(routes=routes, middleware=[sessions])
    with starlette.testclient.TestClient(outer) as client:
        client.get("/login")
        assert client.get("/live/me").json() == {"name": "anna"}
        with client.websocket_connect("/live/ws") as ws:
            ws.send_text('{"n": 1}')
            assert ws.receive_json() == {"name": "anna"}

"""Sessions in a store: HTTP routes and sockets write one session, whenever they like."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from wirework import (
    App,
    Call,
    Close,
    Controller,
    MemorySessions,
    Reject,
    Session,
    SessionEnded,
    SessionError,
    SessionUser,
    SettingsError,
    WebSocket,
)
from wirework.dialects import Typed
from wirework.testing import HandshakeRefused, TestClient, TestWebSocket
from wirework.timers import wheel

SECRET = "a secret of 32 characters or more"


class Failing(MemorySessions):
    """A store that fails while it is told to."""

    is_down = False

    async def load(self, id: str) -> Mapping[str, str] | None:
        self._check()
        return await super().load(id)

    async def update(self, id: str, changes: Mapping[str, str | None], max_age: int | None) -> bool:
        self._check()
        return await super().update(id, changes, max_age)

    def _check(self) -> None:
        if self.is_down:
            raise OSError("the store is down")


@pytest.fixture(name="store")
def empty() -> Failing:
    return Failing()


@pytest.fixture(name="app")
def visiting(store: Failing) -> App:
    """Return an application with pages that read and write, and a socket that does."""
    app = App(secret_key=SECRET, sessions=store)

    @app.post("/login")
    async def login(name: str, session: Session) -> None:
        session["user"] = name
        session.renew()

    @app.post("/logout")
    async def logout(session: Session) -> None:
        app.disconnect(session=session)
        session.clear()

    @app.get("/me")
    async def me(session: Session) -> dict[str, Any]:
        return session

    @app.ws("/ws")
    async def put(key: str, value: Any, session: Session) -> Any:
        session[key] = value
        return dict(session)

    return app


async def put(ws: TestWebSocket, key: str, value: Any) -> Any:
    await ws.send_json({"key": key, "value": value})
    return await ws.receive_json()


class Visitor(TestClient):
    """Another client of an application that runs already."""

    __test__ = False

    async def __aenter__(self) -> Visitor:
        return self


async def me(client: TestClient) -> Any:
    return (await client.get("/me")).json()


# --- one session ----------------------------------------------------------------------------------


async def test_a_page_logs_in_a_socket_writes_and_the_page_sees_it(app: App) -> None:
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/ws") as ws:
            assert await put(ws, "theme", "dark") == {"user": "ada", "theme": "dark"}
            assert await me(client) == {"user": "ada", "theme": "dark"}


async def test_a_socket_sees_what_a_page_has_written_when_it_reloads(app: App) -> None:
    @app.ws("/fresh")
    async def fresh(text: str, session: Session) -> dict[str, Any]:
        await session.reload()
        return session

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/fresh") as fresh_ws, client.connect("/ws") as ws:
            await put(ws, "theme", "dark")
            await fresh_ws.send_json({"text": "now?"})
            assert await fresh_ws.receive_json() == {"user": "ada", "theme": "dark"}


async def test_the_cookie_holds_a_signed_id_and_nothing_of_the_session(
    app: App, store: Failing
) -> None:
    async with TestClient(app) as client:
        response = await client.post("/login", json={"name": "ada"})
        id, signed_at, signature = client.cookies["session"].split(".")
        assert await store.load(id) == {"user": '"ada"'}
        assert len(id) == 43
        flags = response.headers["set-cookie"].partition("; ")[2]
        assert flags == "path=/; Max-Age=1209600; httponly; samesite=lax"
        for forged in ("a" * 43, f"{'a' * 43}.{signed_at}.{signature}", id):
            client.cookies["session"] = forged
            assert await me(client) == {}


async def test_the_cookie_is_secure_where_the_settings_say_so(store: Failing) -> None:
    app = App(secret_key=SECRET, sessions=store, session_https_only=True)
    session = await app._keeper.load({})  # type: ignore[union-attr]
    session["a"] = 1
    assert "; secure" in str(await app._keeper.settle(session))  # type: ignore[union-attr]


async def test_a_cookie_with_the_session_itself_is_no_id(app: App) -> None:
    old = App(secret_key=SECRET).sign_session({"user": "ada"})
    async with TestClient(app) as client:
        client.cookies.update(old)
        assert await me(client) == {}
        await client.post("/login", json={"name": "eve"})
        assert await me(client) == {"user": "eve"}


async def test_a_page_that_only_reads_sends_no_cookie_and_keeps_nothing(
    app: App, store: Failing
) -> None:
    async with TestClient(app) as client:
        response = await client.get("/me")
        assert "set-cookie" not in response.headers
        assert response.headers["vary"] == "Cookie"
        async with client.connect("/ws") as ws:
            assert "set-cookie" not in ws.headers
    assert len(store) == 0


async def test_a_session_may_begin_in_a_hook_and_go_on_after_it(app: App) -> None:
    async def arrive(session: Session) -> None:
        session["visits"] = session.get("visits", 0) + 1

    app.ws("/visits", conn=arrive)(_put)
    async with TestClient(app) as client:
        for visits in (1, 2):
            async with client.connect("/visits") as ws:
                assert (await put(ws, "last", visits))["visits"] == visits
        assert await me(client) == {"visits": 2, "last": 2}


async def _put(key: str, value: Any, session: Session) -> Any:
    session[key] = value
    return dict(session)


async def test_a_socket_without_a_session_cannot_begin_one_after_the_answer(
    app: App, store: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(app) as client, client.connect("/ws") as ws:
        assert (await put(ws, "a", 1))["error"]["code"] == "internal"
    assert "begin it in conn, before accept, or in an HTTP route" in caplog.text
    assert len(store) == 0


async def test_a_refusal_carries_a_new_session_too(app: App) -> None:
    @app.websocket("/refuses")
    async def refuses(ws: WebSocket) -> None:
        ws.session["tries"] = ws.session.get("tries", 0) + 1
        await ws.refuse(403)

    async with TestClient(app) as client:
        for tries in (1, 2):
            with pytest.raises(HandshakeRefused):
                await client.connect("/refuses").__aenter__()
            assert await me(client) == {"tries": tries}


# --- when a socket saves --------------------------------------------------------------------------


async def test_a_connection_handler_saves_when_it_is_told_and_at_its_end(app: App) -> None:
    @app.websocket("/loop")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            ws.session["said"] = text
            if text == "save":
                await ws.session.save()
            await ws.send_text(text)

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/loop") as ws:
            for text, saved in (("one", None), ("save", "save"), ("three", "save")):
                await ws.send_text(text)
                await ws.receive_text()
                assert (await me(client)).get("said") == saved
        assert (await me(client))["said"] == "three"


async def test_a_connection_handler_that_fails_has_saved(app: App) -> None:
    @app.websocket("/fails")
    async def fails(ws: WebSocket) -> None:
        await ws.accept()
        ws.session["reached"] = True
        raise Reject("no", "not today")

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/fails") as ws:
            await ws.assert_closed(1008)
            assert await me(client) == {"user": "ada", "reached": True}


async def test_what_is_written_after_the_handler_or_a_refusal_is_saved_at_the_end(app: App) -> None:
    @app.exception_handler(LookupError)
    async def explain(ws: WebSocket, error: LookupError) -> Close:
        ws.session["failed"] = True
        return Close(4400, "not found")

    @app.websocket("/fails")
    async def fails(ws: WebSocket) -> None:
        await ws.accept()
        raise LookupError

    @app.websocket("/refuses")
    async def refuses(ws: WebSocket) -> None:
        await ws.refuse(403)
        ws.session["refused"] = True

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/fails") as ws:
            await ws.assert_closed(4400)
        with pytest.raises(HandshakeRefused):
            await client.connect("/refuses").__aenter__()
        assert await me(client) == {"user": "ada", "failed": True, "refused": True}


async def test_hooks_save_what_they_write_after_the_answer(app: App) -> None:
    async def ready(session: Session) -> None:
        session["ready"] = True

    async def leave(session: Session, code: int) -> None:
        session["left"] = code

    desk = app.events("/desk", dialect=Typed(ready=True))
    desk.on_ready(ready)
    desk.on_disconnect(leave)

    @desk.on("fail")
    async def fail(session: Session) -> None:
        session["failed"] = True
        raise Reject("no")

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/desk") as ws:
            await ws.receive_json()
            assert (await me(client))["ready"]
            await ws.send_json({"type": "fail"})
            assert (await ws.receive_json())["code"] == "no"
            assert (await me(client))["failed"]
        assert (await me(client))["left"] == 1000


async def test_controllers_streams_middleware_and_threads_save_too(app: App) -> None:
    async def stamp(message: Call, ws: WebSocket, call_next: Callable[[Call], Any]) -> Any:
        ws.session["stamped"] = True
        return await call_next(message)

    @app.controller("/controller")
    class Stamped(Controller):
        def on_receive(self, text: str, session: Session) -> str:
            session["in_thread"] = True
            return text

    app.ws("/middleware", middleware=[stamp])(_echo)

    @app.ws("/stream")
    async def stream(text: str, session: Session) -> AsyncIterator[str]:
        for part in text.split():
            session["part"] = part
            yield part

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/controller") as ws:
            await ws.send_json({"text": "x"})
            await ws.receive()
            assert await me(client) == {"user": "ada", "in_thread": True}
        async with client.connect("/middleware") as ws:
            await ws.send_text("x")
            await ws.receive()
            assert (await me(client))["stamped"]
        async with client.connect("/stream") as ws:
            await ws.send_text("one two")
            assert [await ws.receive_text(), await ws.receive_text()] == ["one", "two"]
        assert (await me(client))["part"] == "two"


async def test_what_a_list_in_the_session_has_got_is_saved(app: App) -> None:
    @app.ws("/cart")
    async def add(text: str, session: Session) -> int:
        session["cart"].append(text)
        return len(session["cart"])

    async with TestClient(app) as client:
        client.cookies.update(await app.create_session({"cart": []}))
        async with client.connect("/cart") as ws:
            for count in (1, 2):
                await ws.send_text(f"item {count}")
                assert await ws.receive_json() == count
                assert len((await me(client))["cart"]) == count
        assert await me(client) == {"cart": ["item 1", "item 2"]}


async def test_handlers_of_one_connection_at_work_together_undo_nothing(app: App) -> None:
    together = asyncio.Barrier(2)

    @app.ws("/both", concurrency=2)
    async def both(key: str, session: Session) -> str:
        session[key] = "begun"
        await together.wait()
        session[key] = "done"
        return key

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/both") as ws:
            for key in ("a", "b"):
                await ws.send_text(key)
            assert {await ws.receive_text(), await ws.receive_text()} == {"a", "b"}
            assert await me(client) == {"user": "ada", "a": "done", "b": "done"}


async def test_two_sockets_of_one_session_undo_nothing_of_each_other(app: App) -> None:
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/ws") as one, client.connect("/ws") as two:
            await put(one, "a", 1)
            assert await put(two, "b", 2) == {"user": "ada", "b": 2}
            assert await me(client) == {"user": "ada", "a": 1, "b": 2}


# --- pages ----------------------------------------------------------------------------------------


async def test_what_a_response_writes_while_it_streams_is_saved(app: App) -> None:
    @app.get("/stream")
    async def stream(session: Session) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "one"
            session["streamed"] = True

        return StreamingResponse(parts())

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        assert (await client.get("/stream")).text == "one"
        assert (await me(client))["streamed"]


async def test_an_application_given_as_http_has_the_session(store: Failing) -> None:
    pages = FastAPI()

    @pages.get("/me")
    async def show(request: FastAPIRequest) -> Any:
        request.session.setdefault("visits", 1)
        return request.session

    app = App(secret_key=SECRET, sessions=store, http=pages)
    app.ws("/ws")(_put)
    async with TestClient(app) as client:
        assert await me(client) == {"visits": 1}
        async with client.connect("/ws") as ws:
            await put(ws, "theme", "dark")
        assert await me(client) == {"visits": 1, "theme": "dark"}


async def test_an_application_around_it_has_the_session_with_its_middleware(store: Failing) -> None:
    app = App(secret_key=SECRET, sessions=store)
    app.ws("/ws")(_put)

    async def show(request: Request) -> Response:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return JSONResponse(dict(request.session))

    @app.get("/inner")
    async def inner(session: Session) -> dict[str, Any]:
        session["inner"] = True
        return session

    routes = [Route("/me", show), Mount("/live", app=app)]
    outer = Starlette(routes=routes, middleware=[Middleware(app.with_sessions)])
    async with TestClient(App(http=outer)) as pages, TestClient(app) as sockets:
        assert await me(pages) == {"visits": 1}
        assert (await pages.get("/live/inner")).json() == {"visits": 1, "inner": True}
        sockets.cookies.update(pages.cookies)
        async with sockets.connect("/ws") as ws:
            await put(ws, "theme", "dark")
        assert await me(pages) == {"visits": 2, "inner": True, "theme": "dark"}


def test_without_a_key_there_are_no_sessions_to_lend() -> None:
    with pytest.raises(SessionError, match="secret_key"):
        App().with_sessions(Starlette())


async def test_a_page_whose_session_cannot_be_kept_fails(app: App, store: Failing) -> None:
    @app.get("/odd")
    async def odd(session: Session) -> str:
        session["odd"] = object()
        return "done"

    async with TestClient(app) as client:
        with pytest.raises(SessionError, match="a value that is not JSON: 'odd'"):
            await client.get("/odd")
    assert len(store) == 0


async def test_a_page_that_writes_sends_the_cookie_again_and_prolongs_the_session(
    app: App,
) -> None:
    @app.post("/touch")
    async def touch(session: Session) -> None:
        session.mark_modified()

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        response = await client.post("/touch")
        assert "Max-Age=1209600" in response.headers["set-cookie"]
        assert await me(client) == {"user": "ada"}


# --- who logs in and out --------------------------------------------------------------------------


async def test_a_login_takes_another_id_and_the_old_cookie_is_worth_nothing(
    app: App, store: Failing
) -> None:
    async with TestClient(app) as client:
        fixed = await app.create_session({"cart": [1]})
        client.cookies.update(fixed)
        await client.post("/login", json={"name": "ada"})
        assert client.cookies != fixed
        assert await me(client) == {"cart": [1], "user": "ada"}
        client.cookies.clear()
        client.cookies.update(fixed)
        assert await me(client) == {}
    assert len(store) == 1


async def test_an_id_that_the_store_does_not_know_is_never_taken_over(
    app: App, store: Failing
) -> None:
    @app.post("/write")
    async def write(session: Session) -> None:
        session["new"] = True

    async with TestClient(app) as client:
        old = await app.create_session({"a": 1})
        await store.delete(_id_of(old))
        client.cookies.update(old)
        await client.post("/write")
        assert _id_of(client.cookies) != _id_of(old)
        assert await me(client) == {"new": True}


def _id_of(cookies: Mapping[str, str]) -> str:
    return cookies["session"].partition(".")[0]


async def test_a_logout_deletes_the_session_and_its_cookie(app: App, store: Failing) -> None:
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        copied = dict(client.cookies)
        await client.post("/logout")
        assert client.cookies == {}
        client.cookies.update(copied)
        assert await me(client) == {}
    assert len(store) == 0


async def test_a_logout_ends_the_sockets_of_its_session_and_no_others(app: App) -> None:
    async with TestClient(app) as ada, Visitor(app) as eve:
        await ada.post("/login", json={"name": "same"})
        await eve.post("/login", json={"name": "same"})
        own = ada.connect("/ws")
        async with own as first, ada.connect("/ws") as second, eve.connect("/ws") as other:
            await ada.post("/logout")
            await first.assert_closed(4401, "signed out")
            await second.assert_closed(4401, "signed out")
            assert (await put(other, "a", 1))["a"] == 1
        assert (await me(eve))["user"] == "same"


async def test_a_visitor_without_a_session_logs_out_without_harm(app: App) -> None:
    async with TestClient(app) as client, client.connect("/ws", session={"a": 1}) as ws:
        assert (await client.post("/logout")).status_code == 204
        assert await put(ws, "b", 2) == {"a": 1, "b": 2}


async def test_after_a_logout_a_socket_is_told_that_its_session_has_ended(
    app: App, store: Failing
) -> None:
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/ws") as ws:
            await store.delete(_id_of(client.cookies))
            for _ in range(2):
                assert (await put(ws, "a", 1))["error"] == {
                    "code": "session_ended",
                    "message": "The session has ended.",
                }
    assert len(store) == 0


async def test_a_session_that_a_socket_clears_is_deleted(app: App, store: Failing) -> None:
    @app.ws("/clear")
    async def clear(text: str, session: Session) -> str:
        session.clear()
        return text

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/clear") as ws:
            await ws.send_json({"text": "bye"})
            await ws.receive()
            assert len(store) == 0
            assert await me(client) == {}


async def test_a_page_that_writes_to_a_session_deleted_meanwhile_brings_nothing_back(
    app: App, store: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wirework")

    @app.post("/slow")
    async def slow(session: Session) -> str:
        session["late"] = True
        await store.delete(session.id)
        return "done"

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        before = dict(client.cookies)
        response = await client.post("/slow")
        assert (response.status_code, client.cookies) == (200, before)
    assert len(store) == 0
    assert "a session was deleted while a request was writing to it" in caplog.messages


@pytest.mark.parametrize("end", ["delete", "log out", "another user"])
async def test_a_recheck_ends_the_connection_whose_session_says_no_more_who_it_is(
    app: App, store: Failing, end: str
) -> None:
    app.ws("/guarded", auth=SessionUser(recheck=30.0))(_put)
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        id = _id_of(client.cookies)
        async with client.connect("/guarded") as ws:
            _pass_time(31.0)
            assert (await put(ws, "a", 1))["user"] == "ada"
            if end == "delete":
                await store.delete(id)
            else:
                user = None if end == "log out" else '"eve"'
                await store.update(id, {"user": user}, 60)
            _pass_time(62.0)
            await ws.assert_closed(4401, "the credentials are no longer good")


def _pass_time(seconds: float) -> None:
    """Let the wheel look at everything that is due by then."""
    clock = wheel()
    now = clock.now() + seconds
    for slot in list(clock._slots):
        for member in list(clock._slots.get(slot, ())):
            clock._slots[slot].discard(member)
            clock._look(member, now)


# --- a store that fails ---------------------------------------------------------------------------


async def test_a_handshake_is_refused_while_the_store_is_down(
    app: App, store: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        store.is_down = True
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect("/ws").__aenter__()
        assert caught.value.status == 503
        assert app.connections == []
        store.is_down = False
        async with client.connect("/ws") as ws:
            assert (await put(ws, "a", 1))["a"] == 1
    assert "its session could not be loaded" in caplog.text


async def test_a_flood_of_handshakes_while_the_store_is_down_is_one_line_of_the_log(
    app: App, store: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        store.is_down = True
        for _ in range(20):
            with pytest.raises(HandshakeRefused) as caught:
                await client.connect("/ws").__aenter__()
            assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")
    lines = [each for each in caplog.records if each.levelname == "WARNING"]
    assert [each.exc_info for each in lines] == [None]
    assert "refused the handshake of '/ws': its session could not be loaded" in caplog.text


async def test_a_message_whose_session_cannot_be_saved_fails_and_the_next_one_saves(
    app: App, store: Failing
) -> None:
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/ws") as ws:
            store.is_down = True
            assert (await put(ws, "a", 1))["error"]["code"] == "internal"
            store.is_down = False
            assert await put(ws, "b", 2) == {"user": "ada", "a": 1, "b": 2}
            assert await me(client) == {"user": "ada", "a": 1, "b": 2}


async def test_what_cannot_be_saved_at_the_end_is_logged_and_the_connection_ends(
    app: App, store: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave(session: Session) -> None:
        session["left"] = True
        store.is_down = True

    app.ws("/leaves", disconn=leave)(_put)
    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/leaves"):
            pass
        assert app.connections == []
    assert "a session was not saved" in caplog.text


async def test_a_value_that_is_not_json_fails_its_message_and_no_other(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    @app.ws("/odd")
    async def odd(is_odd: bool, session: Session) -> int:
        session["n"] = object() if is_odd else 1
        return len(session)

    async with TestClient(app) as client:
        await client.post("/login", json={"name": "ada"})
        async with client.connect("/odd") as ws:
            await ws.send_json({"is_odd": True})
            assert (await ws.receive_json())["error"]["code"] == "internal"
            await ws.send_json({"is_odd": False})
            assert await ws.receive_json() == 2
        assert await me(client) == {"user": "ada", "n": 1}
    assert "SessionError: the session holds a value that is not JSON: 'n'" in caplog.text


# --- setting it up --------------------------------------------------------------------------------


def test_a_store_needs_a_key_to_sign_ids_with() -> None:
    with pytest.raises(SettingsError, match="sessions: their ids are signed: give the application"):
        App(sessions=MemorySessions())


@pytest.mark.parametrize("wrong", [MemorySessions, {}, "memory://"], ids=["class", "dict", "str"])
def test_what_is_no_store_is_refused(wrong: Any) -> None:
    with pytest.raises(SettingsError, match="sessions: expected a SessionStore, such as"):
        App(secret_key=SECRET, sessions=wrong)


async def test_a_session_can_be_made_for_tests_and_scripts(app: App) -> None:
    with pytest.raises(SessionError, match=r"await app\.create_session\(values\)"):
        app.sign_session({"user": "ada"})
    assert await app.create_session({}) == {}
    async with TestClient(app) as client:
        client.cookies.update(await app.create_session({"user": "ada"}))
        assert await me(client) == {"user": "ada"}


def test_a_route_does_not_open_at_once_where_a_session_has_to_be_waited_for(app: App) -> None:
    app.ws("/plain")(_echo)
    assert not app.opens_at_once("/plain")
    plain = App(secret_key=SECRET)
    plain.ws("/plain")(_echo)
    assert plain.opens_at_once("/plain")


async def _echo(text: str) -> str:
    return text


# --- without a store ------------------------------------------------------------------------------


async def test_without_a_store_saving_and_renewing_are_fine_and_reloading_is_not() -> None:
    session = Session({"a": 1})
    await session.save()
    session.renew()
    assert (session.id, session.modified) == ("", True)
    with pytest.raises(SessionError, match="give the application sessions=MemorySessions"):
        await session.reload()


async def test_a_session_without_values_is_nobodys_to_disconnect() -> None:
    app = App(secret_key=SECRET)
    app.ws("/ws")(_echo)
    async with TestClient(app) as client, client.connect("/ws", session={"a": 1}) as ws:
        assert app.disconnect(session={}) == 0
        assert app.disconnect(session=Session()) == 0
        assert app.disconnect(session=Session({"a": 1})) == 1
        await ws.assert_closed(4401)


def test_the_end_of_a_session_is_a_verdict_with_a_code() -> None:
    assert isinstance(SessionEnded(), Reject)
    assert SessionEnded().code == "session_ended"

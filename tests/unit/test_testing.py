"""The test kit itself: it never waits for ever, and says what it expected."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.responses import Response

from wirework import App, Session, WebSocket
from wirework.testing import HandshakeRefused, TestClient


def echo(**options: Any) -> App:
    app = App(**options)

    @app.ws("/")
    async def on_message(msg: str | bytes) -> str | bytes:
        return msg

    return app


async def test_frames_go_there_and_back() -> None:
    async with TestClient(echo()) as client, client.connect("/") as ws:
        await ws.send_text("text")
        assert await ws.receive_text() == "text"
        await ws.send_bytes(b"bytes")
        assert await ws.receive_bytes() == b"bytes"
        await ws.send_json({"a": [1]})
        assert await ws.receive_json() == {"a": [1]}
        await ws.assert_silent()


async def test_a_frame_of_the_wrong_kind_fails_the_test_and_shows_it() -> None:
    async with TestClient(echo()) as client, client.connect("/") as ws:
        await ws.send_text("text")
        with pytest.raises(AssertionError, match="expected a binary frame, got 'text'"):
            await ws.receive_bytes()
        await ws.send_bytes(b"bytes")
        with pytest.raises(AssertionError, match="expected a text frame, got b'bytes'"):
            await ws.receive_text()


async def test_a_frame_where_a_close_or_silence_was_expected_fails_the_test() -> None:
    async with TestClient(echo()) as client, client.connect("/") as ws:
        await ws.send_text("a")
        with pytest.raises(AssertionError, match="expected a close, got the frame 'a'"):
            await ws.assert_closed()
        await ws.send_text("b")
        with pytest.raises(AssertionError, match="expected silence, got 'b'"):
            await ws.assert_silent()


async def test_a_close_where_a_frame_was_expected_fails_the_test_as_often_as_it_is_read() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4401, "who?")

    async with TestClient(app) as client, client.connect("/") as ws:
        for _ in range(2):
            with pytest.raises(AssertionError, match=r"expected a frame, got a close: 4401 who\?"):
                await ws.receive()
        await ws.assert_closed()
        await ws.assert_closed(4401, "who?")
        with pytest.raises(AssertionError, match="expected 1000, got"):
            await ws.assert_closed(1000)
        with pytest.raises(AssertionError, match="expected 'bye', got"):
            await ws.assert_closed(4401, "bye")


async def test_a_refusal_has_status_headers_and_body() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.refuse(401, "log in", {"WWW-Authenticate": "Bearer"})

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused, match="refused with 401: b'log in'") as caught:
            await client.connect("/").__aenter__()
    assert caught.value.headers["www-authenticate"] == "Bearer"


async def test_waiting_ends_with_the_timeout_and_says_for_what() -> None:
    app = App()
    may_end = asyncio.Event()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        if ws.query_string != "silent":
            await ws.accept()
        await may_end.wait()

    async with TestClient(app, timeout=0.01) as client:
        with pytest.raises(TimeoutError, match="for an answer to the handshake"):
            await client.connect("/?silent").__aenter__()
        async with client.connect("/") as ws:
            with pytest.raises(TimeoutError, match=r"waited 0.01 s for a frame"):
                await ws.receive()
            with pytest.raises(TimeoutError, match="for a close"):
                await ws.assert_closed()
            with pytest.raises(TimeoutError, match="for the application to end the connection"):
                await ws.close()
            may_end.set()


async def test_a_sender_waits_while_the_application_does_not_read() -> None:
    app = App(inbox_frames=1)
    may_read = asyncio.Event()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await may_read.wait()
        async for text in ws.iter_text():
            await ws.send_text(text)

    async with TestClient(app) as client, client.connect("/") as ws:
        await ws.send_text("a")
        sending = asyncio.ensure_future(ws.send_text("b"))
        await asyncio.sleep(0)
        assert not sending.done()
        may_read.set()
        await sending
        assert [await ws.receive_text(), await ws.receive_text()] == ["a", "b"]


async def test_an_application_that_never_reads_fails_the_sender_in_time() -> None:
    app = App(inbox_frames=1)
    may_end = asyncio.Event()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await may_end.wait()

    async with TestClient(app, timeout=0.01) as client, client.connect("/") as ws:
        await ws.send_text("a")
        with pytest.raises(TimeoutError, match="for the application to read"):
            await ws.send_text("b")
        may_end.set()


async def test_what_the_client_is_told_reaches_the_handshake() -> None:
    app = App(secret_key="k")

    @app.websocket("/a b/{rest}")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept(ws.handshake.subprotocols[0])
        headers = [ws.headers.getlist(name) for name in ("x-client", "x-socket", "host")]
        seen = [ws.path_params["rest"], ws.query_string, headers, ws.handshake.scheme]
        await ws.send_json([*seen, dict(ws.session), ws.cookies["theme"]])

    client = TestClient(app, base_url="https://shop.example", headers={"X-Client": "1"})
    client.cookies["theme"] = "dark"
    async with (
        client,
        client.connect(
            "/a%20b/%C3%A9?q=1",
            headers=[("X-Socket", "2"), ("X-Socket", "3")],
            query={"tag": ["a", "b"]},
            session={"name": "anna"},
            subprotocols=["chat.v1"],
        ) as ws,
    ):
        assert ws.subprotocol == "chat.v1"
        assert await ws.receive_json() == [
            "é",
            "q=1&tag=a&tag=b",
            [["1"], ["2", "3"], ["shop.example"]],
            "wss",
            {"name": "anna"},
            "dark",
        ]


async def test_cookies_are_kept_until_they_are_deleted() -> None:
    app = App(secret_key="k")

    @app.get("/login")
    async def login(session: Session) -> Response:
        session["name"] = "anna"
        response = Response()
        response.set_cookie("theme", "dark")
        return response

    @app.get("/logout")
    async def logout(session: Session) -> Response:
        session.clear()
        response = Response()
        response.delete_cookie("theme")
        return response

    async with TestClient(app) as client:
        await client.get("/login")
        assert set(client.cookies) == {"session", "theme"}
        await client.get("/logout")
        assert client.cookies == {}


async def test_an_error_inside_the_block_is_not_hidden_by_leaving_it() -> None:
    with pytest.raises(ValueError, match="in the test"):
        async with TestClient(echo()) as client, client.connect("/"):
            raise ValueError("in the test")


def deaf() -> App:
    """Return an application whose handlers do not look at their peers."""
    app = App()

    @app.websocket("/held")
    async def held(ws: WebSocket) -> None:
        await ws.accept()
        await asyncio.Event().wait()

    @app.ws("/messages")
    async def on_message(msg: str) -> None:
        await asyncio.Event().wait()

    @app.get("/page")
    async def page() -> None:
        await asyncio.Event().wait()

    return app


@pytest.mark.parametrize("path", ["/held", "/messages"])
async def test_an_error_inside_the_block_is_not_hidden_by_a_handler_that_does_not_end(
    path: str,
) -> None:
    async def fail() -> None:
        async with TestClient(deaf(), timeout=0.05) as client, client.connect(path) as ws:
            await ws.send_text("x")
            raise ValueError("in the test")

    with pytest.raises(ValueError, match="in the test") as caught:
        await fail()
    assert caught.value.__notes__ == [
        "afterwards: TimeoutError: waited 0.05 s for the application to end the connection"
    ]


@pytest.mark.parametrize("path", ["/held", "/messages"])
async def test_a_handler_that_does_not_end_fails_the_test_and_is_cancelled(path: str) -> None:
    with pytest.raises(TimeoutError, match="for the application to end the connection"):
        async with TestClient(deaf(), timeout=0.05) as client, client.connect(path) as ws:
            await ws.send_text("x")
    assert ws.peer._task.done()


async def test_a_handler_that_does_not_answer_is_cancelled() -> None:
    app = App()
    cancelled = asyncio.Event()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with TestClient(app, timeout=0.05) as client:
        with pytest.raises(TimeoutError, match="for an answer to the handshake"):
            await client.connect("/").__aenter__()
        assert cancelled.is_set()


async def test_a_page_that_does_not_answer_fails_the_test() -> None:
    async with TestClient(deaf(), timeout=0.05) as client:
        with pytest.raises(TimeoutError, match="for the response to GET /page"):
            await client.get("/page")


@pytest.mark.parametrize("phase", ["start", "stop"])
async def test_a_lifespan_that_hangs_fails_the_test_and_says_so(phase: str) -> None:
    @asynccontextmanager
    async def slow(app: App) -> AsyncIterator[None]:
        if phase == "start":
            await asyncio.Event().wait()
        yield
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match=f"waited 0.05 s for the application to {phase}"):
        async with TestClient(App(lifespan=slow), timeout=0.05):
            pass


async def test_an_error_in_the_test_goes_before_one_of_the_lifespan() -> None:
    @asynccontextmanager
    async def broken(app: App) -> AsyncIterator[None]:
        yield
        raise KeyError("stop")

    with pytest.raises(ValueError, match="in the test") as caught:
        async with TestClient(App(lifespan=broken)):
            raise ValueError("in the test")
    assert caught.value.__notes__ == ["afterwards: KeyError: 'stop'"]


async def test_overrides_end_with_their_block_even_by_an_error() -> None:
    app = echo()
    client = TestClient(app)

    def one() -> int:
        return 1

    def two() -> int:
        return 2

    def fail() -> None:
        with client.override(two, one):
            assert app.overrides == {one: two, two: one}
            raise ValueError("x")

    with client.override(one, two):
        with pytest.raises(ValueError, match="x"):
            fail()
        assert app.overrides == {one: two}
    assert app.overrides == {}


async def test_http_without_httpx_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    async with TestClient(echo()) as client:
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'wirework\[testing\]'"):
            await client.get("/")

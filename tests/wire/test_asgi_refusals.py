"""How a handshake is refused on ASGI, and which headers answers may have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.wire.driver import driving
from wirework import App, Refuse, WebSocket
from wirework.types import Message

DENIALS: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}
GRANIAN: dict[str, Any] = {"extensions": {**DENIALS["extensions"], "http.response.pathsend": {}}}


def refusing_app(headers: list[tuple[str, str]], body: bytes = b"no") -> App:
    app = App()

    @app.websocket("/")
    async def refuse(ws: WebSocket) -> None:
        raise Refuse(409, body, headers)

    return app


async def test_a_refusal_is_a_denial_response_with_type_and_length() -> None:
    async with driving(refusing_app([("X-One", "1")]), **DENIALS) as driver:
        start, body = await driver.get(), await driver.get()
        await driver.ended()
    assert start == {
        "type": "websocket.http.response.start",
        "status": 409,
        "headers": [
            (b"x-one", b"1"),
            (b"content-length", b"2"),
            (b"content-type", b"text/plain; charset=utf-8"),
        ],
    }
    assert body == {"type": "websocket.http.response.body", "body": b"no"}


async def test_headers_of_a_refusal_win_over_ours_and_an_empty_body_has_no_type() -> None:
    own = [("Content-Type", "text/html")]
    async with driving(refusing_app(own), **DENIALS) as driver:
        assert (await driver.get())["headers"] == [
            (b"content-type", b"text/html"),
            (b"content-length", b"2"),
        ]
    async with driving(refusing_app([], b""), **DENIALS) as driver:
        assert (await driver.get())["headers"] == [(b"content-length", b"0")]


@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {}}], ids=repr)
async def test_without_denial_responses_a_refusal_is_a_close(extensions: dict[str, Any]) -> None:
    async with driving(refusing_app([]), **extensions) as driver:
        assert (await driver.get())["type"] == "websocket.close"
        await driver.ended()
        assert driver.is_silent()


async def test_repeated_headers_of_a_refusal_are_joined_for_granian_alone() -> None:
    repeated = [("vary", "a"), ("vary", "b"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]
    async with driving(refusing_app(repeated, b""), **GRANIAN) as driver:
        assert (await driver.get())["headers"] == [
            (b"vary", b"a, b"),
            (b"set-cookie", b"b=2"),
            (b"content-length", b"0"),
        ]
    async with driving(refusing_app(repeated, b""), **DENIALS) as driver:
        sent = (await driver.get())["headers"]
    assert [(name.decode(), value.decode()) for name, value in sent[:4]] == repeated


@pytest.mark.parametrize("is_refused", [True, False])
async def test_no_receive_waits_while_a_refusal_or_a_close_is_sent(is_refused: bool) -> None:
    receiving: dict[str, bool] = {}
    app = App()

    @app.websocket("/")
    async def close(ws: WebSocket) -> None:
        if not is_refused:
            await ws.accept()
        await asyncio.sleep(0)
        await ws.close()

    async with driving(app, **DENIALS) as driver:

        async def note(message: Message) -> None:
            receiving[message["type"]] = driver.is_receiving

        driver.on_send = note
        await driver.ended()
    receiving.pop("websocket.accept", None)
    assert set(receiving.values()) == {False}


EVIL = [("x-a", "1\r\nx-evil: 2"), ("x-a", "1\n"), ("x a", "1"), ("x-a:", "1"), ("x-ü", "1")]


@pytest.mark.parametrize("header", [*EVIL, ("x-a", "\x00"), ("x-a", "👋"), ("", "1")], ids=ascii)
@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_header_that_breaks_out_of_its_line_is_the_handlers_error(
    is_refused: bool, header: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.websocket("/")
    async def answer(ws: WebSocket) -> None:
        if is_refused:
            raise Refuse(403, "no", [header])
        await ws.accept(None, [header])

    async with driving(app, **DENIALS) as driver:
        start = await driver.get()
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 500)
    assert "expected one line of Latin-1" in caplog.text


async def test_header_values_may_have_tabs_and_latin_1() -> None:
    app = App()

    @app.websocket("/")
    async def answer(ws: WebSocket) -> None:
        await ws.accept(None, {"X-Name": "J\u00fcrgen\tM.", "x-empty": ""})

    async with driving(app) as driver:
        sent = (await driver.accepted())["headers"]
    assert sent == [(b"x-name", b"J\xfcrgen\tM."), (b"x-empty", b"")]

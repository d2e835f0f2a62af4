"""Exception handlers of connections: they decide what an error becomes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.applications import talking
from wirework import (
    App,
    Close,
    Refuse,
    RegistrationError,
    Reject,
    WebSocket,
)
from wirework.handlers import ExceptionHandlers
from wirework.testing import HandshakeRefused, TestClient


def raising(error: Exception, *, accepts: bool, **options: Any) -> App:
    """Return an application whose handler raises `error`, before or after it accepts."""
    app = App(**options)

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        if accepts:
            await ws.accept()
            await ws.send_text("last")
        raise error

    return app


def errors_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("accepts", [False, True])
async def test_an_exception_handler_decides_how_a_connection_ends(accepts: bool) -> None:
    class Expired(Exception): ...

    app = raising(Expired(), accepts=accepts)

    @app.exception_handler(Expired)
    async def expired(ws: WebSocket, error: Expired) -> Close:
        return Close(4401, "log in again")

    async with TestClient(app) as client:
        if accepts:
            async with client.connect("/") as ws:
                await ws.receive_text()
                await ws.assert_closed(4401, "log in again")
        else:
            with pytest.raises(HandshakeRefused, match="401: b'log in again'"):
                await client.connect("/").__aenter__()


async def test_an_exception_handler_may_raise_what_is_to_happen() -> None:
    app = raising(LookupError(), accepts=False)

    @app.exception_handler(LookupError)
    def missing(ws: WebSocket, error: LookupError) -> None:
        raise Refuse(404, "no such room")

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused, match="404: b'no such room'"):
            await client.connect("/").__aenter__()


async def test_an_exception_handler_may_say_a_last_word() -> None:
    app = raising(LookupError("chair"), accepts=True)

    @app.exception_handler(LookupError)
    async def missing(ws: WebSocket, error: LookupError) -> None:
        await ws.send_json({"missing": str(error)})

    async with talking(app) as ws:
        await ws.receive_text()
        assert await ws.receive_json() == {"missing": "chair"}
        await ws.assert_closed(1000)


async def test_an_exception_handler_that_speaks_to_a_peer_that_has_gone_ends_normally(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.exception_handler(LookupError)
    async def missing(ws: WebSocket, error: LookupError) -> None:
        await ws.send_text("to nobody")

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws:
            pass
        raise LookupError

    async with talking(app):
        pass
    assert errors_in(caplog) == []


async def test_an_exception_handler_that_fails_is_logged_and_closes_with_1011(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = raising(LookupError("first"), accepts=True)

    @app.exception_handler(LookupError)
    async def broken(ws: WebSocket, error: LookupError) -> None:
        raise KeyError("second")

    async with talking(app) as ws:
        await ws.receive_text()
        await ws.assert_closed(1011)
    assert "KeyError: 'second'" in caplog.text


def test_the_nearest_class_has_the_handler() -> None:
    handlers = ExceptionHandlers()
    handlers.add(LookupError, lookup := lambda ws, error: "lookup")
    handlers.add(KeyError, key := lambda ws, error: "key")
    handlers.add(Exception, rest := lambda ws, error: "rest")
    assert handlers.find(KeyError()) is key
    assert handlers.find(IndexError()) is lookup
    assert handlers.find(ValueError()) is rest
    assert handlers.find(Reject("no")) is None
    assert handlers.find(KeyboardInterrupt()) is None
    assert dict(handlers.items()) == {LookupError: lookup, KeyError: key, Exception: rest}


@pytest.mark.parametrize("kind", [ValueError("an instance"), int, BaseException, "ValueError"])
def test_an_exception_handler_is_for_a_class_of_exceptions(kind: Any) -> None:
    with pytest.raises(RegistrationError, match=r"app\.exception_handler: expected an exception"):
        App().exception_handler(kind)(lambda ws, error: None)


def test_a_class_has_one_exception_handler() -> None:
    app = App()
    app.exception_handler(ValueError)(lambda ws, error: None)
    with pytest.raises(RegistrationError, match="ValueError has a handler already"):
        app.exception_handler(ValueError)(lambda ws, error: None)


def test_an_exception_handler_takes_a_connection_and_an_error_and_returns_an_answer() -> None:
    def none() -> None: ...

    def one(error: Exception) -> None: ...

    def three(ws: WebSocket, error: Exception, more: int) -> None: ...

    def many(*args: Any) -> None: ...

    async def stream(ws: WebSocket, error: Exception) -> AsyncIterator[int]:
        yield 1

    class Answer:
        def __init__(self, ws: WebSocket, error: Exception) -> None: ...

    wrong: list[Any] = [none, one, three, stream, Answer, 5]
    for function in wrong:
        with pytest.raises(RegistrationError) as caught:
            App().exception_handler(KeyError)(function)
        assert str(caught.value).startswith("app.exception_handler(KeyError), ")
        assert "write async def handler(connection, error)" in str(caught.value)
    App().exception_handler(KeyError)(many)

"""Connection handlers: every way they end, and what the peer sees of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from tests.unit.applications import Gate, talking
from wirework import (
    App,
    Close,
    ConnectionClosed,
    MalformedMessage,
    Refuse,
    Reject,
    WebSocket,
)
from wirework.testing import HandshakeRefused, TestClient
from wirework.timers import wheel


class Move(msgspec.Struct):
    x: int


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


# --- normal ends --------------------------------------------------------------------------------


async def test_a_handler_that_returns_closes_with_1000_after_what_it_sent() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("last")

    async with talking(app) as ws:
        assert await ws.receive_text() == "last"
        await ws.assert_closed(1000, "")


async def test_a_handler_may_return_a_close() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> Close:
        if ws.query_string:
            await ws.accept()
        return Close(4401, "who?")

    async with TestClient(app) as client:
        async with client.connect("/?accept") as ws:
            await ws.assert_closed(4401, "who?")
        with pytest.raises(HandshakeRefused, match="401"):
            await client.connect("/").__aenter__()


async def test_leaving_with_the_end_of_the_own_connection_is_a_normal_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    ends: list[Any] = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive()
        except ConnectionClosed as error:
            ends.append((error.code, error.reason, ws.close_code, ws.close_reason))
            raise

    async with talking(app) as ws:
        await ws.close(4123, "bye")
    assert ends == [(4123, "bye", 4123, "bye")]
    assert errors_in(caplog) == []


async def test_a_handler_goes_on_after_the_peer_has_left_until_it_is_done() -> None:
    app = App()
    gate = Gate()
    log: list[str] = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await gate()
        log.extend([message async for message in ws.iter_text()])
        log.append("done")

    async with talking(app) as ws:
        await gate.reached.wait()
        await ws.send_text("a")
        await ws.send_text("b")
        ws.peer.close()
        gate.open.set()
    assert log == ["a", "b", "done"]


# --- errors after accept ------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [False, True])
async def test_an_unknown_error_closes_with_1011_and_is_logged_with_its_traceback(
    debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = raising(ValueError("secret of the database"), accepts=True, debug=debug)
    async with talking(app) as ws:
        assert await ws.receive_text() == "last"
        await ws.assert_closed(1011, "")
        connection = ws.peer.connection
    (record,) = errors_in(caplog)
    assert record.exc_info is not None
    assert connection.id in record.getMessage()
    assert "endpoint" in record.getMessage()
    assert connection.is_finished


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Close(4409, "replaced"), 4409, "replaced"),
        (Reject("full", "try later"), 1008, "try later"),
        (Reject("long", "x" * 200), 1008, "x" * 123),
    ],
)
async def test_an_error_that_says_what_is_to_happen_closes_so_and_is_not_logged(
    error: Exception, code: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(raising(error, accepts=True)) as ws:
        await ws.receive_text()
        await ws.assert_closed(code, reason)
    assert errors_in(caplog) == []


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [("{}", 1007, "x: "), ("{", 1007, ""), (b"\xff", 1007, "")],
)
async def test_a_message_that_does_not_fit_closes_with_1007_where_nobody_catches_it(
    message: Any, code: int, words: str
) -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive_json(Move)

    async with talking(app) as ws:
        ws.peer.send(message)
        await ws.assert_closed(code)
        assert words in ws.peer.connection.close_reason


async def test_a_frame_of_the_wrong_kind_closes_with_1003_where_nobody_catches_it() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive_text()

    async with talking(app) as ws:
        await ws.send_bytes(b"x")
        await ws.assert_closed(1003, "expected a text frame, got a binary frame")


async def test_a_refusal_after_accept_is_a_mistake_of_the_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with talking(raising(Refuse(403), accepts=True)) as ws:
        await ws.receive_text()
        await ws.assert_closed(1011)
    assert len(errors_in(caplog)) == 1


async def test_the_end_of_another_connection_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    room: list[WebSocket] = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        room.append(ws)
        async for text in ws.iter_text():
            for each in room:
                await each.send_text(text)

    async with TestClient(app) as client, client.connect("/") as gone:
        await gone.close()
        async with client.connect("/") as ws:
            await ws.send_text("hi")
            await ws.assert_closed(1011)
    assert len(errors_in(caplog)) == 1


async def test_a_slow_peer_of_a_broadcast_is_closed_and_the_others_get_everything() -> None:
    app = App(outbox_frames=3)
    room: list[WebSocket] = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        room.append(ws)
        async for text in ws.iter_text():
            for each in list(room):
                try:
                    await each.send_text(text)
                except ConnectionClosed:
                    room.remove(each)

    async with (
        TestClient(app) as client,
        client.connect("/") as slow,
        client.connect("/") as quick,
    ):
        slow.peer.stop_reading()
        for number in range(10):
            await quick.send_text(str(number))
            assert await quick.receive_text() == str(number)
        slow.peer.start_reading()
        await slow.assert_closed(1013, "the peer reads too slowly")


# --- before accept ------------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [False, True])
async def test_an_unknown_error_before_accept_refuses_with_500_and_leaks_nothing(
    debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(raising(ValueError("secret"), accepts=False, debug=debug)) as client:
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect("/").__aenter__()
    assert caught.value.status == 500
    assert caught.value.body == b"Internal Server Error"
    assert "ValueError: secret" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (Refuse(451, "no"), 451, b"no"),
        (Close(1013, "full"), 503, b"full"),
        (Reject("banned"), 403, b'{"error":{"code":"banned","message":"banned"}}'),
        (Reject(429, "slower"), 429, b'{"error":{"code":429,"message":"slower"}}'),
        (MalformedMessage("odd"), 400, b'{"error":{"code":"malformed","message":"odd"}}'),
        (Reject(200, "odd"), 403, b'{"error":{"code":200,"message":"odd"}}'),
    ],
)
async def test_an_error_before_accept_refuses_as_it_says(
    error: Exception, status: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestClient(raising(error, accepts=False)) as client:
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect("/").__aenter__()
    assert (caught.value.status, caught.value.body) == (status, body)
    assert errors_in(caplog) == []


async def test_a_handler_that_forgets_to_answer_refuses_with_500_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.websocket("/")
    async def forgetful(ws: WebSocket) -> None: ...

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused, match="500"):
            await client.connect("/").__aenter__()
    assert "forgetful returned without answering the handshake" in caplog.text


async def test_a_handler_that_does_not_answer_in_time_is_cancelled() -> None:
    app = App(handshake_timeout=0.01)
    log: list[str] = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cleaned up")

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused, match="503"):
            await client.connect("/").__aenter__()
    assert log == ["cleaned up"]


async def test_a_task_of_the_handler_that_was_cancelled_is_an_error_of_the_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        task = asyncio.ensure_future(asyncio.Event().wait())
        task.cancel()
        await task

    async with talking(app) as ws:
        await ws.assert_closed(1011)
    assert "a task that the handler waited for was cancelled" in caplog.text


async def test_a_peer_whose_socket_takes_nothing_is_given_up_and_the_handler_hears_of_it() -> None:
    app = App(write_stall_timeout=5)
    gate = Gate()
    ends: list[int] = []
    is_sent = asyncio.Event()

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        await gate()
        await ws.send_text("stuck")
        is_sent.set()
        try:
            await ws.receive()
        except ConnectionClosed as error:
            ends.append(error.code)

    async with talking(app) as ws:
        ws.peer.stop_reading()
        gate.open.set()
        await is_sent.wait()
        now = wheel().now()
        assert ws.peer.connection.tick(now + 5) == now + 10
        assert ws.peer.connection.tick(now + 10) is None
        await ws.assert_closed(1013, "the peer reads too slowly")
    assert ends == [1013]


async def test_a_handler_that_is_cancelled_closes_with_1012() -> None:
    app = App()
    tasks: list[asyncio.Task[Any] | None] = []

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        tasks.append(asyncio.current_task())
        await ws.receive()

    async with talking(app) as ws:
        assert tasks[0] is not None
        tasks[0].cancel()
        await ws.assert_closed(1012)

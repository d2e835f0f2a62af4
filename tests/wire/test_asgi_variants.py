"""Everything that an ASGI server may legally say, and what servers say beside it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.wire.driver import driving
from wirework import App, Close, ConnectionClosed, WebSocket
from wirework.types import Message


def echo_app() -> App:
    app = App()

    @app.websocket("/")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for frame in ws:
            await ws.send(frame)

    return app


def watching_app(found: asyncio.Queue[Any]) -> App:
    """Tell how the connection ended, to a handler and to a hook."""
    app = App()

    @app.websocket("/")
    async def watch(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive()
        except ConnectionClosed as error:
            found.put_nowait((error.code, error.reason))

    async def on_disconnect(code: int, reason: str) -> None:
        found.put_nowait((code, reason))

    @app.ws("/hooks", disconn=on_disconnect)
    async def on_message(data: str) -> str:
        return data

    return app


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"text": "hi"}, {"text": "hi"}),
        ({"text": "hi", "bytes": None}, {"text": "hi"}),
        ({"text": "", "bytes": None}, {"text": ""}),
        ({"bytes": b"hi"}, {"bytes": b"hi"}),
        ({"bytes": b"hi", "text": None}, {"bytes": b"hi"}),
        ({"bytes": b"", "text": None}, {"bytes": b""}),
        ({"bytes": bytearray(b"hi")}, {"bytes": b"hi"}),
        ({"bytes": memoryview(b"hi")}, {"bytes": b"hi"}),
    ],
)
async def test_the_kind_of_a_frame_is_told_by_what_is_not_none(
    fields: dict[str, Any], answer: dict[str, Any]
) -> None:
    async with driving(echo_app()) as driver:
        await driver.accepted()
        driver.put("receive", **fields)
        assert await driver.get() == {"type": "websocket.send", **answer}


@pytest.mark.parametrize("path", ["/", "/hooks"])
@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({}, (1005, "")),
        ({"code": None}, (1005, "")),
        ({"code": 1000}, (1000, "")),
        ({"code": 4000, "reason": None}, (4000, "")),
        ({"code": 4000, "reason": "done"}, (4000, "done")),
    ],
    ids=repr,
)
async def test_a_disconnect_may_lack_code_and_reason(
    path: str, fields: dict[str, Any], end: tuple[int, str]
) -> None:
    found: asyncio.Queue[Any] = asyncio.Queue()
    async with driving(watching_app(found), path) as driver:
        await driver.accepted()
        driver.put("disconnect", **fields)
        await driver.ended()
    assert found.get_nowait() == end
    assert found.empty()


async def test_nothing_is_received_after_the_disconnect_and_nothing_sent() -> None:
    async with driving(echo_app()) as driver:
        await driver.accepted()
        driver.put("disconnect", code=1000)
        driver.put("receive", text="late")
        await driver.ended()
        assert driver.received == 2
        assert driver.is_silent()


async def test_nothing_is_received_once_the_close_is_sent() -> None:
    app = App()

    @app.websocket("/")
    async def close(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4000, "done")

    async with driving(app) as driver:
        await driver.accepted()
        closing = {"type": "websocket.close", "code": 4000, "reason": "done"}
        assert await driver.get() == closing
        await driver.ended()
        assert driver.received == 1


@pytest.mark.parametrize("kind", ["accept", "send", "close"])
@pytest.mark.parametrize("error", [OSError, RuntimeError])
async def test_a_send_that_raises_means_that_the_peer_has_gone(
    kind: str, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[int] = []
    app = App()

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        try:
            await ws.accept()
            await ws.send_text("hello")
            if kind == "close":
                raise Close(4000)
            await ws.receive()
        except ConnectionClosed as closed:
            ends.append(closed.code)
            raise

    async def fail(message: Message) -> None:
        if message["type"] == f"websocket.{kind}":
            raise error("the peer has gone")

    async with driving(app) as driver:
        driver.on_send = fail
        await driver.ended()
    assert ends == ([] if kind == "close" else [1006])
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("inbox_frames", [1, 64])
async def test_what_came_before_a_failed_send_is_handled_and_the_peers_code_is_kept(
    inbox_frames: int,
) -> None:
    found: asyncio.Queue[Any] = asyncio.Queue()
    app = App(inbox_frames=inbox_frames)

    async def on_disconnect(code: int, reason: str) -> None:
        found.put_nowait((code, reason))

    @app.ws("/", disconn=on_disconnect)
    async def on_message(data: str) -> str:
        found.put_nowait(data)
        return data

    async def fail(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise OSError("the peer has gone")

    async with driving(app) as driver:
        driver.on_send = fail
        await driver.accepted()
        for number in range(20):
            driver.put("receive", text=str(number))
        driver.put("disconnect", code=4000, reason="done")
        await driver.ended()
    seen = [found.get_nowait() for _ in range(found.qsize())]
    assert seen == [*map(str, range(20)), (4000, "done")]


async def test_a_receive_that_raises_means_that_the_peer_has_gone() -> None:
    found: asyncio.Queue[Any] = asyncio.Queue()
    async with driving(watching_app(found), "/hooks") as driver:
        await driver.accepted()
        driver.put("receive", text="one more")
        driver.fail(OSError("the socket has gone"))
        await driver.ended()
    assert found.get_nowait() == (1006, "")
    assert found.empty()


async def test_a_standard_close_code_that_the_server_refuses_leaves_as_a_private_one() -> None:
    app = App()

    @app.websocket("/")
    async def fail(ws: WebSocket) -> None:
        await ws.accept()
        raise RuntimeError("a secret")

    async def refuse_standard_codes(message: Message) -> None:
        if message["type"] == "websocket.close" and message["code"] < 3000:
            raise ValueError("invalid close code")

    async with driving(app) as driver:
        driver.on_send = refuse_standard_codes
        await driver.accepted()
        assert await driver.get() == {"type": "websocket.close", "code": 4011, "reason": ""}


async def test_a_message_before_the_connect_is_no_connection() -> None:
    app = echo_app()

    async def receive() -> Message:
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await app({"type": "websocket", "path": "/", "headers": []}, receive, send)


async def test_messages_that_came_before_the_acceptance_are_handled_after_the_greeting() -> None:
    app = App()

    async def on_connect() -> str:
        await asyncio.sleep(0)
        return "welcome"

    @app.ws("/", conn=on_connect)
    async def on_message(data: str) -> str:
        return data.upper()

    async with driving(app) as driver:
        for number in range(20):
            driver.put("receive", text=f"m{number}")
        await driver.accepted()
        expected = ["welcome", *(f"M{number}" for number in range(20))]
        assert [(await driver.get())["text"] for _ in expected] == expected


async def test_a_message_over_the_limit_before_the_acceptance_closes_with_1009() -> None:
    app = App(max_message_size=10)
    opened = asyncio.Event()

    async def on_connect() -> None:
        await opened.wait()

    @app.ws("/", conn=on_connect)
    async def on_message(data: str) -> str:
        return data

    async with driving(app) as driver:
        driver.put("receive", text="x" * 11)
        driver.put("receive", text="y")
        await driver.digested()
        opened.set()
        await driver.accepted()
        assert (await driver.get())["code"] == 1009


async def test_unknown_messages_are_ignored() -> None:
    async with driving(echo_app()) as driver:
        await driver.accepted()
        driver.put("something.new", data=1)
        driver.put("receive", text="hi")
        assert await driver.get() == {"type": "websocket.send", "text": "hi"}


async def test_a_cancelled_connection_is_closed_with_1012_and_its_hook_runs() -> None:
    found: asyncio.Queue[Any] = asyncio.Queue()
    async with driving(watching_app(found), "/hooks") as driver:
        await driver.accepted()
        driver.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await driver.ended()
        assert await driver.get() == {"type": "websocket.close", "code": 1012, "reason": ""}
        assert found.get_nowait() == (1012, "")
        driver.task = asyncio.create_task(asyncio.sleep(0))
    assert found.empty()


async def test_a_server_that_does_not_take_frames_stops_the_connection() -> None:
    found: asyncio.Queue[Any] = asyncio.Queue()
    app = App(write_stall_timeout=0.1, outbox_frames=10)

    async def on_disconnect(code: int, reason: str) -> None:
        found.put_nowait(code)

    @app.ws("/", disconn=on_disconnect)
    async def flood(ws: WebSocket, data: str) -> None:
        await ws.send_text(data)

    async with driving(app) as driver:
        await driver.accepted()
        stuck = asyncio.Event()

        async def never(message: Message) -> None:
            await stuck.wait()

        driver.on_send = never
        driver.put("receive", text="hi")
        async with asyncio.timeout(10):
            assert await found.get() == 1013

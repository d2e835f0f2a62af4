"""The end of a message-style connection: `disconn`, cancellation, and what had arrived before."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.unit.applications import Gate, talking
from wirework import (
    App,
    Close,
    ConnectionClosed,
    WebSocket,
)


async def test_disconn_runs_once_with_the_peers_code_and_reason() -> None:
    app = App()
    ends: list[Any] = []

    async def disconn(ws: WebSocket, code: int, reason: str) -> None:
        assert ws.closed
        with pytest.raises(ConnectionClosed):
            await ws.send("too late")
        ends.append((code, reason))

    @app.ws("/", disconn=disconn)
    async def on_message(msg: str) -> str:
        return msg

    async with talking(app) as ws:
        await ws.send_text("x")
        await ws.receive_text()
        await ws.close(4123, "bye")
        await ws.close(4124)
    assert ends == [(4123, "bye")]


async def test_disconn_runs_once_when_the_handler_closes() -> None:
    app = App()
    ends: list[Any] = []

    @app.ws("/", disconn=lambda code, reason: ends.append((code, reason)))
    async def on_message(msg: str) -> Close:
        return Close(4409, "replaced")

    async with talking(app) as ws:
        await ws.send_text("x")
        await ws.assert_closed(4409)
    assert ends == [(4409, "replaced")]


async def test_a_disconnect_loses_nothing_that_had_arrived() -> None:
    app = App()
    gate = Gate()
    log: list[str] = []

    @app.ws("/", disconn=lambda: log.append("disconn"))
    async def on_message(msg: str) -> str:
        if msg == "a":
            await gate()
        log.append(msg)
        return msg

    async with talking(app) as ws:
        for msg in "abc":
            await ws.send_text(msg)
        await gate.reached.wait()
        ws.peer.close()
        gate.open.set()
    assert log == ["a", "b", "c", "disconn"]


async def test_a_stream_stops_at_its_next_item_and_cleans_up_when_the_peer_leaves() -> None:
    app = App()
    gate = Gate()
    log: list[str] = []

    @app.ws("/", disconn=lambda: log.append("disconn"))
    async def stream(msg: str) -> AsyncIterator[str]:
        try:
            yield "first"
            await gate()
            log.append("second")
            yield "second"
            log.append("third")
            yield "third"
        finally:
            log.append("cleaned up")

    async with talking(app) as ws:
        await ws.send_text("x")
        assert await ws.receive_text() == "first"
        await gate.reached.wait()
        ws.peer.close()
        gate.open.set()
    assert log == ["second", "cleaned up", "disconn"]


async def test_a_generator_that_is_stopped_cleans_up_in_a_thread() -> None:
    app = App()
    cleaned_up_in: list[int] = []

    @app.ws("/")
    def stream(msg: str) -> Iterator[Any]:
        try:
            yield Close(4000)
        finally:
            cleaned_up_in.append(threading.get_ident())

    async with talking(app) as ws:
        await ws.send_text("x")
        await ws.assert_closed(4000)
    assert len(cleaned_up_in) == 1
    assert cleaned_up_in != [threading.get_ident()]


async def test_cancel_on_disconnect_cancels_the_handler_and_drops_what_waits() -> None:
    app = App()
    gate = Gate()
    log: list[str] = []

    @app.ws("/", disconn=lambda code: log.append(f"disconn {code}"), cancel_on_disconnect=True)
    async def on_message(msg: str) -> None:
        log.append(msg)
        try:
            await gate()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async with talking(app) as ws:
        await ws.send_text("a")
        await ws.send_text("b")
        await gate.reached.wait()
        await ws.close(1001)
    assert log == ["a", "cancelled", "disconn 1001"]


async def test_cancel_on_disconnect_still_runs_disconn_when_no_handler_had_begun() -> None:
    app = App()
    log: list[str] = []

    @app.ws("/", disconn=lambda: log.append("disconn"), cancel_on_disconnect=True)
    async def on_message(msg: str) -> None:
        log.append(msg)

    async with talking(app) as ws:
        ws.peer.send("a")
        ws.peer.close()
    assert log == ["disconn"]


async def test_cancel_on_disconnect_cancels_every_concurrent_handler() -> None:
    app = App()
    running = asyncio.Barrier(3)
    log: list[str] = []

    @app.ws("/", disconn=lambda: log.append("disconn"), concurrency=2, cancel_on_disconnect=True)
    async def on_message(msg: str) -> None:
        try:
            await running.wait()
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    async with talking(app) as ws:
        await ws.send_text("a")
        await ws.send_text("b")
        await running.wait()
    assert log == ["cancelled", "cancelled", "disconn"]


async def test_disconn_that_fails_is_logged_and_the_connection_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    async def disconn() -> None:
        raise ValueError("at the end")

    @app.ws("/", disconn=disconn)
    async def on_message(msg: str) -> None: ...

    async with talking(app) as ws:
        connection = ws.peer.connection
    assert connection.is_finished
    assert connection.id in caplog.text
    assert "ValueError: at the end" in caplog.text


async def test_a_worker_that_is_cancelled_from_outside_closes_with_1012_and_disconn_runs() -> None:
    app = App()
    gate = Gate()
    ends: list[int] = []
    tasks: list[asyncio.Task[Any] | None] = []

    @app.ws("/", disconn=lambda code: ends.append(code))
    async def on_message(msg: str) -> None:
        tasks.append(asyncio.current_task())
        await gate()

    async with talking(app) as ws:
        await ws.send_text("x")
        await gate.reached.wait()
        assert tasks[0] is not None
        tasks[0].cancel()
        await ws.assert_closed(1012)
    assert ends == [1012]


async def test_disconn_that_speaks_to_the_peer_ends_normally(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    async def disconn(ws: WebSocket) -> None:
        await ws.send("to nobody")

    @app.ws("/", disconn=disconn)
    async def on_message(msg: str) -> None: ...

    async with talking(app):
        pass
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

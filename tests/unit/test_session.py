"""Message handlers: what they may do, and in which order they run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.unit.applications import Gate, talking
from wirework import (
    App,
    Close,
    Send,
    WebSocket,
)
from wirework.testing import TestClient

# --- what a handler may do ----------------------------------------------------------------------


async def test_what_a_handler_returns_is_the_reply_and_none_is_no_reply() -> None:
    app = App()

    @app.ws("/")
    async def on_message(n: int) -> dict[str, int] | None:
        return {"n": n} if n else None

    async with talking(app) as ws:
        await ws.send_json({"n": 0})
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == {"n": 1}


async def test_a_handler_may_send_before_it_returns() -> None:
    app = App()

    @app.ws("/")
    async def on_message(msg: str, send: Send) -> str:
        await send("first")
        return "second"

    async with talking(app) as ws:
        await ws.send_text("x")
        assert [await ws.receive_text(), await ws.receive_text()] == ["first", "second"]


async def test_an_async_generator_is_a_stream_of_replies() -> None:
    app = App()

    @app.ws("/")
    async def count(n: int) -> AsyncIterator[int | None]:
        for number in range(n):
            yield number
            yield None

    async with talking(app) as ws:
        await ws.send_json({"n": 3})
        assert [await ws.receive_json() for _ in range(3)] == [0, 1, 2]
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == 0


async def test_a_generator_is_a_stream_of_replies_made_in_a_thread() -> None:
    app = App()

    @app.ws("/")
    def count(n: int) -> Iterator[bool]:
        for _ in range(n):
            yield threading.get_ident() != main

    main = threading.get_ident()
    async with talking(app) as ws:
        await ws.send_json({"n": 3})
        assert [await ws.receive_json() for _ in range(3)] == [True] * 3


async def test_a_def_handler_runs_in_a_thread_and_the_loop_goes_on() -> None:
    app = App()
    is_running, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @app.ws("/")
    def on_message(msg: str) -> bool:
        loop.call_soon_threadsafe(is_running.set)
        may_end.wait(5)
        return threading.get_ident() != main

    main = threading.get_ident()
    async with talking(app) as ws:
        await ws.send_text("x")
        await is_running.wait()
        may_end.set()
        assert await ws.receive_json() is True


@pytest.mark.parametrize("way", ["return", "raise", "yield"])
async def test_close_ends_the_connection_with_its_code_after_what_was_sent(way: str) -> None:
    app = App()

    @app.ws("/return")
    async def returning(msg: str, send: Send) -> Close:
        await send("last")
        return Close(4409, "replaced")

    @app.ws("/raise")
    async def raising(msg: str, send: Send) -> None:
        await send("last")
        raise Close(4409, "replaced")

    @app.ws("/yield")
    async def yielding(msg: str) -> AsyncIterator[Any]:
        yield "last"
        yield Close(4409, "replaced")
        yield "never"

    async with talking(app, f"/{way}") as ws:
        await ws.send_text("x")
        assert await ws.receive_text() == "last"
        await ws.assert_closed(4409, "replaced")


# --- order --------------------------------------------------------------------------------------


async def test_messages_of_one_connection_are_handled_one_at_a_time_in_order() -> None:
    app = App()
    log: list[str] = []

    @app.ws("/")
    async def on_message(msg: str) -> str:
        log.append(f"begin {msg}")
        await asyncio.sleep(0)
        log.append(f"end {msg}")
        return msg

    async with talking(app) as ws:
        for msg in "abc":
            await ws.send_text(msg)
        assert [await ws.receive_text() for _ in range(3)] == ["a", "b", "c"]
    assert log == [f"{what} {msg}" for msg in "abc" for what in ("begin", "end")]


async def test_connections_do_not_wait_for_one_another() -> None:
    app = App()
    both = asyncio.Barrier(2)

    @app.ws("/")
    async def on_message(msg: str) -> str:
        await both.wait()
        return msg

    async with TestClient(app) as client, client.connect("/") as one, client.connect("/") as other:
        await one.send_text("1")
        await other.send_text("2")
        assert await one.receive_text() == "1"
        assert await other.receive_text() == "2"


async def test_concurrency_handles_so_many_at_a_time_and_no_more() -> None:
    app = App()
    running: list[int] = [0]
    most: list[int] = [0]
    gate = Gate()

    @app.ws("/", concurrency=2)
    async def on_message(msg: str) -> str:
        running[0] += 1
        most[0] = max(most[0], running[0])
        if most[0] == 2:
            gate.reached.set()
        await gate.open.wait()
        running[0] -= 1
        return msg

    async with talking(app) as ws:
        for msg in "abcd":
            await ws.send_text(msg)
        await gate.reached.wait()
        gate.open.set()
        assert sorted([await ws.receive_text() for _ in range(4)]) == ["a", "b", "c", "d"]
    assert most == [2]


async def test_messages_that_arrive_while_conn_runs_are_handled_after_it_concurrently() -> None:
    app = App()
    gate = Gate()
    both = asyncio.Barrier(2)

    async def conn(ws: WebSocket) -> None:
        await ws.accept()
        await gate()

    @app.ws("/", conn=conn, concurrency=2)
    async def on_message(msg: str) -> str:
        await both.wait()
        return msg

    async with talking(app) as ws:
        await ws.send_text("a")
        await ws.send_text("b")
        await gate.reached.wait()
        gate.open.set()
        assert sorted([await ws.receive_text() for _ in range(2)]) == ["a", "b"]


async def test_an_idle_connection_keeps_no_task() -> None:
    app = App()

    @app.ws("/")
    async def on_message(msg: str) -> str:
        return msg

    async with TestClient(app) as client:
        before = len(asyncio.all_tasks())
        async with client.connect("/") as ws:
            await ws.send_text("x")
            await ws.receive_text()
            assert len(asyncio.all_tasks()) == before

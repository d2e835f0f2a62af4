"""Streams: numbered, ended, cancelled at any moment, and left by their peer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest

from tests.unit.applications import Gate, Journal, talking
from tests.unit.session.talk import ask, end, error, heard, message, plain, send, value
from wirework import App, Call, Close, Depends, Reject, Reply, WebSocket
from wirework.dialects import State, Status, Typed
from wirework.replies import BadRequest


class Ticker:
    """An application with a stream that is held after its first value, and notes its life."""

    def __init__(self, **options: Any) -> None:
        self.app = App()
        self.desk = self.app.events("/", dialect=Typed(), **options)
        self.gate = Gate()
        self.log: list[str] = []

        @self.desk.on("tick")
        async def tick(count: int = 3) -> AsyncIterator[int]:
            self.log.append("begun")
            try:
                for number in range(count):
                    yield number
                    await self.gate()
                self.log.append("complete")
            except asyncio.CancelledError:
                self.log.append("cancelled")
                raise
            finally:
                self.log.append("released")

        @self.desk.on("count")
        async def count_up(count: int) -> AsyncIterator[int]:
            for number in range(count):
                yield number

        @self.desk.on("rest")
        async def rest(ws: WebSocket) -> str:
            await asyncio.sleep(0)
            return "rested"


# --- what is said -------------------------------------------------------------------------------


async def test_the_values_of_a_call_with_an_id_are_numbered_and_ended() -> None:
    async with talking(Ticker().app) as ws:
        send(ws, message("count", {"count": 2}, id=1))
        assert await heard(ws, 3) == [
            value("count", 0, seq=0),
            value("count", 1, seq=1),
            end(2),
        ]


async def test_the_values_of_a_call_without_an_id_are_said_and_no_more() -> None:
    async with talking(Ticker().app) as ws:
        send(ws, message("count", {"count": 1}), message("rest", id=1))
        assert await heard(ws, 2) == [{"type": "count", "data": 0}, value("rest", "rested")]


async def test_an_empty_stream_is_an_end() -> None:
    async with talking(Ticker().app) as ws:
        assert await ask(ws, "count", {"count": 0}) == end(0)


@pytest.mark.parametrize("kind", ["async generator", "generator", "returned"])
async def test_none_is_not_said_and_not_counted(kind: str) -> None:
    app = App()
    desk = app.events("/", dialect=Typed())

    async def values() -> AsyncIterator[Any]:
        for each in (None, "a", None, "b"):
            yield each

    if kind == "async generator":
        desk.on("s")(values)
    elif kind == "generator":

        @desk.on("s")
        def generator() -> Iterator[Any]:
            yield from (None, "a", None, "b")
    else:

        @desk.on("s")
        async def returned() -> Any:
            return values()

    async with talking(app) as ws:
        send(ws, message("s", id=1))
        assert await heard(ws, 3) == [value("s", "a", seq=0), value("s", "b", seq=1), end(2)]


@pytest.mark.parametrize("dialect", [State(), Status()], ids=["state", "status"])
async def test_dialects_without_ids_say_the_values_alone(dialect: Any) -> None:
    app = App()

    async def values(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    if dialect.has_names:
        app.events("/", dialect=dialect).on("s")(values)
        said: list[Any] = [{"state": "s", "data": 0}, {"state": "s", "data": 1}]
    else:
        app.ws("/", dialect=dialect)(values)
        said = [{"statusCode": 200, "body": 0}, {"statusCode": 200, "body": 1}]
    async with talking(app) as ws:
        for _ in range(2):
            await ws.send_json({"state": "s", "data": {"n": 2}, "n": 2})
            assert await heard(ws, 2) == said


async def test_a_stream_that_fails_is_answered_with_an_error_instead_of_an_end() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())
    journal = Journal()

    @desk.on("s")
    async def stream(db: Annotated[str, Depends(journal.lending("db"))]) -> AsyncIterator[int]:
        yield 1
        raise Reject("dry")

    async with talking(app) as ws:
        send(ws, message("s", id=1))
        said = await heard(ws, 2)
        assert [said[0], plain(said[1])] == [value("s", 1, seq=0), error("dry", "s")]
        assert plain(await ask(ws, "none", id=2)) == error("not_found", "none", id=2)
    assert journal.lines == ["open db", "Reject in db", "close db"]


async def test_an_error_reply_is_the_last_word_of_a_stream_where_errors_answer_calls() -> None:
    app = App()
    log: list[str] = []

    async def stream(n: int = 0) -> AsyncIterator[Any]:
        try:
            yield 0
            yield BadRequest("no")
            log.append("went on")
            yield 1
        finally:
            log.append("released")

    app.events("/typed", dialect=Typed()).on("s")(stream)
    app.ws("/status", dialect=Status())(stream)
    async with talking(app, "/typed") as ws:
        send(ws, message("s", id=1), message("none", id=2))
        said = await heard(ws, 3)
        assert said[:2] == [value("s", 0, seq=0), error(400, "s", message="no")]
        assert plain(said[2]) == error("not_found", "none", id=2)
        assert log == ["released"]
    async with talking(app, "/status") as ws:
        await ws.send_json({})
        assert [said["statusCode"] for said in await heard(ws, 3)] == [200, 400, 200]


@pytest.mark.parametrize("what", ["cleanup", "dependency"])
async def test_what_fails_after_the_last_value_is_told_instead_of_the_end(what: str) -> None:
    app = App()
    desk = app.events("/", dialect=Typed())

    async def get_db() -> AsyncIterator[None]:
        yield
        if what == "dependency":
            raise Reject("conflict")

    @desk.on("s")
    async def stream(db: Annotated[None, Depends(get_db)]) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            if what == "cleanup":
                raise Reject("conflict")

    async with talking(app) as ws:
        send(ws, message("s", id=1))
        said = await heard(ws, 2)
        assert plain(said[1]) == error("conflict", "s")
        assert plain(await ask(ws, "none", id=2)) == error("not_found", "none", id=2)


@pytest.mark.parametrize(
    "last", [Close(4409, "done"), Reply(1, then=Close(4409, "done"))], ids=["close", "reply"]
)
async def test_a_stream_may_end_the_connection_with_its_last_value(last: Any) -> None:
    app = App()
    desk = app.events("/", dialect=Typed())
    log: list[str] = []

    @desk.on("s")
    async def stream() -> AsyncIterator[Any]:
        try:
            yield 0
            yield last
            log.append("went on")
        finally:
            log.append("released")

    async with talking(app) as ws:
        send(ws, message("s", id=1))
        values = 1 if isinstance(last, Close) else 2
        said = await heard(ws, values + 1)
        assert said == [*[value("s", n, seq=n) for n in range(values)], end(values)]
        await ws.assert_closed(4409, "done")
    assert log == ["released"]


# --- cancelled ----------------------------------------------------------------------------------


async def test_a_stream_is_cancelled_at_once_and_released_before_its_end_is_said() -> None:
    ticker = Ticker()
    async with talking(ticker.app) as ws:
        assert await ask(ws, "tick") == value("tick", 0, seq=0)
        await ticker.gate.reached.wait()
        send(ws, message("cancel", id=1))
        assert await ws.receive_json() == end(1)
        assert ticker.log == ["begun", "cancelled", "released"]
        assert await ask(ws, "rest", id=2) == value("rest", "rested", id=2)


async def test_a_cancel_in_the_same_batch_as_its_call_harms_no_other_call() -> None:
    ticker = Ticker()
    async with talking(ticker.app) as ws:
        for name in ("count", "tick"):
            send(
                ws,
                message(name, {"count": 3}, id=1),
                message("cancel", id=1),
                message("rest", id=2),
            )
            assert await heard(ws, 2) == [end(0), value("rest", "rested", id=2)]
    assert ticker.log == []


async def test_a_call_that_waits_for_its_turn_can_be_cancelled() -> None:
    ticker = Ticker()
    async with talking(ticker.app) as ws:
        send(ws, message("tick", {"count": 1}, id=1), message("count", {"count": 9}, id=2))
        await ticker.gate.reached.wait()
        send(ws, message("rest", id=3), message("cancel", id=2))
        ticker.gate.open.set()
        said = [value("tick", 0, seq=0), end(1), end(0, id=2), value("rest", "rested", id=3)]
        assert await heard(ws, 4) == said


async def test_a_stream_that_is_cancelled_before_its_turn_takes_no_hook_and_no_dependency() -> None:
    ticker, journal = Ticker(), Journal()

    @ticker.desk.before
    async def before(message: Call) -> None:
        journal.lines.append(f"before {message.name}")

    @ticker.desk.on("slow")
    async def slow(lent: Annotated[str, Depends(journal.lending("slot"))]) -> AsyncIterator[str]:
        yield lent

    async with talking(ticker.app) as ws:
        send(ws, message("tick", {"count": 1}, id=1), message("slow", id=2))
        await ticker.gate.reached.wait()
        send(ws, message("cancel", id=2))
        ticker.gate.open.set()
        assert await heard(ws, 3) == [value("tick", 0, seq=0), end(1), end(0, id=2)]
        assert journal.lines == ["before tick"]
        assert await ask(ws, "slow", id=2) == value("slow", "slot", id=2, seq=0)
        assert await ws.receive_json() == end(1, id=2)


@pytest.mark.parametrize("stage", ["dependency", "before", "middleware"])
async def test_a_cancel_that_comes_before_the_first_value_is_kept(stage: str) -> None:
    gate = Gate()

    async def middleware(call: Call, ws: WebSocket, call_next: Any) -> Any:
        if stage == "middleware" and call.id == 2:
            await gate()
        return await call_next(call)

    ticker = Ticker(middleware=[middleware], concurrency=2)

    async def wait() -> None:
        if stage == "dependency":
            await gate()

    @ticker.desk.before
    async def before(message: Call) -> None:
        if stage == "before" and message.id == 2:
            await gate()

    @ticker.desk.on("slow")
    async def slow(waited: Annotated[None, Depends(wait)]) -> AsyncIterator[int]:
        for number in range(5):
            yield number

    async with talking(ticker.app) as ws:
        send(ws, message("count", {"count": 0}, id=1))
        assert await ws.receive_json() == end(0)
        send(ws, message("slow", id=2))
        await gate.reached.wait()
        send(ws, message("cancel", id=2), message("rest", id=3))
        assert await ws.receive_json() == value("rest", "rested", id=3)
        gate.open.set()
        assert await ws.receive_json() == end(0, id=2)


async def test_only_the_stream_with_the_id_is_cancelled() -> None:
    ticker = Ticker(concurrency=4)
    async with talking(ticker.app) as ws:
        send(ws, *[message("tick", {"count": 1}, id=id) for id in (1, 2, "2", 3)])
        assert len(await heard(ws, 4)) == 4
        send(ws, message("cancel", id=2), message("cancel", id=9))
        assert await ws.receive_json() == end(1, id=2)
        assert ticker.log.count("cancelled") == 1
        ticker.gate.open.set()
        assert sorted(str(said["id"]) for said in await heard(ws, 3)) == ["1", "2", "3"]


async def test_streams_with_the_same_id_are_cancelled_together() -> None:
    ticker = Ticker(concurrency=4)
    async with talking(ticker.app) as ws:
        send(ws, message("tick", id=1), message("tick", id=1))
        assert await heard(ws, 2) == [value("tick", 0, seq=0)] * 2
        send(ws, message("cancel", id=1))
        assert await heard(ws, 2) == [end(1), end(1)]
        assert ticker.log.count("cancelled") == 2
        assert await ask(ws, "rest", id=2) == value("rest", "rested", id=2)


async def test_a_second_cancel_is_for_nobody() -> None:
    ticker = Ticker()
    async with talking(ticker.app) as ws:
        assert await ask(ws, "tick") == value("tick", 0, seq=0)
        send(ws, message("cancel", id=1), message("cancel", id=1), message("rest", id=2))
        assert await heard(ws, 2) == [end(1), value("rest", "rested", id=2)]
        assert await ask(ws, "rest", id=3) == value("rest", "rested", id=3)


async def test_a_cancel_that_comes_too_late_leaves_the_next_call_with_this_id_alone() -> None:
    ticker = Ticker()
    async with talking(ticker.app) as ws:
        for _ in range(3):
            send(ws, message("cancel", id=1), message("count", {"count": 1}, id=1))
            assert await heard(ws, 2) == [value("count", 0, seq=0), end(1)]


async def test_a_cancelled_call_that_is_no_stream_is_answered_as_ever() -> None:
    ticker = Ticker()
    async with talking(ticker.app) as ws:
        send(ws, message("tick", {"count": 1}, id=1), message("rest", id=2))
        await ticker.gate.reached.wait()
        send(ws, message("cancel", id=2))
        ticker.gate.open.set()
        assert await heard(ws, 3) == [
            value("tick", 0, seq=0),
            end(1),
            value("rest", "rested", id=2),
        ]
        assert await ask(ws, "count", {"count": 1}, id=2) == value("count", 0, id=2, seq=0)


async def test_a_stream_that_goes_on_regardless_does_not_take_the_next_call_with_it() -> None:
    ticker = Ticker()
    gate = Gate()
    elsewhere: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    elsewhere.cancel()

    @ticker.desk.on("stubborn")
    async def stubborn() -> AsyncIterator[str]:
        with suppress(asyncio.CancelledError):
            await gate()
        yield "still here"

    @ticker.desk.on("unlucky")
    async def unlucky() -> None:
        await elsewhere

    async with talking(ticker.app) as ws:
        send(ws, message("stubborn", id=1))
        await gate.reached.wait()
        send(ws, message("unlucky", id=2), message("cancel", id=1))
        said = await heard(ws, 3)
        assert said[:2] == [value("stubborn", "still here", seq=0), end(1)]
        assert plain(said[2]) == error("internal", "unlucky", id=2)
        assert await ask(ws, "rest", id=3) == value("rest", "rested", id=3)


async def test_a_cleanup_that_fails_when_it_is_cancelled_is_told_instead_of_the_end() -> None:
    ticker = Ticker()
    gate = Gate()

    @ticker.desk.on("s")
    async def stream() -> AsyncIterator[int]:
        try:
            await gate()
            yield 1
        finally:
            raise Reject("stuck")

    async with talking(ticker.app) as ws:
        send(ws, message("s", id=1))
        await gate.reached.wait()
        send(ws, message("cancel", id=1))
        assert plain(await ws.receive_json()) == error("stuck", "s")
        assert await ask(ws, "rest", id=2) == value("rest", "rested", id=2)


async def test_dependencies_are_released_normally_when_the_client_cancels() -> None:
    ticker = Ticker()
    journal = Journal()

    @ticker.desk.on("s")
    async def stream(db: Annotated[str, Depends(journal.lending("db"))]) -> AsyncIterator[int]:
        yield 0
        await ticker.gate()

    async with talking(ticker.app) as ws:
        send(ws, message("s", id=1))
        await ticker.gate.reached.wait()
        send(ws, message("cancel", id=1))
        assert await heard(ws, 2) == [value("s", 0, seq=0), end(1)]
        assert journal.lines == ["open db", "close db"]


async def test_a_stream_that_waits_for_a_slow_peer_can_be_cancelled() -> None:
    ticker = Ticker()
    ticker.app.settings = ticker.app.settings.replace(outbox_frames=10)
    has_begun = asyncio.Event()

    @ticker.desk.on("many")
    async def many() -> AsyncIterator[int]:
        has_begun.set()
        for number in range(1000):
            yield number

    async with talking(ticker.app) as ws:
        ws.peer.stop_reading()
        send(ws, message("many", id=1))
        await has_begun.wait()
        assert ws.peer.connection.outbox.is_congested
        send(ws, message("cancel", id=1))
        ws.peer.start_reading()
        said = [await ws.receive_json()]
        while said[-1]["type"] != "end":
            said.append(await ws.receive_json())
        assert len(said) - 1 == said[-1]["data"]["count"] < 20
        assert await ask(ws, "rest", id=2) == value("rest", "rested", id=2)


class Thread:
    """A stream of a `def` whose thread is held before its second value."""

    def __init__(self) -> None:
        self.app = App()
        self.desk = self.app.events("/", dialect=Typed(), concurrency=2)
        self.is_working, self.may_go_on = threading.Event(), threading.Event()
        self.log: list[str] = []

        @self.desk.on("s")
        def stream() -> Iterator[int]:
            try:
                yield 0
                self.is_working.set()
                self.may_go_on.wait(5)
                yield 1
                self.log.append("went on")
            finally:
                self.log.append("released")

        @self.desk.on("rest")
        async def rest() -> str:
            return "rested"


async def test_a_generator_is_closed_when_its_thread_is_done_with_the_value_it_works_on() -> None:
    thread = Thread()
    async with talking(thread.app) as ws:
        assert await ask(ws, "s") == value("s", 0, seq=0)
        await asyncio.to_thread(thread.is_working.wait)
        send(ws, message("cancel", id=1))
        assert await ask(ws, "rest", id=2) == value("rest", "rested", id=2)
        assert thread.log == []
        thread.may_go_on.set()
        assert await ws.receive_json() == end(1)
        assert thread.log == ["released"]


# --- left ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_numbered_stream_stops_at_its_next_value_when_the_peer_leaves(
    concurrency: int,
) -> None:
    ticker = Ticker(concurrency=concurrency)
    ticker.desk.on_disconnect(lambda: ticker.log.append("disconnect"))
    async with talking(ticker.app) as ws:
        send(ws, *[message("tick", id=id) for id in range(concurrency)])
        await heard(ws, concurrency)
        ws.peer.close()
        ticker.gate.open.set()
    begun = ticker.log.count("begun")
    assert begun == ticker.log.count("released") == concurrency
    assert "complete" not in ticker.log
    assert ticker.log.index("disconnect") == len(ticker.log) - 1


async def test_cancel_on_disconnect_cancels_streams_also_those_that_the_client_has_cancelled() -> (
    None
):
    ticker = Ticker(cancel_on_disconnect=True, concurrency=2)
    ticker.desk.on_disconnect(lambda code: ticker.log.append(f"disconnect {code}"))
    cleaning = Gate()

    @ticker.desk.on("slow to end")
    async def slow() -> AsyncIterator[int]:
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            await cleaning()

    async with talking(ticker.app) as ws:
        send(ws, message("tick", id=1), message("slow to end", id=2))
        await heard(ws, 2)
        send(ws, message("cancel", id=2))
        await cleaning.reached.wait()
        await ws.close(4001)
    assert ticker.log == ["begun", "cancelled", "released", "disconnect 4001"]


async def test_a_stream_is_stopped_by_a_handler_that_ends_the_connection() -> None:
    ticker = Ticker(concurrency=2)

    @ticker.desk.on("leave")
    async def leave() -> Close:
        return Close(4000)

    async with talking(ticker.app) as ws:
        assert await ask(ws, "tick") == value("tick", 0, seq=0)
        send(ws, message("leave"))
        await ws.assert_closed(4000)
        ticker.gate.open.set()
    assert ticker.log == ["begun", "released"]

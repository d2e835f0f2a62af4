"""Middleware of messages: order, and everything that it may do with one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import Gate, Journal, talking
from tests.unit.session.talk import ask, end, error, heard, message, plain, send, user_of, value
from wirework import (
    App,
    Call,
    Close,
    Controller,
    Depends,
    FirstMessage,
    Reject,
    Reply,
    Router,
    WebSocket,
)
from wirework.dialects import Status, Typed

Next = Callable[[Call], Awaitable[Any]]


def noting(log: list[Any], name: str) -> Any:
    """Return middleware that notes when it begins and ends."""

    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        log.append(f"{name} {message.name}")
        try:
            return await call_next(message)
        finally:
            log.append(f"{name} ends")

    return middleware


def desk_of(*middleware: Any, **options: Any) -> App:
    """Return an application with some functions behind the middleware."""
    app = App()
    desk = app.events("/", dialect=Typed(), middleware=middleware, **options)

    @desk.on("do")
    async def do(what: str = "value") -> Any:
        if what == "fail":
            raise KeyError(what)
        return what

    @desk.on("count")
    async def count(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    return app


# --- order --------------------------------------------------------------------------------------


async def test_the_applications_is_outside_the_routers_and_that_outside_the_routes() -> None:
    log: list[Any] = []
    app = App(message_middleware=[noting(log, "app 1"), noting(log, "app 2")], dialect=Typed())
    router = Router(message_middleware=[noting(log, "router")])
    inner = Router(message_middleware=[noting(log, "inner")])
    desk = inner.events("/", middleware=[noting(log, "route")])
    router.include(inner)
    app.include(router)
    names = ["app 1", "app 2", "router", "inner", "route"]

    @desk.on("do")
    async def do() -> None:
        log.append("do")

    async with talking(app) as ws:
        await ask(ws, "do")
    begins, ends = [f"{name} do" for name in names], [f"{name} ends" for name in reversed(names)]
    assert log == [*begins, "do", *ends]


async def test_it_runs_around_every_style_that_has_messages() -> None:
    log: list[Any] = []
    app = App(message_middleware=[noting(log, "mw")], dialect=Status())

    @app.ws("/ws")
    async def on_message(n: int = 0) -> str:
        return "ws"

    @app.controller("/controller")
    class Echo(Controller):
        async def on_receive(self, n: int = 0) -> str:
            return "controller"

    @app.websocket("/serve")
    async def handler(ws: WebSocket) -> None:
        async def on_receive(n: int = 0) -> str:
            return "serve"

        await ws.serve(on_receive)

    for style in ("ws", "controller", "serve"):
        async with talking(app, f"/{style}") as ws:
            await ws.send_json({})
            assert await ws.receive_json() == {"statusCode": 200, "body": style}
    assert log == ["mw ", "mw ends"] * 3


async def test_it_sees_no_token_no_ping_and_no_unknown_name() -> None:
    log: list[Any] = []
    app = desk_of(noting(log, "mw"), auth=FirstMessage(user_of))
    async with talking(app) as ws:
        send(ws, message("auth", {"token": "ada"}), message("ping"), message("nobody", id=1))
        said = await heard(ws, 3)
        assert plain(said[2]) == error("not_found", "nobody")
    assert log == []


async def test_it_knows_the_user() -> None:
    users: list[Any] = []

    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        users.append(ws.user.name)
        return await call_next(message)

    async with talking(desk_of(middleware, auth=FirstMessage(user_of))) as ws:
        send(ws, message("auth", {"token": "ada"}), message("do", id=1))
        await heard(ws, 2)
    assert users == ["ada"]


# --- the message --------------------------------------------------------------------------------


async def test_it_may_change_the_message_and_the_answer_still_belongs_to_the_call() -> None:
    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        body = b'{"what": "changed"}'
        return await call_next(msgspec.structs.replace(message, body=body, name="x", id=99))

    async with talking(desk_of(middleware)) as ws:
        assert await ask(ws, "do", {"what": 5}) == value("do", "changed")


async def test_hooks_after_the_message_see_it_as_it_was_changed() -> None:
    seen: list[Any] = []
    app = App()

    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        return await call_next(msgspec.structs.replace(message, meta="signed"))

    desk = app.events("/", dialect=Typed(), middleware=[middleware])
    desk.before(lambda message: seen.append(message.meta))
    desk.after(lambda message: seen.append(message.meta))

    @desk.on("do")
    async def do(message: Call) -> None:
        seen.append(message.meta)

    async with talking(app) as ws:
        await ask(ws, "do")
    assert seen == [None, "signed", "signed"]


async def test_it_may_refuse_and_the_function_does_not_run() -> None:
    log: list[Any] = []

    async def gate(message: Call, ws: WebSocket, call_next: Next) -> Any:
        raise Reject("slow_down", "too many", {"after": 5})

    async with talking(desk_of(noting(log, "outer"), gate, noting(log, "inner"))) as ws:
        said = error("slow_down", "do", message="too many", details={"after": 5})
        assert await ask(ws, "do") == said
        assert await ask(ws, "do", id=2) == {**said, "id": 2}
    assert log == ["outer do", "outer ends"] * 2


async def test_it_may_end_the_connection() -> None:
    async def gate(message: Call, ws: WebSocket, call_next: Next) -> Any:
        return Close(4029, "too many")

    async with talking(desk_of(gate)) as ws:
        send(ws, message("do", id=1), message("do", id=2))
        await ws.assert_closed(4029, "too many")


async def test_it_may_answer_itself() -> None:
    async def cache(message: Call, ws: WebSocket, call_next: Next) -> Any:
        return "from the cache"

    async with talking(desk_of(cache)) as ws:
        assert await ask(ws, "do", {"what": "fail"}) == value("do", "from the cache")


# --- the answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        (None, value("do")),
        ({"wrapped": True}, value("do", {"wrapped": True})),
        (Reply("other", name="done"), value("done", "other")),
        (Reply("no", status=400), error(400, "do", message="no")),
    ],
    ids=["none", "value", "reply", "error"],
)
async def test_it_may_replace_the_answer(replaced: Any, said: Any) -> None:
    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        await call_next(message)
        return replaced

    async with talking(desk_of(middleware)) as ws:
        assert await ask(ws, "do") == said


async def test_it_may_turn_an_error_into_an_answer_and_an_answer_into_an_error() -> None:
    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        try:
            await call_next(message)
        except KeyError as failure:
            return f"saved from {failure}"
        raise KeyError("secret")

    async with talking(desk_of(middleware)) as ws:
        assert await ask(ws, "do", {"what": "fail"}) == value("do", "saved from 'fail'")
        assert await ask(ws, "do") == error("internal", "do", message="internal error")


async def test_it_sees_a_payload_that_does_not_fit() -> None:
    failures: list[str] = []

    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        try:
            return await call_next(message)
        except Exception as failure:
            failures.append(type(failure).__name__)
            raise

    async with talking(desk_of(middleware)) as ws:
        assert plain(await ask(ws, "do", {"what": 5})) == error("validation", "do")
    assert failures == ["ValidationError"]


async def test_it_may_call_twice_and_dependencies_are_made_once() -> None:
    journal = Journal()
    lend = journal.lending("db")
    app = App()

    async def retry(message: Call, ws: WebSocket, call_next: Next) -> Any:
        try:
            return await call_next(message)
        except KeyError:
            return await call_next(message)

    desk = app.events("/", dialect=Typed(), middleware=[retry])

    @desk.on("do")
    async def do(db: Annotated[str, Depends(lend)]) -> int:
        journal.lines.append("do")
        if journal.lines.count("do") == 1:
            raise KeyError("flaky")
        return journal.lines.count("do")

    async with talking(app) as ws:
        assert await ask(ws, "do") == value("do", 2)
    assert journal.lines == ["open db", "do", "do", "close db"]


# --- streams ------------------------------------------------------------------------------------


async def test_a_stream_passes_through_and_may_be_wrapped() -> None:
    async def double(message: Call, ws: WebSocket, call_next: Next) -> Any:
        values = await call_next(message)

        async def doubled() -> AsyncIterator[int]:
            async for each in values:
                yield each * 2

        return doubled() if message.name == "count" else values

    async with talking(desk_of(double)) as ws:
        send(ws, message("count", {"n": 2}, id=1))
        assert await heard(ws, 3) == [
            value("count", 0, seq=0),
            value("count", 2, seq=1),
            end(2),
        ]


async def test_an_answer_may_become_a_stream_and_a_stream_an_answer() -> None:
    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        found = await call_next(message)
        if message.name == "count":
            return [each async for each in found]

        async def letters() -> AsyncIterator[str]:
            for letter in found:
                yield letter

        return letters()

    async with talking(desk_of(middleware)) as ws:
        assert await ask(ws, "count", {"n": 3}) == value("count", [0, 1, 2])
        send(ws, message("do", {"what": "ab"}, id=2))
        assert [said.get("data") for said in await heard(ws, 3)] == ["a", "b", {"count": 2}]


async def test_a_stream_that_it_drops_never_begins() -> None:
    log: list[str] = []
    app = App()

    async def drop(message: Call, ws: WebSocket, call_next: Next) -> Any:
        await call_next(message)
        return "dropped"

    desk = app.events("/", dialect=Typed(), middleware=[drop])

    @desk.on("count")
    async def count() -> AsyncIterator[int]:
        log.append("begun")
        yield 1

    async with talking(app) as ws:
        assert await ask(ws, "count") == value("count", "dropped")
    assert log == []


async def test_messages_are_in_middleware_together_where_they_may_be() -> None:
    gate = Gate()
    inside: list[Any] = []

    async def middleware(message: Call, ws: WebSocket, call_next: Next) -> Any:
        inside.append(message.id)
        if len(inside) == 2:
            gate.open.set()
        await gate()
        return await call_next(message)

    async with talking(desk_of(middleware, concurrency=2)) as ws:
        send(ws, message("do", id=1), message("do", id=2))
        await heard(ws, 2)
    assert inside == [1, 2]

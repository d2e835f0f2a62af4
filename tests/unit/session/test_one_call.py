"""Named sockets: one function for each connection, which then owns its frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import Gate, Journal, talking
from tests.unit.session.test_first_message import pass_time
from wirework import (
    App,
    Close,
    Depends,
    Events,
    Query,
    Refuse,
    RegistrationError,
    Reject,
    WebSocket,
)
from wirework.dialects import NamedSockets
from wirework.testing import HandshakeRefused, TestClient


def sockets_of(**options: Any) -> tuple[App, Events]:
    app = App()
    return app, app.events("/pp", dialect=NamedSockets(), **options)


class Move(msgspec.Struct):
    x: int


async def test_the_query_names_the_function_and_the_first_frame_has_its_arguments() -> None:
    app, sockets = sockets_of()

    @sockets.on("chat")
    async def chat(room: str, limit: int = 5) -> str:
        return f"{room} {limit}"

    @sockets.on("other")
    async def other() -> str:
        return "other"

    async with TestClient(app) as client:
        async with client.connect("/pp?name=chat") as ws:
            await ws.send_json({"room": "a", "limit": 3})
            assert await ws.receive_json() == "a 3"
            await ws.assert_closed(1000)
        async with client.connect("/pp", query={"name": "other"}) as ws:
            await ws.send_json({})
            assert await ws.receive_json() == "other"
            await ws.assert_closed(1000)


async def test_the_frames_after_the_first_are_the_functions_own() -> None:
    app, sockets = sockets_of()
    gate = Gate()

    @sockets.on("chat")
    async def chat(ws: WebSocket) -> None:
        async for move in ws.iter_json(Move):
            if move.x == 1:
                await gate()  # what comes meanwhile is for nobody else
            await ws.send({"x": move.x})

    async with talking(app, "/pp?name=chat") as ws:
        for frame in ("{}", '{"x": 1}'):
            ws.peer.send(frame)
        await gate.reached.wait()
        for number in range(2, 5):
            ws.peer.send(f'{{"x": {number}}}')
        gate.open.set()
        assert [(await ws.receive_json())["x"] for _ in range(4)] == [1, 2, 3, 4]


@pytest.mark.parametrize("query", ["", "?name=", "?name=nobody", "?name=__class__", "?Name=chat"])
async def test_an_unknown_name_is_told_at_once_and_ends_with_4404(query: str) -> None:
    app, sockets = sockets_of()
    ends: list[int] = []
    sockets.on_disconnect(lambda code: ends.append(code))

    @sockets.on("chat")
    async def chat() -> None: ...

    async with talking(app, f"/pp{query}") as ws:
        said = await ws.receive_json()
        assert list(said) == ["error"]
        await ws.assert_closed(4404)
    assert ends == [4404]


async def test_a_name_that_is_given_twice_is_the_last_one() -> None:
    app, sockets = sockets_of()

    @sockets.on("a")
    async def a() -> str:
        return "a"

    @sockets.on("b")
    async def b() -> str:
        return "b"

    async with talking(app, "/pp?name=a&name=b") as ws:
        await ws.send_json({})
        assert await ws.receive_json() == "b"


async def test_arguments_that_do_not_fit_are_told_and_the_connection_ends() -> None:
    app, sockets = sockets_of()
    log: list[str] = []

    @sockets.on("chat")
    async def chat(room: str, limit: int) -> None:
        log.append(room)

    async with talking(app, "/pp?name=chat") as ws:
        await ws.send_json({"limit": "many"})
        await ws.send_json({"room": "a", "limit": 1})
        said = await ws.receive_json()
        assert "room" in said["error"]
        assert "limit" in said["error"]
        await ws.assert_closed()
    assert log == []


@pytest.mark.parametrize("first", ["no json", "[]", "5", "null", b"{}"])
async def test_a_first_frame_that_is_no_object_is_told_and_the_connection_ends(first: Any) -> None:
    app, sockets = sockets_of()

    @sockets.on("chat")
    async def chat() -> None: ...

    async with talking(app, "/pp?name=chat") as ws:
        ws.peer.send(first)
        assert list(await ws.receive_json()) == ["error"]
        await ws.assert_closed(1007)


async def test_the_heartbeat_is_answered_before_during_and_between() -> None:
    app, sockets = sockets_of()
    gate = Gate()

    @sockets.on("chat")
    async def chat(ws: WebSocket) -> None:
        await gate()
        await ws.send(await ws.receive_json())

    pong = {"__pp": "pong"}
    async with talking(app, "/pp?name=chat") as ws:
        await ws.send_json({"__pp": "ping"})
        assert await ws.receive_json() == pong
        await ws.send_json({})
        await gate.reached.wait()
        for frame in ({"__pp": "ping"}, {"text": "hi"}, {"__pp": "ping"}, {"__pp": "later"}):
            await ws.send_json(frame)
        assert [await ws.receive_json() for _ in range(2)] == [pong, pong]
        gate.open.set()
        assert await ws.receive_json() == {"text": "hi"}


async def test_heartbeats_alone_do_not_keep_a_connection_without_arguments() -> None:
    app, sockets = sockets_of()
    ends: list[int] = []
    sockets.on_disconnect(lambda code: ends.append(code))

    @sockets.on("chat")
    async def chat() -> None: ...

    async with talking(app, "/pp?name=chat") as ws:
        await ws.send_json({"__pp": "ping"})
        await ws.receive_json()
        pass_time(ws, 11)
        await ws.assert_closed(4408)
    assert ends == [4408]


async def test_a_stream_says_its_values_and_the_connection_ends() -> None:
    app, sockets = sockets_of()
    journal = Journal()

    @sockets.on("count")
    async def count(
        n: int, db: Annotated[str, Depends(journal.lending("db"))]
    ) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    async with talking(app, "/pp?name=count") as ws:
        await ws.send_json({"n": 2})
        assert [await ws.receive_json() for _ in range(2)] == [0, 1]
        await ws.assert_closed(1000)
    assert journal.lines == ["open db", "close db"]


@pytest.mark.parametrize(
    ("failure", "text", "code"),
    [
        (Reject("full", "the room is full"), "the room is full", 1000),
        (KeyError("secret"), "internal error", 1000),
    ],
    ids=["reject", "error"],
)
async def test_an_error_is_told_and_the_connection_ends(
    failure: Exception, text: str, code: int
) -> None:
    app, sockets = sockets_of()

    @sockets.on("chat")
    async def chat() -> None:
        raise failure

    async with talking(app, "/pp?name=chat") as ws:
        await ws.send_json({})
        assert await ws.receive_json() == {"error": text}
        await ws.assert_closed(code)


@pytest.mark.parametrize(
    ("failure", "said", "code"),
    [
        (Reject("full", "the room is full"), {"error": "the room is full"}, 1008),
        (Close(4409, "in use"), {"error": "in use"}, 4409),
        (Refuse(402, "pay first"), {"error": "pay first"}, 1008),
        (Refuse(403), {"error": "Forbidden"}, 1008),
    ],
    ids=["reject", "close", "refuse", "refuse without words"],
)
async def test_a_refusal_is_told_and_is_no_disconnect(
    failure: Exception, said: Any, code: int
) -> None:
    app, sockets = sockets_of()
    journal = Journal()

    @sockets.on_connect
    async def on_connect(
        room: Annotated[str, Depends(journal.lending("room"), scope="connection")],
    ) -> None:
        raise failure

    sockets.on_disconnect(lambda: journal.lines.append("disconnect"))

    @sockets.on("chat")
    async def chat() -> None: ...

    async with talking(app, "/pp?name=chat") as ws:
        assert await ws.receive_json() == said
        await ws.assert_closed(code)
    assert journal.lines == ["open room", "close room"]


async def test_a_parameter_of_the_handshake_that_does_not_fit_is_told() -> None:
    app, sockets = sockets_of()

    @sockets.on_connect
    async def on_connect(room: Annotated[int, Query()]) -> None: ...

    @sockets.on("chat")
    async def chat() -> None: ...

    async with talking(app, "/pp?name=chat&room=hall") as ws:
        assert "room" in (await ws.receive_json())["error"]
        await ws.assert_closed(1007)


@pytest.mark.parametrize(
    ("failure", "status"), [(Refuse(503), 503), (KeyError("secret"), 500)], ids=["refuse", "error"]
)
async def test_who_is_to_come_back_later_is_refused_with_a_status(
    failure: Exception, status: int
) -> None:
    app, sockets = sockets_of()

    @sockets.on_connect
    async def on_connect() -> None:
        raise failure

    with pytest.raises(HandshakeRefused) as caught:
        async with talking(app, "/pp?name=chat"):
            pass
    assert caught.value.status == status


async def test_the_function_chooses_its_close() -> None:
    app, sockets = sockets_of()

    @sockets.on("chat")
    async def chat() -> Close:
        return Close(4409, "replaced")

    async with talking(app, "/pp?name=chat") as ws:
        await ws.send_json({})
        await ws.assert_closed(4409, "replaced")


async def test_a_peer_that_leaves_ends_the_function_and_its_dependencies() -> None:
    app, sockets = sockets_of()
    journal = Journal()
    sockets.on_disconnect(lambda code: journal.lines.append(f"disconnect {code}"))

    @sockets.on("chat")
    async def chat(ws: WebSocket, db: Annotated[str, Depends(journal.lending("db"))]) -> None:
        async for _ in ws:
            pass
        journal.lines.append("left")

    async with talking(app, "/pp?name=chat") as ws:
        await ws.send_json({})
        await ws.send_json({"x": 1})
        await ws.close(1001, "dispose")
    assert journal.lines == ["open db", "left", "close db", "disconnect 1001"]


async def test_a_connection_without_arguments_costs_no_task() -> None:
    app, sockets = sockets_of()

    @sockets.on("chat")
    async def chat() -> None: ...

    async with TestClient(app) as client:
        before = len(asyncio.all_tasks())
        async with client.connect("/pp?name=chat") as ws:
            await asyncio.wait([ws.peer._task])
            assert len(asyncio.all_tasks()) == before


# --- misuse -------------------------------------------------------------------------------------


def test_more_than_one_call_at_a_time_is_refused() -> None:
    with pytest.raises(RegistrationError) as caught:
        sockets_of(concurrency=2)
    assert str(caught.value) == (
        "events('/pp'): concurrency: the dialect named has one call for each connection, got 2; "
        "leave it out"
    )


def test_one_function_for_every_name_is_refused() -> None:
    app = App()
    with pytest.raises(RegistrationError) as caught:

        @app.ws("/pp", dialect=NamedSockets())
        async def handler(data: dict[str, int]) -> None: ...

    assert str(caught.value) == (
        "ws('/pp'): the dialect named calls functions by their names; "
        "register them with app.events(...).on(name)"
    )

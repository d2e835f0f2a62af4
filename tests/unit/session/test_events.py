"""Events: named messages find their functions, in turn, and with what they depend on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import Gate, Journal, talking
from tests.unit.session.talk import ask, end, error, heard, message, plain, send, value
from wirework import App, Call, Close, Depends, Events, Reject, Reply, Router, WebSocket
from wirework.dialects import State, Typed
from wirework.replies import BadRequest, Ok, Unauthorized
from wirework.testing import TestClient, TestWebSocket


class Order(msgspec.Struct):
    item: str
    count: int = 1


def desk_of(**options: Any) -> tuple[App, Events]:
    """Return an application with events at "/"."""
    app = App(**{key: options.pop(key) for key in ("debug", "json") if key in options})
    return app, app.events("/", dialect=Typed(), **options)


# --- names --------------------------------------------------------------------------------------


async def test_each_name_has_its_function_and_the_answer_has_name_and_id() -> None:
    app, desk = desk_of()

    @desk.on("order.place")
    async def place(order: Order) -> int:
        return order.count

    @desk.on("order.cancel")
    async def cancel(number: int) -> str:
        return f"cancelled {number}"

    async with talking(app) as ws:
        assert await ask(ws, "order.place", {"item": "tea"}) == value("order.place", 1)
        assert await ask(ws, "order.cancel", {"number": 7}, id=2) == value(
            "order.cancel", "cancelled 7", id=2
        )


@pytest.mark.parametrize(
    "name", ["__class__", "close", "connect", "disconnect!", "on", "functions", "Order.place", " "]
)
async def test_only_names_that_were_registered_can_be_called(name: str) -> None:
    app, desk = desk_of()

    @desk.on("order.place")
    async def place(item: str) -> None: ...

    @desk.on_connect
    async def connect() -> None: ...

    async with talking(app) as ws:
        assert await ask(ws, name, {}) == error(
            "not_found", name, message=f"no message is called {name!r}"
        )
        assert await ask(ws, "order.place", {"item": "tea"}) == value("order.place")


async def test_an_unknown_name_is_told_the_nearest_one_in_debug_mode_only() -> None:
    for is_debug, text in ((True, "; did you mean 'order.place'?"), (False, "")):
        app, desk = desk_of(debug=is_debug)

        @desk.on("order.place")
        async def place(item: str) -> None: ...

        async with talking(app) as ws:
            said = await ask(ws, "order.plaice", {})
            assert said["message"] == f"no message is called 'order.plaice'{text}"


async def test_a_long_unknown_name_is_told_in_part() -> None:
    app, desk = desk_of(debug=True)

    @desk.on("note")
    async def note() -> None: ...

    async with talking(app) as ws:
        said = await ask(ws, "n" * 5000)
        assert len(said["message"]) < 200


async def test_a_function_without_parameters_takes_any_data() -> None:
    app, desk = desk_of()

    @desk.on("ping me")
    async def ping_me() -> str:
        return "here"

    async with talking(app) as ws:
        for data in (None, {}, {"extra": 1}):
            assert await ask(ws, "ping me", data) == value("ping me", "here")


# --- answers ------------------------------------------------------------------------------------


async def test_none_answers_a_call_with_an_id_and_no_other() -> None:
    app, desk = desk_of()

    @desk.on("plain")
    async def plain_function(n: int) -> None: ...

    @desk.on("bound")
    async def bound(n: int, ws: WebSocket) -> None: ...

    async with talking(app) as ws:
        for name in ("plain", "bound"):
            send(ws, message(name, {"n": 1}), message(name, {"n": 2}, id=5))
            assert await ws.receive_json() == value(name, id=5)


async def test_an_id_of_text_and_zero_come_back_as_they_are() -> None:
    app, desk = desk_of()

    @desk.on("note")
    async def note(n: int) -> int:
        return n

    async with talking(app) as ws:
        for id in ("a", "", 0, -1, 2**53):
            send(ws, message("note", {"n": 3}, id=id))
            assert await ws.receive_json() == {"type": "note", "id": id, "data": 3}


async def test_every_way_to_fail_is_answered_and_the_connection_lives_on() -> None:
    app, desk = desk_of()

    @desk.on("order.place")
    async def place(order: Order) -> Any:
        if order.item == "reject":
            raise Reject("sold_out", "none left", {"item": order.item})
        if order.item == "fail":
            raise KeyError("secret")
        return object() if order.item == "unsayable" else order

    async with talking(app) as ws:
        said = await ask(ws, "order.place", {"item": "reject"})
        assert said == error(
            "sold_out", "order.place", message="none left", details={"item": "reject"}
        )
        for item in ("fail", "unsayable"):
            said = await ask(ws, "order.place", {"item": item}, id=2)
            assert said == error("internal", "order.place", id=2, message="internal error")
        said = await ask(ws, "order.place", {"count": "two"})
        assert [problem["loc"] for problem in said["details"]] == [["item"], ["count"]]
        assert await ask(ws, "order.place", {"item": "tea"}) == value(
            "order.place", {"item": "tea", "count": 1}
        )


class Wish(msgspec.Struct):
    what: str


def lanes_of(ws: TestWebSocket) -> set[str]:
    """Return the names of the messages that take the short way."""
    session: Any = ws.peer.connection.consumer
    lanes: set[str] = session.endpoint.lanes
    return lanes


async def numbers(values: int) -> AsyncIterator[int]:
    for number in range(values):
        yield number


@pytest.mark.parametrize("is_plain", [True, False], ids=["short way", "long way"])
async def test_both_ways_of_a_message_say_the_same(is_plain: bool) -> None:
    app, desk = desk_of()

    async def answer(wish: Wish) -> Any:
        what = wish.what
        if what == "reject":
            raise Reject("no")
        if what == "close":
            return Close(4000, "bye")
        if what == "reply":
            return Reply({"a": 1, "b": 2}, name="other", exclude={"b"})
        if what == "stream":
            return numbers(2)
        return {"none": None, "unsayable": object()}.get(what, what)

    if is_plain:
        desk.on("do")(answer)
    else:

        @desk.on("do")
        async def do(wish: Wish, message: Call) -> Any:
            return await answer(wish)

    async with talking(app) as ws:
        assert lanes_of(ws) == ({"do"} if is_plain else set())
        send(ws, message("do", {"what": "none"}), message("do", {"what": "alone"}))
        assert await ws.receive_json() == {"type": "do", "data": "alone"}
        assert plain(await ask(ws, "do", {"what": "unsayable"})) == error("internal", "do")
        await ask(ws, "do", {"what": "stream"})
        assert await heard(ws, 2) == [value("do", 1, seq=1), end(2)]
        await ws.send_bytes(message("do", {"what": "x"}, id=1).encode())
        assert plain(await ws.receive_json()) == error("wrong_frame", id=None)
        assert await ask(ws, "do", {"what": "x"}) == value("do", "x")
        assert await ask(ws, "do", {"what": "none"}) == value("do")
        assert await ask(ws, "do", {"what": "reply"}) == value("other", {"a": 1})
        assert plain(await ask(ws, "do", {"what": "reject"})) == error("no", "do")
        assert plain(await ask(ws, "do", {"what": 5})) == error("validation", "do")
        send(ws, message("do", {"what": "close"}, id=1), message("do", {"what": "late"}, id=2))
        await ws.assert_closed(4000, "bye")


async def test_messages_are_answered_in_order_whichever_way_they_take() -> None:
    app, desk = desk_of()

    @desk.on("short")
    async def short(order: Order) -> int:
        return order.count

    @desk.on("long")
    async def long(order: Order, message: Call) -> int:
        await asyncio.sleep(0)
        return order.count

    async with talking(app) as ws:
        assert lanes_of(ws) == {"short"}
        names = ["short", "long", "long", "short", "nobody", "short", "long"]
        orders = [{"item": "tea", "count": n} for n in range(len(names))]
        send(ws, *[message(name, orders[n], id=n) for n, name in enumerate(names)])
        assert [said["id"] for said in await heard(ws, len(names))] == list(range(len(names)))


@pytest.mark.parametrize("is_plain", [True, False], ids=["short way", "long way"])
async def test_a_cancelled_call_leaves_the_next_one_with_its_id_alone(is_plain: bool) -> None:
    app, desk = desk_of()

    async def count(order: Order) -> Any:
        return numbers(order.count)

    if is_plain:
        desk.on("count")(count)
    else:

        @desk.on("count")
        async def long(order: Order, message: Call) -> Any:
            return await count(order)

    call = message("count", {"item": "tea", "count": 1}, id=1)
    async with talking(app) as ws:
        send(ws, call, message("cancel", id=1), call, call)
        told = [value("count", 0, seq=0), end(1)]
        assert await heard(ws, 5) == [end(0), *told, *told]


@pytest.mark.parametrize("is_plain", [True, False], ids=["short way", "long way"])
async def test_what_waits_when_a_connection_is_given_up_is_dropped(is_plain: bool) -> None:
    app, desk = desk_of()
    gate = Gate()
    orders: list[int] = []

    async def place(order: Order) -> None:
        orders.append(order.count)
        await gate()

    if is_plain:
        desk.on("place")(place)
    else:

        @desk.on("place")
        async def long(order: Order, message: Call) -> None:
            await place(order)

    async with talking(app) as ws:
        assert lanes_of(ws) == ({"place"} if is_plain else set())
        send(ws, *[message("place", {"item": "tea", "count": n}) for n in range(3)])
        await gate.reached.wait()
        ws.peer.connection.expire(1013, "the peer reads too slowly")
        gate.open.set()
    assert orders == [0]


# --- turns --------------------------------------------------------------------------------------


async def test_after_keeps_a_message_waiting_for_another_one_to_be_handled() -> None:
    app, desk = desk_of()

    @desk.on("open")
    async def open_it(key: str) -> None:
        if key != "right":
            raise Reject("wrong_key")

    @desk.on("enter", after="open")
    async def enter() -> str:
        return "welcome"

    not_ready = error("not_ready", "enter", message="first comes 'open'")
    async with TestClient(app) as client, client.connect("/") as ws, client.connect("/") as other:
        assert await ask(ws, "enter") == not_ready
        assert plain(await ask(ws, "open", {"key": "false"})) == error("wrong_key", "open")
        assert await ask(ws, "enter") == not_ready
        assert await ask(ws, "open", {"key": "right"}) == value("open")
        assert await ask(ws, "enter") == value("enter", "welcome")
        assert await ask(ws, "enter") == value("enter", "welcome")
        assert await ask(other, "enter") == not_ready


@pytest.mark.parametrize("kind", [Unauthorized, BadRequest])
async def test_an_error_that_is_returned_does_not_count_for_after(kind: Any) -> None:
    app, desk = desk_of()

    @desk.on("login")
    async def login(key: str) -> Any:
        return Ok("welcome") if key == "right" else kind("wrong key")

    @desk.on("secret", after="login")
    async def secret() -> str:
        return "the secret"

    async with talking(app) as ws:
        assert (await ask(ws, "login", {"key": "false"}))["type"] == "error"
        assert plain(await ask(ws, "secret")) == error("not_ready", "secret")
        assert await ask(ws, "login", {"key": "right"}) == value("login", "welcome")
        assert await ask(ws, "secret") == value("secret", "the secret")


async def test_after_goes_through_a_chain_and_waits_for_the_end_of_a_stream() -> None:
    app, desk = desk_of()
    gate = Gate()

    @desk.on("first")
    async def first() -> AsyncIterator[int]:
        yield 1
        await gate()

    @desk.on("second", after="first")
    async def second() -> None: ...

    @desk.on("third", after="second")
    async def third() -> None: ...

    async with talking(app) as ws:
        send(ws, message("first"), message("second", id=1), message("third", id=2))
        await gate.reached.wait()
        gate.open.set()
        assert await heard(ws, 3) == [
            {"type": "first", "data": 1},
            value("second"),
            value("third", id=2),
        ]


async def test_a_message_that_is_still_being_handled_does_not_count_for_after() -> None:
    app, desk = desk_of(concurrency=2)
    gate = Gate()

    @desk.on("open")
    async def open_it() -> None:
        await gate()

    @desk.on("enter", after="open")
    async def enter() -> None: ...

    async with talking(app) as ws:
        send(ws, message("open", id=1), message("enter", id=2))
        assert plain(await ws.receive_json()) == error("not_ready", "enter", id=2)
        gate.open.set()
        assert await ws.receive_json() == value("open")
        assert await ask(ws, "enter") == value("enter")


async def test_a_gate_on_states_answers_with_the_name_of_the_state() -> None:
    app = App()
    desk = app.events("/", dialect=State())

    @desk.on("open")
    async def open_it() -> None: ...

    @desk.on("save", after="open")
    async def save() -> None: ...

    async with talking(app) as ws:
        await ws.send_json({"state": "save"})
        said = await ws.receive_json()
        assert (said["state"], said["data"]["code"]) == ("error", "not_ready")


# --- dependencies -------------------------------------------------------------------------------


async def test_functions_share_a_dependency_that_is_made_and_released_for_each_message() -> None:
    app, desk = desk_of()
    journal = Journal()
    get_db = journal.lending("db")

    async def cursor(db: Annotated[str, Depends(get_db)]) -> str:
        return f"cursor of {db}"

    @desk.on("read")
    async def read(
        key: str, db: Annotated[str, Depends(get_db)], at: Annotated[str, Depends(cursor)]
    ) -> str:
        journal.lines.append(f"read {key} with {at}")
        return db

    @desk.on("write")
    async def write(key: str, db: Annotated[str, Depends(get_db)]) -> str:
        journal.lines.append(f"write {key}")
        raise Reject("full")

    async with talking(app) as ws:
        assert await ask(ws, "read", {"key": "a"}) == value("read", "db")
        assert plain(await ask(ws, "write", {"key": "b"})) == error("full", "write")
        assert journal.lines == [
            "open db",
            "read a with cursor of db",
            "close db",
            "open db",
            "write b",
            "Reject in db",
            "close db",
        ]


async def test_nothing_is_made_for_a_message_that_does_not_fit() -> None:
    app, desk = desk_of()
    journal = Journal()

    @desk.on("read")
    async def read(key: str, db: Annotated[str, Depends(journal.lending("db"))]) -> None: ...

    async with talking(app) as ws:
        assert plain(await ask(ws, "read", {"key": 5})) == error("validation", "read")
        assert plain(await ask(ws, "raed", {"key": "a"})) == error("not_found", "raed")
    assert journal.lines == []


async def test_a_connection_dependency_is_made_once_for_all_functions() -> None:
    app, desk = desk_of(concurrency=4)
    journal = Journal()
    lend = journal.lending("room")

    @desk.on("a")
    async def a(room: Annotated[str, Depends(lend, scope="connection")]) -> str:
        return room

    @desk.on("b")
    async def b(room: Annotated[str, Depends(lend, scope="connection")]) -> str:
        return room

    async with talking(app) as ws:
        send(ws, *[message(name, id=id) for id, name in enumerate("abab")])
        assert len(await heard(ws, 4)) == 4
        assert journal.lines == ["open room"]
    assert journal.lines == ["open room", "close room"]


async def test_an_error_while_releasing_is_told_instead_of_the_answer() -> None:
    app, desk = desk_of()

    async def commit() -> AsyncIterator[None]:
        yield
        raise Reject("conflict")

    @desk.on("save")
    async def save(db: Annotated[None, Depends(commit)]) -> str:
        return "saved"

    async with talking(app) as ws:
        assert plain(await ask(ws, "save")) == error("conflict", "save")


# --- registration while it runs -----------------------------------------------------------------


async def test_functions_can_be_added_to_connections_that_are_open() -> None:
    app, desk = desk_of()
    async with talking(app) as ws:
        assert plain(await ask(ws, "late")) == error("not_found", "late")

        @desk.on("late")
        async def late() -> str:
            return "better than never"

        assert await ask(ws, "late") == value("late", "better than never")


async def test_events_of_a_router_serve_every_application_that_includes_it() -> None:
    router = Router(prefix="/desk", dialect=Typed())
    desk = router.events("/{number:int}")

    @desk.on("where")
    async def where(number: int) -> int:
        return number

    for prefix in ("/a", "/b"):
        app = App()
        app.include(router, prefix=prefix)
        async with talking(app, f"{prefix}/desk/7") as ws:
            assert await ask(ws, "where") == value("where", 7)

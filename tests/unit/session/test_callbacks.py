"""`ws.serve`: callbacks for the messages of a connection whose handler goes on after it."""

from __future__ import annotations

import asyncio
import gc
import typing
import weakref
from collections.abc import AsyncIterator, Callable
from functools import partial, wraps
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import Gate, Journal, talking
from wirework import (
    App,
    Close,
    Depends,
    Query,
    Refuse,
    RegistrationError,
    Reject,
    Reply,
    StateError,
    Validate,
    WebSocket,
)
from wirework.dialects import Raw, Status, Typed
from wirework.testing import HandshakeRefused, TestClient

STATUS = Status()


def said(body: Any, status: int = 200) -> dict[str, Any]:
    return {"statusCode": status, "body": body}


class Order(msgspec.Struct):
    item: str


async def get_number() -> int:
    return 7


# --- the functions ------------------------------------------------------------------------------


async def test_functions_defined_in_the_handler_see_its_variables() -> None:
    app = App()
    log: list[Any] = []

    @app.websocket("/{room}")
    async def handler(ws: WebSocket, room: str) -> None:
        orders: list[str] = []

        async def on_connect() -> str:
            return f"welcome to {room}"

        async def on_receive(order: Order) -> Reply:
            orders.append(order.item)
            return Reply({"count": len(orders)}, status=201)

        async def on_disconnect(code: int) -> None:
            log.append((room, orders, code))

        await ws.serve(
            on_receive, on_connect=on_connect, on_disconnect=on_disconnect, dialect=STATUS
        )
        log.append("served")

    async with talking(app, "/a") as ws:
        assert await ws.receive_json() == said("welcome to a")
        for count, item in enumerate(("tea", "milk"), start=1):
            await ws.send_json({"item": item})
            assert await ws.receive_json() == said({"count": count}, 201)
        await ws.send_json({"item": 5})
        assert (await ws.receive_json())["statusCode"] == 400
        await ws.close(4001)
    assert log == [("a", ["tea", "milk"], 4001), "served"]


async def test_bound_methods_keep_their_object() -> None:
    class Room:
        def __init__(self, name: str) -> None:
            self.name = name
            self.log: list[str] = []

        async def on_connect(self) -> str:
            return f"hello from {self.name}"

        async def on_receive(
            self, order: Order, number: Annotated[int, Depends(get_number)]
        ) -> str:
            return f"{self.name} {order.item} {number}"

        def on_disconnect(self, code: int) -> None:
            self.log.append(f"{self.name} {code}")

    app = App()
    rooms: dict[str, Room] = {}

    @app.websocket("/{name}")
    async def handler(ws: WebSocket, name: str) -> None:
        room = rooms[name] = Room(name)
        await ws.serve(
            on_receive=room.on_receive,
            on_connect=room.on_connect,
            on_disconnect=room.on_disconnect,
            dialect=STATUS,
        )

    async with TestClient(app) as client, client.connect("/a") as a, client.connect("/b") as b:
        for ws, _name in ((a, "a"), (b, "b"), (a, "a")):
            await ws.send_json({"item": "tea"})
        assert await a.receive_json() == said("hello from a")
        assert await b.receive_json() == said("hello from b")
        assert [await a.receive_json() for _ in range(2)] == [said("a tea 7")] * 2
        assert await b.receive_json() == said("b tea 7")
    assert [room.log for room in rooms.values()] == [["a 1000"], ["b 1000"]]


async def test_tenants_that_share_the_code_share_no_dependency() -> None:
    app = App()

    @app.websocket("/{tenant}")
    async def handler(ws: WebSocket, tenant: str) -> None:
        async def get_db() -> str:
            return f"db of {tenant}"

        async def on_receive(n: int, db: Annotated[str, Depends(get_db)]) -> str:
            return f"{n} {tenant} {db}"

        await ws.serve(on_receive, dialect=STATUS)

    async with TestClient(app) as client, client.connect("/a") as a, client.connect("/b") as b:
        for n in range(3):
            for ws, tenant in ((a, "a"), (b, "b")):
                await ws.send_json({"n": n})
                assert await ws.receive_json() == said(f"{n} {tenant} db of {tenant}")


async def test_annotations_that_are_local_are_those_of_each_connection() -> None:
    app = App()

    @app.websocket("/{kind}")
    async def handler(ws: WebSocket, kind: str) -> None:
        wanted: Any = {"int": int, "str": str}[kind]

        class Local(msgspec.Struct):
            value: Any

        async def on_receive(local: Local, n: wanted | None = None) -> bool:
            return isinstance(local, Local)

        async def on_value(n: wanted) -> Any:
            return n

        await ws.serve(on_value, dialect=STATUS)

    async with (
        TestClient(app) as client,
        client.connect("/int") as a,
        client.connect("/str") as b,
    ):
        await a.send_json({"n": 1})
        await b.send_json({"n": "x"})
        assert await a.receive_json() == said(1)
        assert await b.receive_json() == said("x")


async def test_a_local_model_is_the_class_that_the_handler_knows() -> None:
    app = App()

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        class Local(msgspec.Struct):
            n: int

        async def on_receive(local: Local) -> bool:
            return type(local) is Local

        await ws.serve(on_receive, dialect=STATUS)

    async with TestClient(app) as client:
        for _ in range(2):
            async with client.connect("/") as ws:
                await ws.send_json({"n": 1})
                assert await ws.receive_json() == said(True)


async def test_defaults_of_a_function_are_those_of_each_connection() -> None:
    app = App()

    @app.websocket("/{room}")
    async def handler(ws: WebSocket, room: str) -> None:
        async def on_receive(n: int, where: str = room) -> str:
            return where

        await ws.serve(on_receive, dialect=STATUS)

    async with TestClient(app) as client, client.connect("/a") as a, client.connect("/b") as b:
        for ws, room in ((a, "a"), (b, "b")):
            await ws.send_json({"n": 1})
            assert await ws.receive_json() == said(room)


async def test_one_function_in_two_roles_is_filled_as_each_asks() -> None:
    app = App()
    log: list[int] = []

    async def note(code: int) -> int:
        log.append(code)
        return code

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        await ws.serve(note, on_disconnect=note, dialect=STATUS)

    async with TestClient(app) as client:
        for _ in range(2):
            async with client.connect("/") as ws:
                await ws.send_json({"code": 5})
                assert await ws.receive_json() == said(5)
                await ws.close(4001)
    assert log == [5, 4001] * 2


async def test_one_function_serves_every_dialect() -> None:
    app = App()

    dialects: dict[str, Any] = {
        "raw": partial(Raw, "json"),
        "status": Status,
        "typed": Typed,
        "flat": partial(Typed, flat=True),
    }

    async def on_receive(n: int) -> int:
        return n + 1

    @app.websocket("/{kind}")
    async def handler(ws: WebSocket, kind: str) -> None:
        await ws.serve(on_receive, dialect=dialects[kind]())

    async with TestClient(app) as client:
        for kind, expected in (
            ("raw", 2),
            ("status", said(2)),
            ("typed", {"type": "add", "data": 2}),
            ("flat", {"type": "add", "data": 2}),
            ("raw", 2),
        ):
            async with client.connect(f"/{kind}") as ws:
                payload = {"data": {"n": 1}} if kind == "typed" else {"n": 1}
                await ws.send_json({"type": "add", **payload})
                assert await ws.receive_json() == expected


async def test_a_stream_and_dependencies_work_as_in_any_message_handler() -> None:
    app = App()
    journal = Journal()
    lend = journal.lending("db")

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        get_db = lend

        async def on_receive(n: int, db: Annotated[str, Depends(get_db)]) -> AsyncIterator[int]:
            for number in range(n):
                yield number

        await ws.serve(on_receive, dialect=STATUS)

    async with talking(app) as ws:
        await ws.send_json({"n": 2})
        assert [await ws.receive_json() for _ in range(2)] == [said(0), said(1)]
    assert journal.lines == ["open db", "close db"]


# --- what connections share -----------------------------------------------------------------------


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return call


async def test_functions_behind_one_decorator_are_filled_each_by_its_own_parameters() -> None:
    async def move(x: int, y: int) -> str:
        return f"x={x} y={y}"

    async def size(y: int, x: int) -> str:
        return f"x={x} y={y}"

    async def whose(data) -> str:  # type: ignore[no-untyped-def]
        return f"data={data}"

    async def who(user) -> str:  # type: ignore[no-untyped-def]
        return f"user={user}"

    app = App()
    functions = {each.__name__: logged(each) for each in (move, size, whose, who)}

    @app.websocket("/{name}")
    async def handler(ws: WebSocket, name: str) -> None:
        await ws.serve(functions[name], dialect=STATUS)

    said_by: dict[str, Any] = {}
    async with TestClient(app) as client:
        for name in functions:
            async with client.connect(f"/{name}") as ws:
                await ws.send_json({"x": 1, "y": 2})
                said_by[name] = (await ws.receive_json())["body"]
    assert said_by == {
        "move": "x=1 y=2",
        "size": "x=1 y=2",
        "whose": "data={'x': 1, 'y': 2}",
        "who": "user=None",
    }


async def test_defaults_that_are_equal_but_of_another_type_stay_what_they_are() -> None:
    app = App()
    defaults: dict[str, Any] = {"bool": True, "int": 1, "list": [1]}

    @app.websocket("/{kind}")
    async def handler(ws: WebSocket, kind: str) -> None:
        async def on_receive(n: int, flag: Any = defaults[kind]) -> str:
            return repr(flag)

        await ws.serve(on_receive, dialect=STATUS)

    async with TestClient(app) as client:
        for kind, default in defaults.items():
            async with client.connect(f"/{kind}") as ws:
                await ws.send_json({"n": 1})
                assert await ws.receive_json() == said(repr(default))
        assert len(app._registration._callbacks) == 2  # not the list, which others may hold


def is_even(number: int) -> None:
    if number % 2:
        raise ValueError("odd")


def _plain(room: object) -> Callable[..., Any]:
    async def on_receive(n: int) -> str:
        return f"{n}{room is None}"

    return on_receive


def _marked(room: object) -> Callable[..., Any]:
    async def on_receive(
        n: Annotated[int, Validate(is_even)],
        number: Annotated[int, Depends(get_number)],
        page: Annotated[int, Query()] = 1,
    ) -> str:
        return f"{n}{room is None}"

    return on_receive


def _with_local_dependency(room: object) -> Callable[..., Any]:
    async def get_room() -> bool:
        return room is None

    async def on_receive(n: int, room: bool) -> str:
        return f"{n}{room}"

    on_receive.__annotations__["room"] = uncached(bool, Depends(get_room))
    return on_receive


def uncached(kind: Any, marker: Any) -> Any:
    """Return `Annotated[kind, marker]`, past the cache of `typing`, which keeps what it gets."""
    return typing._AnnotatedAlias(kind, (marker,))  # type: ignore[attr-defined]


class Room:
    """Something of one connection."""


@pytest.mark.parametrize(
    ("make", "kept"),
    [(_plain, 1), (_marked, 1), (_with_local_dependency, 0)],
    ids=["plain", "marked", "dependency"],
)
async def test_what_is_kept_of_callbacks_holds_nothing_of_a_connection(
    make: Callable[[object], Callable[..., Any]], kept: int
) -> None:
    app = App()
    rooms: list[weakref.ref[Room]] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        room = Room()
        rooms.append(weakref.ref(room))
        await ws.serve(make(room), dialect=STATUS)

    async with TestClient(app) as client:
        for _ in range(3):
            async with client.connect("/") as ws:
                await ws.send_json({"n": 2})
                assert await ws.receive_json() == said("2False")
        del ws
        await asyncio.sleep(0)
        gc.collect()
        assert [room() for room in rooms] == [None] * 3
        assert len(app._registration._callbacks) == kept


# --- the handshake ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "status"),
    [(Refuse(402, "pay"), 402), (Close(4403), 403), (Reject("no"), 403), (KeyError("x"), 500)],
    ids=["refuse", "close", "reject", "error"],
)
async def test_before_the_answer_on_connect_may_refuse_and_nothing_follows(
    failure: Exception, status: int
) -> None:
    app = App()
    log: list[str] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        async def on_connect() -> None:
            await ws.send("never")
            raise failure

        await ws.serve(
            lambda data: log.append("receive"),
            on_connect=on_connect,
            on_disconnect=lambda: log.append("disconnect"),
            dialect=STATUS,
        )
        log.append(f"served, {ws.accepted}")

    with pytest.raises(HandshakeRefused) as caught:
        async with talking(app):
            pass
    assert caught.value.status == status
    assert b"x" not in caught.value.body
    assert log == ["served, False"]


async def test_after_the_answer_an_error_of_on_connect_closes_with_1011() -> None:
    app = App()
    log: list[str] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        await ws.accept()

        async def on_connect() -> None:
            raise KeyError("secret")

        await ws.serve(
            lambda data: log.append("receive"),
            on_connect=on_connect,
            on_disconnect=lambda code: log.append(f"disconnect {code}"),
            dialect=STATUS,
        )
        log.append("served")

    async with talking(app) as ws:
        await ws.send_json({})
        await ws.assert_closed(1011, "")
    assert log == ["disconnect 1011", "served"]


async def test_the_subprotocol_of_an_explicit_accept_stays() -> None:
    app = App()

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        await ws.accept("chat.v1")
        await ws.serve(lambda data: data, dialect=STATUS)

    async with talking(app, subprotocols=["chat.v1"]) as ws:
        assert ws.subprotocol == "chat.v1"
        await ws.send_json({"a": 1})
        assert await ws.receive_json() == said({"a": 1})


async def test_frames_that_came_before_serve_are_handled_in_order() -> None:
    app = App()
    gate = Gate()

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        first = await ws.receive_json()
        await gate()
        await ws.serve(lambda data: {"first": first, "then": data}, dialect=STATUS)

    async with talking(app) as ws:
        for number in range(3):
            await ws.send_json(number)
        gate.open.set()
        assert [(await ws.receive_json())["body"] for _ in range(2)] == [
            {"first": 0, "then": 1},
            {"first": 0, "then": 2},
        ]


# --- the end ------------------------------------------------------------------------------------


async def test_serve_returns_when_on_disconnect_is_done() -> None:
    app = App()
    gate = Gate()
    log: list[str] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        async def on_disconnect() -> None:
            await gate()
            log.append("disconnect")

        await ws.serve(lambda data: data, on_disconnect=on_disconnect, dialect=STATUS)
        log.append(f"served, closed with {ws.close_code}")

    async with talking(app) as ws:
        ws.peer.close(4001)
        await gate.reached.wait()
        assert log == []
        gate.open.set()
    assert log == ["disconnect", "served, closed with 4001"]


async def test_a_close_of_a_callback_ends_serve() -> None:
    app = App()
    log: list[Any] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        await ws.serve(lambda data: Close(4409, "enough"), dialect=STATUS)
        log.append(ws.close_code)

    async with talking(app) as ws:
        await ws.send_json({})
        await ws.assert_closed(4409, "enough")
    assert log == [4409]


async def test_shutdown_runs_on_disconnect_and_the_code_after_serve() -> None:
    app = App()
    log: list[Any] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        await ws.serve(
            lambda data: data, on_disconnect=lambda code: log.append(code), dialect=STATUS
        )
        log.append("served")

    client = TestClient(app)
    await client.__aenter__()
    async with client.connect("/") as ws:
        await ws.send_json(1)
        await ws.receive_json()
        await client.__aexit__(None, None, None)
        await ws.assert_closed(1012)
    assert log == [1012, "served"]


@pytest.mark.parametrize("moment", ["idle", "connecting"])
async def test_a_handler_that_is_cancelled_closes_with_1012_and_still_says_goodbye(
    moment: str,
) -> None:
    app = App()
    gate = Gate()
    log: list[Any] = []
    tasks: list[asyncio.Task[Any]] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)

        async def on_connect() -> None:
            if moment == "connecting":
                await gate()

        try:
            await ws.serve(
                lambda data: data,
                on_connect=on_connect,
                on_disconnect=lambda code: log.append(code),
                dialect=STATUS,
            )
        finally:
            log.append("served")

    async with talking(app) as ws:
        if moment == "idle":
            await ws.send_json(1)
            await ws.receive_json()
        else:
            await gate.reached.wait()
        tasks[0].cancel()
        await ws.assert_closed(1012)
    assert log == [1012, "served"]


# --- misuse -------------------------------------------------------------------------------------


async def test_a_connection_is_served_once() -> None:
    app = App()
    failures: list[str] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        async def on_receive(data) -> Any:  # type: ignore[no-untyped-def]
            with pytest.raises(StateError) as caught:
                await ws.serve(on_receive)
            failures.append(str(caught.value))
            return data

        await ws.serve(on_receive, dialect=STATUS)
        with pytest.raises(StateError) as caught:
            await ws.serve(on_receive)
        failures.append(str(caught.value))

    async with talking(app) as ws:
        await ws.send_json(1)
        assert await ws.receive_json() == said(1)
    assert failures == ["serve: this connection is served already"] * 2


async def test_a_message_handler_cannot_serve_its_connection() -> None:
    app = App()

    @app.ws("/", dialect=STATUS)
    async def handler(n: int, ws: WebSocket) -> str:
        with pytest.raises(StateError) as caught:
            await ws.serve(handler)
        return str(caught.value)

    async with talking(app) as ws:
        await ws.send_json({"n": 1})
        assert await ws.receive_json() == said("serve: this connection is served already")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on_receive": 5}, "ws.serve on '/': expected a function, got 5"),
        (
            {"on_connect": App},
            "ws.serve on '/', App: expected a function, got a class; "
            "give it a function, or a method of an object",
        ),
        ({"dialect": Status}, "ws.serve on '/': dialect: expected an object, got the class Status"),
        ({"dialect": Typed()}, None),
    ],
    ids=["number", "class", "dialect class", "names"],
)
async def test_misuse_is_told_where_serve_is_called(options: Any, text: str | None) -> None:
    app = App()
    failures: list[str] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        try:
            await ws.serve(**{"on_receive": lambda data: data, "dialect": STATUS, **options})
        except RegistrationError as failure:
            failures.append(str(failure))
            await ws.accept()

    async with talking(app):
        pass
    assert [failure.startswith(text or "never") for failure in failures] == [True] * bool(text)


async def test_a_parameter_that_cannot_be_filled_is_refused_with_500_and_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        async def on_disconnect(other: str) -> None: ...

        await ws.serve(lambda data: data, on_disconnect=on_disconnect, dialect=STATUS)

    with pytest.raises(HandshakeRefused) as caught:
        async with talking(app):
            pass
    assert (caught.value.status, b"other" in caught.value.body) == (500, False)
    assert "on_disconnect: parameter 'other' (str) has nothing to be filled from" in caplog.text

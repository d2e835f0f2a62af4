"""Events, controllers, replies, requests, broadcast and threads are typed like plain functions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, assert_type

import msgspec

from wirework import (
    App,
    Call,
    Close,
    Controller,
    FirstMessage,
    Reply,
    Router,
    WebSocket,
    broadcast,
)
from wirework.dialects import Htmx, NamedSockets, Raw, State, Status, Typed
from wirework.replies import Created, NoContent, Ok


class Order(msgspec.Struct):
    item: str


class User(msgspec.Struct):
    name: str


async def user_of(token: str) -> User | None:
    return User(token)


async def limit(message: Call, ws: WebSocket, call_next: Callable[[Call], Awaitable[Any]]) -> Any:
    return await call_next(message)


async def untyped_next(message: Call, ws: WebSocket) -> None: ...


app = App(message_middleware=[limit], dialect=Typed(), auth=FirstMessage(user_of))
router = Router(message_middleware=(limit,), dialect=State(sanitise=False))
desk = app.events("/desk", dialect=Typed(flat=True, ready=True), middleware=[limit])

App(message_middleware=[untyped_next])  # type: ignore[list-item]
App(dialect="typed")  # type: ignore[arg-type]
App(dialect=Typed)  # type: ignore[arg-type]
App(auth=user_of)  # type: ignore[arg-type]
FirstMessage("token")  # type: ignore[arg-type]
FirstMessage(user_of, timeout="10")  # type: ignore[arg-type]
for dialect in (Htmx(), NamedSockets(), Raw("json"), Status(binary=True)):
    router.ws("/", dialect=dialect)


@desk.on("order.place", after=None)
async def place(order: Order, user: User) -> Reply:
    return Reply(order, status=201, name="placed", include={"item"}, then=Close(1000))


@desk.on("count")
async def count(n: int) -> AsyncIterator[int]:
    yield n


@desk.on_connect
async def on_connect(ws: WebSocket) -> None: ...


@desk.on_ready
def on_ready(user: User) -> dict[str, str]:
    return {"welcome": user.name}


@desk.on_disconnect
async def on_disconnect(code: int, reason: str) -> None: ...


@desk.before
async def before(message: Call) -> None: ...


@desk.after
async def after(result: Any, error: Exception | None) -> None: ...


@app.controller("/chat", dialect=Status())
class Chat(Controller):
    def __init__(self, limit: int) -> None:
        self.limit = limit

    async def on_receive(self, data: Order) -> Reply:
        assert_type(self.ws, WebSocket)
        await self.send(data)
        return Ok(data) if self.limit else NoContent()


@app.controller("/plain")
class Plain:  # type: ignore[type-var]
    async def on_receive(self, data: Order) -> None: ...


@router.controller()
class Rooms(Controller):
    @router.websocket("/raw")
    async def raw(self, ws: WebSocket) -> None:
        async def on_receive(order: Order) -> Reply:
            return Created(order)

        await ws.serve(on_receive, on_connect=self.hello, dialect=Status())
        await ws.serve(on_receive=on_receive, dialect=Typed)  # type: ignore[arg-type]

    async def hello(self) -> None: ...


async def calling(ws: WebSocket) -> None:
    """What was decorated is what it was."""
    assert_type(await place(Order("tea"), User("ada")), Reply)
    assert_type(on_ready(User("ada")), dict[str, str])
    assert_type(Chat(5), Chat)
    await place("tea", User("ada"))  # type: ignore[arg-type]
    async for number in count(1):
        assert_type(number, int)


async def asking(ws: WebSocket) -> None:
    """The answer to a request has the type that was asked for."""
    assert_type(await ws.request("guess"), Any)
    assert_type(await ws.request("guess", {"to": 3}, type=Order), Order)
    assert_type(await ws.request("guess", type=list[int], timeout=1), list[int])
    await ws.request("guess", Order("tea"), Order)  # type: ignore[call-overload]
    await ws.request(5)  # type: ignore[call-overload]
    await ws.send_event("tick", {"any": "value"})
    await ws.send_event()  # type: ignore[call-arg]


async def telling(ws: WebSocket, sockets: set[WebSocket]) -> None:
    """Broadcasts count; a thread gets what the call returns."""
    assert_type(await broadcast(sockets, Order("tea"), name="tick", skip=ws), int)
    await broadcast(ws, 1)  # type: ignore[arg-type]
    assert_type(app.from_thread(broadcast, sockets, 1), int)
    assert_type(app.from_thread(user_of, "token", timeout=1.0), User | None)
    app.from_thread(on_ready, User("ada"))  # type: ignore[arg-type]


def replying() -> None:
    """Replies are checked as far as types go."""
    Reply(1, status="200")  # type: ignore[arg-type]
    Reply(1, then=1000)  # type: ignore[arg-type]
    NoContent(1)  # type: ignore[call-arg]
    assert_type(Call(b"{}").name, str)

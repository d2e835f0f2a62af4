"""Decorators give the function back as it is, so that it can be called and checked elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, assert_type

import msgspec

from wirework import App, Close, Depends, Query, Reject, Router, Send, Session, WebSocket

app = App(secret_key="k")
router = Router(prefix="/more")


class Order(msgspec.Struct):
    item: str


async def get_db() -> AsyncIterator[dict[str, int]]:
    yield {}


@app.websocket("/rooms/{room:int}", name="room")
async def room(ws: WebSocket, room: int, limit: Annotated[int, Query()] = 5) -> None:
    assert_type(ws.session, Session)
    assert_type(ws.close_code, int | None)


@app.ws("/orders")
async def place(order: Order, db: Annotated[dict[str, int], Depends(get_db)]) -> Order | Close:
    assert_type(db, dict[str, int])
    return order


@router.ws("/count")
async def count(n: int, send: Send) -> AsyncIterator[int]:
    await send({"any": "value"})
    yield n


@router.get("/page")
def page() -> str:
    return "page"


@router.post("/orders")
async def post(order: Order) -> Order:
    return order


@app.exception_handler(KeyError)
async def missing(connection: Any, error: KeyError) -> None:
    raise Reject("missing", str(error))


async def calling(ws: WebSocket) -> None:
    await room(ws, 7)
    await room(ws, "7")  # type: ignore[arg-type]
    assert_type(await place(Order("chair"), {}), Order | Close)
    assert_type(page(), str)
    assert_type(await post(Order("chair")), Order)
    await post("chair")  # type: ignore[arg-type]


app.include(router)
app.include("router")  # type: ignore[arg-type]
app.ws("/x", concurrency="2")  # type: ignore[arg-type]

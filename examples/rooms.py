"""Rooms: path parameters, query parameters and headers of the handshake."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import Annotated

from htpy import Element

from examples.page import STATIC, page
from wirework import App, ConnectionClosed, Header, Query, Router, WebSocket

router = Router()
rooms: defaultdict[int, set[WebSocket]] = defaultdict(set)


@router.get("/")
async def index() -> Element:
    hint = "Open this page in two tabs, join the same room with two names, and talk."
    return page("rooms", "Rooms", hint)


@router.websocket("/rooms/{room_id:int}")
async def room(
    ws: WebSocket,
    room_id: int,
    name: Annotated[str, Query()] = "",
    x_client_name: Annotated[str, Header()] = "stranger",
) -> None:
    """Browsers cannot set headers, so pages say `?name=`; programs may send `X-Client-Name`."""
    await ws.accept()
    who = name or x_client_name
    rooms[room_id].add(ws)
    try:
        await tell(room_id, f"{who} joined room {room_id}")
        async for text in ws.iter_text():
            await tell(room_id, f"{who}: {text}")
    finally:
        rooms[room_id].discard(ws)
        await tell(room_id, f"{who} left")
        if not rooms[room_id]:
            del rooms[room_id]


async def tell(room_id: int, text: str) -> None:
    for member in list(rooms[room_id]):
        with suppress(ConnectionClosed):
            await member.send_text(text)


app = App()
app.include(router)
app.mount("/static", STATIC)

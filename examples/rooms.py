"""Rooms: path, query and headers of the handshake; each room is a channel."""

from __future__ import annotations

from typing import Annotated

from htpy import Element

from examples.page import STATIC, page
from wirework import App, Header, Query, Router, WebSocket

router = Router()


def add_channels(app: App) -> None:
    app.channel("room:{number:int}", model=str)


@router.get("/")
async def index() -> Element:
    hint = "Open this page in two tabs, join the same room with two names, and talk."
    return page("rooms", "Rooms", hint)


@router.websocket("/rooms/{room_id:int}")
async def room(
    ws: WebSocket,
    app: App,
    room_id: int,
    name: Annotated[str, Query()] = "",
    x_client_name: Annotated[str, Header()] = "stranger",
) -> None:
    """Browsers cannot set headers, so pages say `?name=`; programs may send `X-Client-Name`."""
    await ws.accept()
    who = name or x_client_name
    here = app.channel_named(f"room:{room_id}")
    await here.subscribe(ws)  # until it ends
    await here.publish(f"{who} joined room {room_id}")
    try:
        async for text in ws.iter_text():
            await here.publish(f"{who}: {text}")
    finally:
        await here.publish(f"{who} left")


app = App()
app.include(router)
app.mount("/static", STATIC)
add_channels(app)

"""Broadcast: a plain set of connections. Right for one process; channels go further."""

from __future__ import annotations

from contextlib import suppress

from htpy import Element

from examples.page import STATIC, page
from wirework import App, ConnectionClosed, Router, WebSocket

router = Router()
connections: set[WebSocket] = set()


@router.get("/")
async def index() -> Element:
    hint = "Open this page in several tabs: what one says, all the others hear."
    return page("broadcast", "Broadcast", hint)


@router.websocket("/ws")
async def broadcast(ws: WebSocket) -> None:
    await ws.accept()
    connections.add(ws)
    try:
        async for text in ws.iter_text():
            for other in list(connections):
                if other is not ws:
                    with suppress(ConnectionClosed):
                        await other.send_text(text)  # never waits for a slow peer
    finally:
        connections.discard(ws)


app = App()
app.include(router)
app.mount("/static", STATIC)

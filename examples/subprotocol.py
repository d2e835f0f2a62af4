"""Subprotocols: client and server agree on how they will talk before they do."""

from __future__ import annotations

from htpy import Element

from examples.page import STATIC, page
from wirework import App, Router, WebSocket

KNOWN = ("chat.v2", "chat.v1")

router = Router()


@router.get("/")
async def index() -> Element:
    hint = "Choose what the page offers, connect, and see what the server picks and how it answers."
    return page("subprotocol", "Subprotocol", hint)


@router.websocket("/ws")
async def chat(ws: WebSocket) -> None:
    chosen = next((each for each in KNOWN if each in ws.handshake.subprotocols), None)
    if chosen is None:
        await ws.refuse(400, f"offer one of {', '.join(KNOWN)}")
        return
    await ws.accept(subprotocol=chosen)
    async for text in ws.iter_text():
        if chosen == "chat.v2":
            await ws.send_json({"text": text, "length": len(text)})
        else:
            await ws.send_text(text)


app = App()
app.include(router)
app.mount("/static", STATIC)

"""Echo: every message comes back."""

from __future__ import annotations

from htpy import Element

from examples.page import STATIC, page
from wirework import App, Router, WebSocket

router = Router()


@router.get("/")
async def index() -> Element:
    return page("echo", "Echo", "Type something and press Enter: it comes back.")


@router.websocket("/ws")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(f"echo: {text}")


app = App()
app.include(router)
app.mount("/static", STATIC)

"""Guard: closing with intent. Codes tell a program what to do next, reasons tell people why."""

from __future__ import annotations

from htpy import Element

from examples.page import STATIC, page
from wirework import App, Refuse, Router, WebSocket

ENDS = {
    "quit": (1000, "bye"),
    "busy": (1013, "come back later"),
    "secret": (4403, "not for you"),
}

router = Router()


@router.get("/")
async def index() -> Element:
    hint = (
        "Each button makes the connection end in another way; the code and the reason appear above."
    )
    return page("guard", "Guard", hint)


@router.websocket("/ws")
async def guard(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():  # a binary frame ends it with 1003, a huge one with 1009
        if text in ENDS:
            code, reason = ENDS[text]
            await ws.close(code, reason)
            return
        if text == "crash":
            raise RuntimeError("on purpose: the log has this text, the page sees 1011 only")
        await ws.send_text(f"ok: {text}")


@router.websocket("/door")
async def door(ws: WebSocket) -> None:
    raise Refuse(403, "closed")  # before accept: an HTTP answer, which browsers report as 1006


app = App()
app.include(router)
app.mount("/static", STATIC)

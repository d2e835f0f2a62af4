"""Caspian: a socket of your own, typed envelopes, named sockets; PulsePoint in the browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import msgspec
from htpy import Element, a, nav

from examples import pulsepoint
from examples.page import STATIC, page
from wirework import App, Reject, Reply, Router, WebSocket, broadcast
from wirework.dialects import NamedSockets, Typed

router = Router()
members: set[WebSocket] = set()
guests: set[WebSocket] = set()


# --- a socket of your own -------------------------------------------------------------------------


class Payload(msgspec.Struct):
    message: str = ""


@router.websocket("/ws/live")  # the origin was checked: the page's own, or one of allowed_origins
async def live_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    async for payload in websocket.iter_json(Payload):
        await websocket.send_json({"type": "echo", "message": payload.message})


# --- typed envelopes ------------------------------------------------------------------------------

envelopes = router.events("/ws/typed", dialect=Typed(flat=True, ready=True))


@envelopes.on_ready
async def join(ws: WebSocket) -> dict[str, int]:
    members.add(ws)
    return {"members": len(members)}


@envelopes.on("message")
async def say(text: str, ws: WebSocket) -> Reply:
    if not text.strip():
        raise Reject("empty", "Say something.")
    await broadcast(members, {"text": text}, name="message", skip=ws)
    return Reply({"text": text}, name="echo")


@envelopes.on_disconnect
async def leave(ws: WebSocket) -> None:
    members.discard(ws)


# --- named sockets --------------------------------------------------------------------------------

named = Router()  # without the prefix of the demo: pp.socket knows one path only
sockets = named.events("/__pulsepoint/ws", dialect=NamedSockets())


@sockets.on("room")
async def room(name: Annotated[str, msgspec.Meta(min_length=1)], ws: WebSocket) -> None:
    guests.add(ws)
    try:
        async for text in ws.iter_json(str):
            await broadcast(guests, {"name": name, "text": text})
    finally:
        guests.discard(ws)


@sockets.on("countdown")
async def countdown(start: int = 3) -> AsyncIterator[int]:
    for number in range(start, 0, -1):
        yield number


# --- the pages ------------------------------------------------------------------------------------

HINT = "Switch between the three: PulsePoint leaves the page, and its cleanup closes the socket."
PAGES = {"live": "./", "typed": "typed", "named": "named"}

for each in PAGES:
    pulsepoint.load(f"caspian_{each}")


@router.get("/")
async def live_page() -> Element:
    return show("live")


@router.get("/typed")
async def typed_page() -> Element:
    return show("typed")


@router.get("/named")
async def named_page() -> Element:
    return show("named")


def show(chosen: str) -> Element:
    template = f"caspian_{chosen}"
    return page(
        "caspian",
        "Caspian",
        HINT,
        nav(".tabs", aria_label="Kind of socket")[tabs(chosen)],
        pulsepoint.component(template),
        scripts=pulsepoint.start(),
        sources=[f"pages/{template}.html", "pulsepoint.py"],
    )


def tabs(chosen: str) -> Iterator[Element]:
    for name, path in PAGES.items():
        yield a(href=path, aria_current="page" if name == chosen else None)[name]


app = App(max_message_size=4096, idle_timeout=120)
app.include(router)
app.include(named)
app.include(pulsepoint.router)
app.mount("/static", STATIC)

"""FastAPI with Wirework beside it: one process, one session, routes here and sockets there."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel

from examples.page import STATIC, page
from wirework import App, ConnectionClosed, Router, Session, WebSocket

api = FastAPIOffline(title="FastAPI beside Wirework")  # FastAPI whose /docs need no internet
router = Router()
listeners: set[WebSocket] = set()


class Announcement(BaseModel):
    text: str


@api.get("/", include_in_schema=False)
async def index(request: Request) -> HTMLResponse:
    hint = "Tell FastAPI your name and the socket knows it; announce over HTTP and all tabs hear."
    return HTMLResponse(str(page("fastapi_beside", "FastAPI beside", hint)))


@api.post("/name")
async def give_name(request: Request, name: Annotated[str, Form()]) -> RedirectResponse:
    request.session["name"] = name
    return RedirectResponse("./", 303)


@api.post("/announce")
async def announce(announcement: Announcement) -> dict[str, int]:
    for listener in list(listeners):
        with suppress(ConnectionClosed):
            await listener.send_text(f"announced: {announcement.text}")
    return {"listeners": len(listeners)}


@router.websocket("/ws")
async def talk(ws: WebSocket, session: Session) -> None:
    await ws.accept()
    name = session.get("name", "stranger")
    listeners.add(ws)
    try:
        await ws.send_text(f"hello {name}")
        async for text in ws.iter_text():
            await ws.send_text(f"{name}: {text}")
    finally:
        listeners.discard(ws)


api.mount("/static", STATIC)
app = App(http=api, secret_key="for this example only: keep yours out of the code")
app.include(router)

"""Chat with HTMX: log in over HTTP, talk over WebSockets; htmx 2 and 4 meet in one room."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Annotated

from htpy import Element, b, button, div, form, input, li, ol, p, script, span
from starlette.responses import RedirectResponse

from examples import htmx
from examples.page import STATIC, page
from wirework import (
    App,
    Close,
    ConnectionClosed,
    Depends,
    Reject,
    Router,
    Session,
    WebSocket,
)
from wirework.dialects import Fragment, Htmx

router = Router()
members: set[WebSocket] = set()
lines: deque[Element] = deque(maxlen=100)


# --- over HTTP ------------------------------------------------------------------------------------


@router.get("/")
async def index(
    session: Session, version: Annotated[htmx.Version, Depends(htmx.chosen)]
) -> Element:
    return page(
        "htmx_chat",
        "HTMX chat",
        "Open this page in two tabs, one with htmx 2 and one with htmx 4, and talk.",
        room(session["name"], version) if "name" in session else login_form(),
        scripts=version.scripts,
    )


@router.post("/login")
async def log_in(session: Session, name: str) -> RedirectResponse:
    if name.strip():
        session["name"] = name.strip()[:20]
    return RedirectResponse("./", 303)


@router.post("/logout")
async def log_out(session: Session) -> RedirectResponse:
    session.clear()
    return RedirectResponse("./", 303)


def login_form() -> Element:
    return form("#login", action="login", method="post")[
        input(
            name="name",
            aria_label="Your name",
            placeholder="Your name",
            maxlength="20",
            autocomplete="nickname",
            required=True,
            autofocus=True,
        ),
        button["Log in"],
    ]


def room(name: str, version: htmx.Version) -> list[Element]:
    return [
        div(".bar")[
            version.links,
            form(action="logout", method="post")[
                span[b[name]],
                button(".quiet")["Log out"],
            ],
        ],
        div("#chat", version.connect())[
            ol("#messages.messages"),
            form(version.send, id="form", onsubmit="setTimeout(() => this.reset())")[
                input(
                    name="text",
                    aria_label="Message",
                    placeholder="Say something",
                    maxlength="500",
                    autocomplete="off",
                    autofocus=True,
                ),
                button["Send"],
            ],
            p("#ws-error.bad", role="alert"),
        ],
        script(src="/static/follow.js"),
    ]


# --- over WebSockets ------------------------------------------------------------------------------


async def join(ws: WebSocket, session: Session) -> Element:
    if "name" not in session:
        raise Close(4401, "log in first")
    await ws.accept()  # from here on `leave` will run
    members.add(ws)
    return ol("#messages.messages")[lines]  # whoever comes, or comes back, gets what was said


async def leave(ws: WebSocket) -> None:
    members.discard(ws)


@router.ws("/ws", conn=join, disconn=leave, dialect=Htmx())
async def say(text: str, session: Session) -> None:
    if not text.strip():
        raise Reject("empty", "Say something.")
    line = li[b[session["name"]], span[text.strip()[:500]]]  # htpy escapes what people write
    lines.append(line)
    for member in list(members):
        with suppress(ConnectionClosed):
            await member.send(Fragment(line, target="#messages", swap="beforeend"))


app = App(secret_key="for this example only: keep yours out of the code")
app.include(router)
app.include(htmx.router)
app.mount("/static", STATIC)

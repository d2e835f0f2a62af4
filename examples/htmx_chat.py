"""Chat with HTMX: log in over HTTP, talk over WebSockets; htmx 2 and 4 meet in one channel."""

from __future__ import annotations

from typing import Annotated

from htpy import Element, b, button, div, form, input, li, ol, p, script, span
from markupsafe import Markup

from examples import htmx
from examples.login import add_login, login_form, logout_form
from examples.page import STATIC, page
from wirework import App, Close, Depends, History, Reject, Router, Session, WebSocket
from wirework.dialects import Fragment, Htmx

router = Router()


def add_channels(app: App) -> None:
    """Channels are an application's: this example's own, and the demo."""
    app.channel("chat", history=History(size=100, ttl=24 * 3600))


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


add_login(router)


def room(name: str, version: htmx.Version) -> list[Element]:
    return [
        div(".bar")[version.links, logout_form(name)],
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


async def join(ws: WebSocket, session: Session, app: App) -> None:
    """Whoever comes, or comes back, gets what was said, and then all that follows it."""
    if "name" not in session:
        raise Close(4401, "log in first")
    await ws.accept()
    chat = app.channel_named("chat")
    beginning = await chat.position()
    said = await chat.history()
    await ws.send(ol("#messages.messages")[[Markup(each.data["html"]) for each in said]])
    await chat.subscribe(ws, since=said[-1].position if said else beginning)


@router.ws("/ws", conn=join, dialect=Htmx())
async def say(text: str, session: Session, app: App) -> None:
    if not text.strip():
        raise Reject("empty", "Say something.")
    line = li[b[session["name"]], span[text.strip()[:500]]]  # htpy escapes what people write
    await app.publish("chat", Fragment(line, target="#messages", swap="beforeend"))


app = App(secret_key="for this example only: keep yours out of the code")
app.include(router)
app.include(htmx.router)
app.mount("/static", STATIC)
add_channels(app)

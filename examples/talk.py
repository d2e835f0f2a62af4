"""A chat that misses nothing: who comes back gets what was said meanwhile, or is told otherwise."""

from __future__ import annotations

from typing import Annotated

import msgspec
from htpy import Element, Node, div, script
from markupsafe import Markup

from examples.login import add_login, login_form, logout_form
from examples.page import HERE, STATIC, page
from wirework import App, History, Reject, Router, Session, SessionUser
from wirework.dialects import Typed

router = Router()
add_login(router)


class Said(msgspec.Struct):
    """What a page publishes."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Line(msgspec.Struct):
    """What everybody gets, and what is kept."""

    name: str
    text: str


def add_channels(app: App) -> None:
    talk = app.channel("talk", model=Line, history=History(size=50, ttl=3600))
    talk.on_subscribe(listen)
    talk.on_publish(say)


async def listen(user: str) -> bool:
    return True


async def say(said: Said, user: str) -> Line:
    if not said.text.strip():
        raise Reject("empty", "Say something.")
    return Line(user, said.text.strip())


router.events("/ws", dialect=Typed(), auth=SessionUser(key="name", refuse="close"))


@router.get("/")
async def index(session: Session) -> Element:
    return page(
        "talk",
        "Channel chat",
        "Talk in two tabs, then take one of them off the network for a while: it misses nothing.",
        desk(session["name"]) if "name" in session else login_form(),
        sources=["pages/talk.html", "static/channels.js"],
    )


def desk(name: str) -> list[Node]:
    return [
        div(".bar")[div, logout_form(name)],
        script(src="/static/channels.js"),
        Markup((HERE / "pages/talk.html").read_text("utf-8")),
    ]


app = App(secret_key="for this example only: keep yours out of the code")
app.include(router)
app.mount("/static", STATIC)
add_channels(app)

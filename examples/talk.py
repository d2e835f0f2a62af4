"""A chat that misses nothing: who comes back gets what was said meanwhile, or is told otherwise."""

from __future__ import annotations

from typing import Annotated

import msgspec
from htpy import Element, Node, div, script
from markupsafe import Markup

from examples import centrifugo, npm
from examples.login import add_login, login_form, logout_form
from examples.page import HERE, STATIC, page
from wirework import App, History, Refuse, Reject, Router, Session

router = Router()
add_login(router)


class Said(msgspec.Struct):
    """What a page says, once: when it tries again, `id` is the same."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]{1,64}$")]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Line(msgspec.Struct):
    """What everybody gets, and what is kept."""

    name: str
    text: str


def add_channels(app: App) -> None:
    talk = app.channel("talk", model=Line, history=History(size=50, ttl=3600))
    talk.on_subscribe(listen)


async def listen(user: str) -> bool:
    return True


@centrifugo.live.on("talk.say", requires="talk")
async def say(said: Said, user: str, app: App) -> None:
    """A client's own `publish` has no key that keeps it from being repeated; this one has."""
    if not said.text.strip():
        raise Reject("empty", "Say something.")
    line = Line(user, said.text.strip())
    await app.publish("talk", line, idempotency_key=f"{said.id} {user}")


@router.post("/token")
async def token(session: Session) -> dict[str, str]:
    if "name" not in session:
        raise Refuse(401, "log in first")
    return {"token": centrifugo.new_token(session["name"])}


FILES = ("centrifuge.js",)


@router.get("/")
async def index(session: Session) -> Element:
    return page(
        "talk",
        "Channel chat",
        "Talk in two tabs, then take one of them off the network for a while: it misses nothing.",
        npm.missing(*FILES) or (desk(session["name"]) if "name" in session else login_form()),
        scripts=npm.scripts(*FILES),
        sources=["pages/talk.html", "static/follow_channel.js", "centrifugo.py"],
    )


def desk(name: str) -> list[Node]:
    return [
        div(".bar")[div, logout_form(name)],
        script(src="/static/follow_channel.js"),
        Markup((HERE / "pages/talk.html").read_text("utf-8")),
    ]


app = App(secret_key="for this example only: keep yours out of the code")
app.include(router)
app.include(centrifugo.router)
app.include(npm.router)
app.mount("/static", STATIC)
add_channels(app)

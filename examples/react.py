"""React: each open table is a component that subscribes to a channel, and lets go of it again."""

from __future__ import annotations

from typing import Annotated

import msgspec
from htpy import Element
from markupsafe import Markup

from examples import centrifugo, npm
from examples.page import HERE, STATIC, page
from wirework import App, History, Router

router = Router()


class Line(msgspec.Struct):
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] = "Guest"


def add_channels(app: App) -> None:
    table = app.channel(
        "table:{name}", model=Line, history=History(size=20, ttl=3600), presence=True
    )
    table.on_subscribe(sit_down)
    table.on_publish(say)


async def sit_down(name: str) -> bool:
    return name in ("window", "stove", "terrace")


async def say(line: Line) -> Line:
    return line


FILES = ("centrifuge.js", "react.js", "htm.js")


@router.get("/")
async def index() -> Element:
    return page(
        "react",
        "React",
        "Open and close tables, in two tabs: a table that is closed is left.",
        npm.missing(*FILES) or Markup((HERE / "pages/react.html").read_text("utf-8")),
        scripts=npm.scripts(*FILES),
        sources=["pages/react.html", "static/hooks.js", "static/follow_channel.js", "npm.py"],
    )


app = App()
app.include(router)
app.include(centrifugo.router)
app.include(npm.router)
app.mount("/static", STATIC)
add_channels(app)

"""Cursors: everybody sees where everybody points, and who comes and goes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from htpy import Element
from markupsafe import Markup

from examples import centrifugo, npm
from examples.page import HERE, STATIC, page
from wirework import Allow, App, History, Post, Router, WebSocket

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

router = Router()


class Point(msgspec.Struct):
    """Where somebody points, in shares of the field's width and height."""

    x: Share
    y: Share


def add_channels(app: App) -> None:
    """The newest point of each counts: a slow page gets that, and none of those before."""
    cursors = app.channel(
        "cursors", model=Point, mode="latest", history=History(size=500, ttl=60), presence=True
    )
    cursors.on_subscribe(enter)
    cursors.on_publish(move)


async def enter(name: Name, ws: WebSocket) -> Allow:
    return Allow(info={"name": name})  # what others see of it


async def move(point: Point, ws: WebSocket) -> Post:
    return Post(point, key=ws.id, to_sender=False)


FILES = ("centrifuge.js",)


@router.get("/")
async def index() -> Element:
    return page(
        "cursors",
        "Cursors",
        "Open this page in two tabs side by side and move the pointer over the field.",
        npm.missing(*FILES) or Markup((HERE / "pages/cursors.html").read_text("utf-8")),
        scripts=npm.scripts(*FILES),
        sources=["pages/cursors.html", "centrifugo.py"],
    )


app = App()
app.include(router)
app.include(centrifugo.router)
app.include(npm.router)
app.mount("/static", STATIC)
add_channels(app)

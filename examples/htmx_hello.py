"""Hello with HTMX: a form goes up, two elements come down and find their place by id."""

from __future__ import annotations

import asyncio
from typing import Annotated

from htpy import Element, button, div, form, input

from examples import htmx
from examples.page import STATIC, page
from wirework import App, Depends, Router, Send
from wirework.dialects import Htmx

router = Router()


@router.get("/")
async def index(version: Annotated[htmx.Version, Depends(htmx.chosen)]) -> Element:
    return page(
        "htmx_hello",
        "HTMX hello",
        "Type your name and press Enter: the server says hello, and soon goodbye.",
        version.links,
        div(version.connect())[
            form(version.send, id="form", onsubmit="setTimeout(() => this.reset())")[
                input(name="msg", aria_label="Name", placeholder="Your name", autocomplete="off"),
                button["Send"],
            ],
            div("#notifications.answer"),
        ],
        scripts=version.scripts,
    )


@router.ws("/ws", dialect=Htmx())
async def on_message(msg: str, send: Send) -> Element:
    await send(div(id="notifications")["Hello ", msg])
    await asyncio.sleep(1)
    return div(id="notifications")["Goodbye ", msg]


app = App()
app.include(router)
app.include(htmx.router)
app.mount("/static", STATIC)

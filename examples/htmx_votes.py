"""Votes with HTMX: two sockets on one page, and a push that no form has asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from htpy import Element, b, button, div, form, input, meter, p, span

from examples import htmx
from examples.page import STATIC, page
from wirework import App, Depends, Router, WebSocket, broadcast
from wirework.dialects import Htmx

router = Router()
visitors: set[WebSocket] = set()
voters: set[WebSocket] = set()
votes = {"tea": 0, "coffee": 0}


@router.get("/")
async def index(version: Annotated[htmx.Version, Depends(htmx.chosen)]) -> Element:
    return page(
        "htmx_votes",
        "HTMX votes",
        "Open this page in two tabs: both count the visitors, and see each other's votes.",
        version.links,
        div(version.connect("visitors"), id="here")[here()],
        div(version.connect("votes"), id="poll")[
            div(".bar")[(ballot(choice, version) for choice in votes)],
            result(),
            p("#ws-error.bad", role="alert"),
        ],
        form(action="reset", method="post", class_="note")[button(".quiet")["Count anew"]],
        scripts=version.scripts,
    )


def ballot(choice: str, version: htmx.Version) -> Element:
    return form(version.send)[
        input(type="hidden", name="choice", value=choice), button[f"I like {choice}"]
    ]


def here() -> Element:
    return p("#visitors.hint")[b[len(visitors)], " here now"]


def result() -> Element:
    most = max(1, *votes.values())
    lines = [
        p[span[f"{choice}: {count} "], meter(max=most, value=count)]
        for choice, count in votes.items()
    ]
    return div("#result.answer")[lines]  # a list: a generator could be rendered only once


# --- pushed without a form ------------------------------------------------------------------------


async def arrive(ws: WebSocket) -> None:
    await ws.accept()  # from here on `leave` will run
    visitors.add(ws)
    await broadcast(visitors, here())


async def leave(ws: WebSocket) -> None:
    visitors.discard(ws)
    await broadcast(visitors, here())


@router.ws("/visitors", conn=arrive, disconn=leave, dialect=Htmx())
async def quiet() -> None: ...


@router.post("/reset")
async def reset() -> None:
    votes.update(dict.fromkeys(votes, 0))
    await broadcast(voters, result())


# --- a form of its own ----------------------------------------------------------------------------


async def enter(ws: WebSocket) -> Element:
    await ws.accept()
    voters.add(ws)
    return result()


async def go(ws: WebSocket) -> None:
    voters.discard(ws)


@router.ws("/votes", conn=enter, disconn=go, dialect=Htmx())
async def vote(choice: Literal["tea", "coffee"]) -> None:
    votes[choice] += 1
    await broadcast(voters, result())  # encoded once for htmx 2, once for htmx 4


app = App()
app.include(router)
app.include(htmx.router)
app.mount("/static", STATIC)

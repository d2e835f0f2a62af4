"""VelociPy's game: typed moves come in as JSON and are acknowledged, positions go out as bytes."""

from __future__ import annotations

import itertools
import random
import struct
from typing import Annotated

import msgspec
from htpy import Element

from examples.page import STATIC, page
from wirework import App, Router, WebSocket, broadcast

WIDTH, HEIGHT = 480, 320

router = Router()
numbers = itertools.count(1)
ticks = itertools.count(1)


class Move(msgspec.Struct):
    """What a player sends; anything that does not fit ends the connection with 1007."""

    x: Annotated[int, msgspec.Meta(ge=0, le=WIDTH)]
    y: Annotated[int, msgspec.Meta(ge=0, le=HEIGHT)]


class Player(msgspec.Struct):
    number: int
    at: Move


players: dict[WebSocket, Player] = {}


@router.get("/")
async def index() -> Element:
    hint = (
        "Open this page in two tabs. Drag your dot, or use the arrow keys: the other tab sees it."
    )
    return page("game", "Game", hint)


@router.websocket("/ws")
async def game(ws: WebSocket) -> None:
    await ws.accept()
    start = Move(random.randrange(WIDTH), random.randrange(HEIGHT))
    player = players[ws] = Player(next(numbers) % 65_536, start)
    try:
        await ws.send_json({"you": player.number, "width": WIDTH, "height": HEIGHT})
        await show()
        async for move in ws.iter_json(Move):
            player.at = move
            await ws.send_json({"ack": move, "tick": next(ticks)})
            await show()
    finally:
        del players[ws]
        await show()


async def show() -> None:
    """Send everybody all positions: three unsigned 16-bit numbers for each player."""
    frame = b"".join(struct.pack(">HHH", p.number, p.at.x, p.at.y) for p in players.values())
    await broadcast(players, frame)  # one frame for all; never waits for a slow player


app = App()
app.include(router)
app.mount("/static", STATIC)

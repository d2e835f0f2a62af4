"""Wirework, events with the typed dialect."""

import msgspec

from bench.peers.messages import Move, Moved, answer
from wirework import App, WebSocket, broadcast
from wirework.dialects import Typed

app = App()
people: set[WebSocket] = set()
desk = app.events("/desk", dialect=Typed())


class Said(msgspec.Struct):
    text: str


@desk.on("echo")
async def echo(said: Said) -> Said:
    return said


@desk.on("json")
async def json(move: Move) -> Moved:
    return answer(move)


@desk.on("fanout")
async def fanout(said: Said) -> None:
    await broadcast(people, said, name="fanout")


@desk.on_ready
async def join(ws: WebSocket) -> None:
    people.add(ws)


@desk.on_disconnect
async def leave(ws: WebSocket) -> None:
    people.discard(ws)

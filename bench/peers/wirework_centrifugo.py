"""Wirework, Centrifugo's protocol: an rpc, and a fan-out through a channel."""

from bench.peers.messages import Move, Moved, answer
from wirework import App, WebSocket
from wirework.dialects import Centrifugo

app = App()
live = app.events("/live", dialect=Centrifugo())
crowd = app.events("/crowd", dialect=Centrifugo())
everybody = app.channel("everybody")


@live.on("json")
async def json(move: Move) -> Moved:
    return answer(move)


@live.on("echo")
async def echo(text: str) -> str:
    return text


@crowd.on_ready
async def join(ws: WebSocket) -> None:
    await everybody().subscribe(ws)


@crowd.on("send")
async def say(text: str) -> None:
    await everybody().publish(text)

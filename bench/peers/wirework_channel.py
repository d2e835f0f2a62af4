"""Wirework, message handlers: a fan-out through a channel instead of a set of sockets."""

from bench.peers.messages import Move, Moved, answer
from wirework import App, WebSocket

app = App()
everybody = app.channel("everybody")


@app.ws("/echo")
async def echo(msg: str) -> str:
    return msg


@app.ws("/json")
async def json(move: Move) -> Moved:
    return answer(move)


async def join(ws: WebSocket) -> None:
    await everybody().subscribe(ws)


@app.ws("/fanout", conn=join)
async def fanout(msg: str) -> None:
    await everybody().publish(msg)

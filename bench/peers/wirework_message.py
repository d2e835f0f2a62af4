"""Wirework, message handlers."""

from bench.peers.messages import Move, Moved, answer
from wirework import App, WebSocket, broadcast

app = App()
people: set[WebSocket] = set()


@app.ws("/echo")
async def echo(msg: str) -> str:
    return msg


@app.ws("/json")
async def json(move: Move) -> Moved:
    return answer(move)


async def joined(ws: WebSocket) -> None:
    people.add(ws)


async def left(ws: WebSocket) -> None:
    people.discard(ws)


@app.ws("/fanout", conn=joined, disconn=left)
async def fanout(msg: str) -> None:
    await broadcast(people, msg)

"""Litestar."""

from litestar import Litestar, WebSocket, websocket_listener
from litestar.dto import MsgspecDTO

from bench.peers.messages import Move, Moved, answer

people: set[WebSocket] = set()


@websocket_listener("/echo")
async def echo(data: str) -> str:
    return data


@websocket_listener("/json", dto=MsgspecDTO[Move], return_dto=MsgspecDTO[Moved])
async def json(data: Move) -> Moved:
    return answer(data)


async def joined(socket: WebSocket) -> None:
    people.add(socket)


async def left(socket: WebSocket) -> None:
    people.discard(socket)


@websocket_listener("/fanout", on_accept=joined, on_disconnect=left)
async def fanout(data: str) -> None:
    for other in list(people):
        await other.send_text(data)


app = Litestar([echo, json, fanout], openapi_config=None)

"""Starlette."""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.peers.messages import answer, decode, encode

people: set[WebSocket] = set()


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


async def json(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(encode(answer(decode(text))).decode())


async def fanout(ws: WebSocket) -> None:
    await ws.accept()
    people.add(ws)
    try:
        while True:
            text = await ws.receive_text()
            for other in list(people):
                await other.send_text(text)
    except WebSocketDisconnect:
        pass
    finally:
        people.discard(ws)


app = Starlette(
    routes=[
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/json", json),
        WebSocketRoute("/fanout", fanout),
    ]
)

"""Wirework, connection handlers."""

from bench.peers.messages import Move, answer
from wirework import App, WebSocket, broadcast

app = App()
people: set[WebSocket] = set()


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for text in ws.iter_text():
        await ws.send_text(text)


@app.websocket("/json")
async def json(ws: WebSocket) -> None:
    await ws.accept()
    async for move in ws.iter_json(Move):
        await ws.send_json(answer(move))


@app.websocket("/fanout")
async def fanout(ws: WebSocket) -> None:
    await ws.accept()
    people.add(ws)
    try:
        async for text in ws.iter_text():
            await broadcast(people, text)
    finally:
        people.discard(ws)

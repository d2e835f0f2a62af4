"""VelociPy."""

import msgspec
from velocipy import VelociPy, WebSocket

from bench.peers.messages import Move, answer

app = VelociPy()
people: set[WebSocket] = set()


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text(await ws.receive_text())
    except Exception:
        await ws.close()


@app.websocket("/json")
async def json(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            move = msgspec.convert(await ws.receive_json(), Move)
            await ws.send_json(msgspec.to_builtins(answer(move)))
    except Exception:
        await ws.close()


@app.websocket("/fanout")
async def fanout(ws: WebSocket) -> None:
    await ws.accept()
    people.add(ws)
    try:
        while True:
            message = await ws.receive_text()
            for other in list(people):
                if not other.closed:
                    await other.send_text(message)
    except Exception:
        await ws.close()
    finally:
        people.discard(ws)

"""FastAPI."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

app = FastAPI()
people: set[WebSocket] = set()


class Move(BaseModel):
    x: int
    y: int
    text: str


class Moved(BaseModel):
    sum: int
    text: str


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


@app.websocket("/json")
async def json(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        move = Move.model_validate_json(text)
        moved = Moved(sum=move.x + move.y, text=move.text)
        await websocket.send_text(moved.model_dump_json())


@app.websocket("/fanout")
async def fanout(websocket: WebSocket) -> None:
    await websocket.accept()
    people.add(websocket)
    try:
        while True:
            text = await websocket.receive_text()
            for other in list(people):
                await other.send_text(text)
    except WebSocketDisconnect:
        people.discard(websocket)

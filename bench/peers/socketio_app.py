"""python-socketio."""

import msgspec
import socketio

from bench.peers.messages import Move, answer

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])
app = socketio.ASGIApp(sio)


@sio.event
async def echo(sid: str, text: str) -> None:
    await sio.emit("echo", text, to=sid)


@sio.event
async def move(sid: str, data: dict) -> None:
    moved = answer(msgspec.convert(data, Move))
    await sio.emit("moved", msgspec.to_builtins(moved), to=sid)


@sio.event
async def publish(sid: str, text: str) -> None:
    await sio.emit("said", text)

"""python-socketio, with its Redis manager where there is a Redis."""

import os

import socketio

url = os.environ.get("BROKER_URL")
# redis-py 8 gives up after 5 s without a message.
options = {"socket_timeout": None}
manager = socketio.AsyncRedisManager(url, redis_options=options) if url else None
sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], client_manager=manager)
app = socketio.ASGIApp(sio)


@sio.event
async def publish(sid: str, text: str) -> None:
    await sio.emit("said", text)

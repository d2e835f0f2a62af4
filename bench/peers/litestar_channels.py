"""Litestar's channels."""

import os

from litestar import Litestar, WebSocket, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.channels.backends.redis import RedisChannelsPubSubBackend
from litestar.exceptions import WebSocketDisconnect
from redis.asyncio import Redis

url = os.environ.get("BROKER_URL")
backend = RedisChannelsPubSubBackend(redis=Redis.from_url(url)) if url else MemoryChannelsBackend()


@websocket("/channel")
async def channel(socket: WebSocket, channels: ChannelsPlugin) -> None:
    await socket.accept()
    async with (
        channels.start_subscription("news") as subscriber,
        subscriber.run_in_background(socket.send_text),
    ):
        try:
            while True:
                channels.publish(await socket.receive_text(), "news")
        except WebSocketDisconnect:
            pass


app = Litestar([channel], plugins=[ChannelsPlugin(backend, channels=["news"])], openapi_config=None)

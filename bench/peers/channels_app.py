"""Django Channels, fan-out through its channel layer."""

import django
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

from bench.peers.messages import Move, Moved, answer, decode, encode

settings.configure(
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data)


class Json(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Move, **kwargs):
        await self.send_json(answer(content))

    @classmethod
    async def decode_json(cls, text_data: str) -> Move:
        return decode(text_data)

    @classmethod
    async def encode_json(cls, content: Moved) -> str:
        return encode(content).decode()


class FanOut(AsyncWebsocketConsumer):
    groups = ("all",)

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("all", {"type": "said", "text": text_data})

    async def said(self, event):
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [
                path("echo", Echo.as_asgi()),
                path("json", Json.as_asgi()),
                path("fanout", FanOut.as_asgi()),
            ]
        )
    }
)

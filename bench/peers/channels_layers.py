"""Django Channels, fan-out through a channel layer: `CHANNEL_LAYER` names its class."""

import os

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

layer = {"BACKEND": os.environ.get("CHANNEL_LAYER", "channels.layers.InMemoryChannelLayer")}
if url := os.environ.get("BROKER_URL"):
    # redis-py 8 gives up after 5 s, while the layer waits that long for a message by itself
    # (github.com/django/channels_redis/issues/422).
    layer["CONFIG"] = {"hosts": [{"address": url, "socket_timeout": None}]}
settings.configure(ALLOWED_HOSTS=["*"], CHANNEL_LAYERS={"default": layer})
django.setup()


class News(AsyncWebsocketConsumer):
    groups = ("news",)

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("news", {"type": "said", "text": text_data})

    async def said(self, event):
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter({"websocket": URLRouter([path("channel", News.as_asgi())])})

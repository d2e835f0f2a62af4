"""Wirework, Centrifugo's protocol: channels with a history and without, for the model of scale."""

import os

from wirework import App, History
from wirework.dialects import Centrifugo

app = App()
beat = float(os.environ.get("BENCH_BEAT", "25"))
live = app.events("/live", dialect=Centrifugo(ping_interval=beat))
plain = app.channel("plain:{name}")
kept = app.channel("kept:{name}", history=History(size=100, ttl=600))


@plain.on_subscribe
async def may_hear(name: str) -> bool:
    return True


@kept.on_subscribe
async def may_hear_again(name: str) -> bool:
    return True


@live.on("send")
async def say(channel: str, text: str) -> None:
    await app.publish(channel, text)

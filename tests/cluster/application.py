"""What several workers serve: channels with history, with presence, and orders to all workers."""

from __future__ import annotations

import os

from wirework import App, History, Presence, QueryToken
from wirework.dialects import Typed

__all__ = ["app"]


async def verify(token: str) -> str:
    """Believe everybody."""
    return token


app = App(auth=QueryToken(verify))
app.channels.hub.broker.lease = float(os.environ.get("CLUSTER_LEASE", "60"))
live = app.events("/live", dialect=Typed())
news = app.channel("news:{name}", history=History(size=20_000, ttl=300))
room = app.channel("room:{name}", presence=Presence())


@live.on("pid")
async def pid() -> int:
    return os.getpid()


@news.on_subscribe
@room.on_subscribe
async def enter() -> int:
    return os.getpid()


@news.on_publish
@room.on_publish
async def say(text: str) -> str:
    return text


@app.post("/tell/{user}/{text}")
async def tell(user: str, text: str) -> None:
    await app.publish_to_user(user, text, name="told")


@app.post("/expel/{user}/{channel}")
async def expel(user: str, channel: str) -> None:
    await app.expel(channel, user)


@app.post("/sign-out/{user}")
async def sign_out(user: str) -> None:
    await app.disconnect_everywhere(user)


@app.get("/state")
async def state() -> dict[str, int]:
    stats = app.channels.hub.stats
    return {
        "pid": os.getpid(),
        "channels": stats.channels,
        "subscriptions": stats.subscriptions,
        "is_degraded": stats.is_degraded,
    }

"""Clients of channels, in the typed dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tests.unit.channels.listeners import settle
from tests.unit.session.talk import message, send
from wirework import App, Bearer
from wirework.dialects import Typed
from wirework.testing import TestClient, TestWebSocket

__all__ = ["Text", "User", "client_of", "desk_app", "plain", "publish", "subscribe", "to", "until"]


class User(msgspec.Struct):
    id: str


class Text(msgspec.Struct):
    text: str


async def user_of(token: str) -> User:
    return User(token)


def desk_app(**settings: Any) -> App:
    """Return an application with a desk for everybody, and one for users."""
    app = App(**settings)
    app.events("/desk", dialect=Typed())
    app.events("/mine", dialect=Typed(), auth=Bearer(verify=user_of))
    return app


@asynccontextmanager
async def client_of(
    client: TestClient, user: str | None = None, path: str = ""
) -> AsyncIterator[TestWebSocket]:
    """Open a connection of a user, or of nobody."""
    headers = {} if user is None else {"authorization": f"Bearer {user}"}
    async with client.connect(path or ("/mine" if user else "/desk"), headers=headers) as ws:
        yield ws


async def to(ws: TestWebSocket, word: str, channel: str, *, id: int = 1, **data: Any) -> Any:
    """Ask something of a channel, and return the answer; what comes before it must be news."""
    send(ws, message(f"channel.{word}", {"channel": channel, **data}, id=id))
    while True:
        said = await ws.receive_json()
        if said.get("id") == id:
            return said


async def subscribe(ws: TestWebSocket, channel: str, **data: Any) -> Any:
    """Subscribe, and return what the client is told; the code where it is refused."""
    said = await to(ws, "subscribe", channel, **data)
    return said["code"] if said["type"] == "error" else said["data"]


async def publish(ws: TestWebSocket, channel: str, value: Any, **more: Any) -> Any:
    """Publish, and return what the client is told; the code where it is refused."""
    said = await to(ws, "publish", channel, data=value, **more)
    return said["code"] if said["type"] == "error" else said["data"]


def plain(said: dict[str, Any]) -> Any:
    """Return what a publication is about."""
    assert said["type"] == "channel.publication", said
    return said["data"]["data"]


async def until(is_so: Any) -> None:
    """Let others work until something is so."""
    async with asyncio.timeout(5):
        while not is_so():
            await settle(1)

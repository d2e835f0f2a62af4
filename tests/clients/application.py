"""What the clients under test connect to, on one or two workers in the test's event loop."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from tests.brokers.servers import free_port
from tests.browser.server import NATIVE, serving
from wirework import (
    App,
    FirstMessage,
    History,
    Jwt,
    Presence,
    Reject,
    Session,
    SessionUser,
    WebSocket,
)
from wirework.connection import Connection
from wirework.dialects import Centrifugo
from wirework.routing.events import Events

__all__ = ["JWT", "Workers", "application", "token"]

JWT = Jwt(key="not-for-production-" * 2, algorithms=["HS256"], leeway=0)
PATH = "/connection/websocket"


def token(user: str, seconds: float = 600.0, **claims: Any) -> str:
    """Return a token of somebody, good for so long."""
    return JWT.encode({"sub": user, "exp": time.time() + seconds, **claims})


class Said(msgspec.Struct):
    text: str


class Order(msgspec.Struct):
    item: str
    count: int = 1


def application(broker: str = "memory://", *, ping_interval: float = 25.0) -> App:
    """Return what is under test; `app.heard` has what clients have sent."""
    app = App(
        broker=broker,
        secret_key="not-for-production",
        max_channels=300,
        history_limit=300,
        drain_spread=0.0,
    )
    dialect = Centrifugo(ping_interval=ping_interval)
    _add_live(
        app, app.events("/connection", dialect=dialect, auth=FirstMessage(JWT, optional=True))
    )
    known = app.events(f"/session{PATH}", dialect=dialect, auth=SessionUser())
    known.on("who")(who)
    _add_channels(app)

    @app.get("/")
    async def page() -> str:
        return "a page on the origin"

    @app.post("/sign-in/{name}")
    async def sign_in(name: str, session: Session) -> None:
        session["user"] = name

    return app


async def who(ws: WebSocket) -> Any:
    return ws.user


def _add_live(app: App, live: Events) -> None:
    app.state.heard = []
    live.on("who")(who)

    @live.on("pid")
    async def pid() -> int:
        return os.getpid()

    @live.on("order")
    async def order(order: Order) -> Order:
        if order.item == "coffee":
            raise Reject("sold_out", "no coffee left", {"item": order.item})
        if order.item == "fire":
            raise RuntimeError("a secret")
        return order

    @live.on("send")
    async def take(ws: WebSocket, text: str) -> None:
        app.state.heard.append(text)
        await ws.send_event("got", text)

    @live.on_ready
    async def ready(ws: WebSocket) -> dict[str, str]:
        if ws.user == "ada":
            await mine_of(app)(user="ada").subscribe(ws)
        return {"hello": str(ws.user)}


def mine_of(app: App) -> Any:
    return next(each for each in app.channels if each.template.text == "mine:{user}")


def _add_channels(app: App) -> None:
    app.channel("mine:{user}", history=History())
    chat = app.channel("chat:{room}", model=Said, history=History(), presence=Presence(grace=0.0))
    short = app.channel("short:{room}", history=History(size=3))
    bare = app.channel("bare")
    app.channel("private:{name}", token=JWT, presence=True)
    app.channel("closed")

    async def anybody() -> bool:
        return True

    for channel in (chat, short, bare):
        channel.on_subscribe(anybody)

    @chat.on_publish
    async def say(said: Said) -> Said:
        if said.text == "rude":
            raise Reject("forbidden", "be kind")
        return Said(said.text.strip())


class Workers:
    """One worker or several, which share a broker; each can be stopped and started again."""

    def __init__(self, broker: str, count: int, **options: float) -> None:
        self.ports = [free_port() for _ in range(count)]
        self._make = partial(application, broker, **options)
        self._lives: list[AsyncExitStack | None] = [None] * count
        self.apps: list[App] = [self._make() for _ in range(count)]

    @property
    def app(self) -> App:
        """The one that clients connect to."""
        return self.apps[0]

    @property
    def other(self) -> App:
        """The one that publishes: another one, if there are several."""
        return self.apps[-1]

    @property
    def origin(self) -> str:
        """Of the first one."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.ports[0]}{PATH}"

    @property
    def connections(self) -> list[Connection]:
        """Those of the first one."""
        return [ws.connection for ws in self.app.connections]

    async def start(self, number: int = 0) -> None:
        """Start one, as a new process would be."""
        if self._lives[number] is None:
            life = self._lives[number] = AsyncExitStack()
            app, port = self.apps[number], self.ports[number]
            await life.enter_async_context(serving(app, port=port, ws=NATIVE))

    async def stop(self, number: int = 0) -> None:
        """Stop one; what it knew is gone."""
        life, self._lives[number] = self._lives[number], None
        if life is not None:
            await life.aclose()
            self.apps[number] = self._make()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Workers]:
        """Have all of them run within the block."""
        try:
            for number in range(len(self.apps)):
                await self.start(number)
            yield self
        finally:
            for number in range(len(self.apps)):
                await self.stop(number)

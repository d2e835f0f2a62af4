"""The application under test: small handlers that record what they saw, asked for over HTTP."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from wirework import App, ConnectionClosed, Query, Send, Session, WebSocket
from wirework.transports.rsgi_scope import RsgiScope
from wirework.types import ASGIApp, Receive, Scope, SendMessage

from .handlers import Id, add_echoes, add_endings, add_handshakes, add_refusals
from .keeping import create_keeping
from .record import Record
from .speaking import add_dialects

KEY = "the key of the contract suite, 32+ bytes"


def create_app(record: Record) -> App:
    """Return the main application; its lifespan is recorded too."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[Mapping[str, Any]]:
        await record.add("lifespan", "startup")
        yield {"greeting": "hello"}
        await record.add("lifespan", "shutdown")

    app = App(secret_key=KEY, lifespan=lifespan)
    add_echoes(app)
    add_handshakes(app)
    add_refusals(app, record)
    add_endings(app, record)
    _add_hooks(app, record)
    _add_room(app, record)
    _add_pages(app, record)
    add_dialects(app, record)
    return app


def _add_hooks(app: App, record: Record) -> None:
    async def on_connect(send: Send, id: Id) -> str:
        await record.add(id, "connect")
        await send("one")
        await send("two")
        return "three"

    async def on_disconnect(id: Id, code: int, reason: str) -> None:
        await record.add(id, "disconnect", code, reason)

    @app.ws("/hooks", conn=on_connect, disconn=on_disconnect)
    async def on_message(data: str, id: Id) -> str:
        await record.add(id, "message", data)
        return data.upper()

    async def slow_connect(id: Id) -> None:
        await record.add(id, "connect began")
        await record.gate(id)
        await record.add(id, "connect ended")

    @app.ws("/hooks/slow-connect", conn=slow_connect, disconn=on_disconnect)
    async def after_slow_connect(data: str, id: Id) -> None: ...

    @app.ws("/hooks/slow", disconn=on_disconnect)
    async def slow(ws: WebSocket, data: str, id: Id) -> str:
        await record.add(id, "began", data)
        await record.gate(id)
        await record.add(id, "ended", data, ws.closed)
        return data

    @app.ws("/hooks/stream", disconn=on_disconnect)
    async def stream(data: str, id: Id) -> AsyncIterator[int]:
        try:
            for number in range(10**9):
                yield number
                await asyncio.sleep(0)
        finally:
            await record.add(id, "stopped")


def _add_room(app: App, record: Record) -> None:
    rooms: defaultdict[str, set[WebSocket]] = defaultdict(set)

    async def join(ws: WebSocket, room: str) -> str:
        rooms[room].add(ws)
        return "joined"

    async def leave(ws: WebSocket, room: str, code: int) -> None:
        rooms[room].discard(ws)
        await record.add(room, "left", code)

    @app.ws("/rooms/{room}", conn=join, disconn=leave)
    async def say(data: str, room: str) -> None:
        for peer in list(rooms[room]):
            try:
                await peer.send_text(data)
            except ConnectionClosed:
                rooms[room].discard(peer)


def _add_pages(app: App, record: Record) -> None:
    @app.get("/seen/{id}")
    async def seen(id: str, count: Annotated[int, Query()] = 0) -> list[Any]:
        return await record.until(id, count)

    @app.post("/open/{id}")
    async def open_gate(id: str) -> None:
        record.open(id)

    @app.post("/login")
    async def login(name: str, session: Session) -> dict[str, Any]:
        session["name"] = name
        return session

    @app.get("/whoami")
    async def whoami(session: Session) -> dict[str, Any]:
        return session


class Applications:
    """One application of several: the main one, and those with other settings by prefix."""

    def __init__(self) -> None:
        record = Record()
        self.main = create_app(record)
        self._others = {
            "/gated": App(websocket=False),
            "/hasty": _hasty(record),
            "/kept": create_keeping(KEY),
        }

    def find(self, path: str) -> App:
        """Return the application for `path`."""
        for prefix, app in self._others.items():
            if path.startswith(prefix):
                return app
        return self.main

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        await self.find(scope.get("path", ""))(scope, receive, send)

    async def __rsgi__(self, scope: RsgiScope, protocol: Any) -> None:
        await self.find(scope.path).__rsgi__(scope, protocol)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.main.__rsgi_init__(loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.main.__rsgi_del__(loop)


def _hasty(record: Record) -> App:
    app = App(handshake_timeout=0.2)

    async def slow_connect(id: Id) -> None:
        try:
            await record.gate(id)
        finally:
            await record.add(id, "ended")

    @app.ws("/hasty", conn=slow_connect)
    async def hasty(data: str, id: Id) -> None: ...

    return app


app: ASGIApp = Applications()

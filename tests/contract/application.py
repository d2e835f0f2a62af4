"""The application under test: small handlers that record what they saw, asked for over HTTP."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec

from wirework import (
    App,
    Close,
    ConnectionClosed,
    Handshake,
    Query,
    Refuse,
    Reject,
    Send,
    Session,
    WebSocket,
)
from wirework.types import ASGIApp, Receive, Scope, SendMessage

from .record import WAIT, Record

KEY = "the key of the contract suite, 32+ bytes"
FRIEND = "https://friend.example"


class Point(msgspec.Struct):
    x: int
    y: int = 0


Id = Annotated[str, Query()]


def create_app(record: Record) -> App:
    """Return the main application; its lifespan is recorded too."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[Mapping[str, Any]]:
        await record.add("lifespan", "startup")
        yield {"greeting": "hello"}
        await record.add("lifespan", "shutdown")

    app = App(secret_key=KEY, lifespan=lifespan)
    _add_echoes(app)
    _add_handshakes(app)
    _add_refusals(app, record)
    _add_endings(app, record)
    _add_hooks(app, record)
    _add_room(app, record)
    _add_pages(app, record)
    return app


def _add_echoes(app: App) -> None:
    @app.websocket("/echo")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for frame in ws:
            await ws.send(frame)

    @app.websocket("/echo/json")
    async def echo_json(ws: WebSocket) -> None:
        await ws.accept()
        async for value in ws.iter_json():
            await ws.send_json(value)

    @app.ws("/point")
    async def move(point: Point) -> Point:
        if point.x == 13:
            raise Reject("unlucky", "not thirteen")
        if point.x == 500:
            raise RuntimeError("a secret")
        return Point(point.y, point.x)


def _add_handshakes(app: App) -> None:
    @app.websocket("/about/{number:int}/{name}")
    async def about(ws: WebSocket, number: int, name: str) -> None:
        await ws.accept()
        seen = {
            "number": number,
            "name": name,
            "query": ws.query.getlist("q"),
            "tags": ws.headers.getlist("x-tag"),
            "tag": ws.header("X-TAG"),
            "client": ws.client and ws.client[0],
            "url": str(ws.url),
            "greeting": ws.handshake.scope.get("state", {}).get("greeting"),
        }
        await ws.send_json(seen)

    @app.websocket("/subprotocol")
    async def subprotocol(ws: WebSocket) -> None:
        chosen = "chat.v2" if "chat.v2" in ws.handshake.subprotocols else None
        await ws.accept(chosen, [("x-one", "1"), ("x-many", "a"), ("x-many", "b")])
        await ws.send_json([ws.subprotocol, list(ws.handshake.subprotocols)])

    @app.websocket("/visit")
    async def visit(ws: WebSocket, session: Session) -> None:
        session["visits"] = session.get("visits", 0) + 1
        await ws.accept()
        await ws.send_json(session)

    @app.websocket("/friends", allowed_origins=[FRIEND])
    async def friends(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("welcome")


def _add_refusals(app: App, record: Record) -> None:
    async def refuse(handshake: Handshake) -> None:
        headers = [("x-pot", "tea"), ("x-many", "a"), ("x-many", "b")]
        handshake.refuse(418, "short and stout", headers)

    @app.websocket("/refuse/handler")
    async def refuse_in_handler(handshake: Handshake) -> None:
        await refuse(handshake)

    async def on_disconnect(id: Id) -> None:
        await record.add(id, "disconnect")

    @app.ws("/refuse/conn", conn=refuse, disconn=on_disconnect)
    async def refuse_in_conn(data: str, id: Id) -> None: ...

    async def fail() -> None:
        raise RuntimeError("a secret")

    @app.ws("/refuse/fail", conn=fail, disconn=on_disconnect)
    async def fail_in_conn(data: str, id: Id) -> None: ...

    @app.websocket("/refuse/close")
    async def close_before_accept(ws: WebSocket) -> None:
        await ws.close(4401, "who are you?")

    @app.websocket("/refuse/never")
    async def never_accepts(ws: WebSocket) -> None: ...

    @app.websocket("/refuse/raise")
    async def raises_before_accept(ws: WebSocket) -> None:
        raise RuntimeError("a secret")

    @app.websocket("/refuse/session")
    async def refuse_with_session(session: Session) -> None:
        session["refused"] = True
        raise Refuse(403, "no")


def _add_endings(app: App, record: Record) -> None:
    @app.websocket("/close/{code:int}")
    async def close(ws: WebSocket, code: int, reason: Id) -> None:
        await ws.accept()
        await ws.send_text("goodbye")
        await ws.close(code, reason)

    @app.websocket("/fail")
    async def fail(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()
        raise RuntimeError("a secret")

    @app.websocket("/return")
    async def returns(ws: WebSocket) -> Close:
        await ws.accept()
        await ws.receive()
        return Close(3333, "enough")

    @app.websocket("/watch")
    async def watch(ws: WebSocket, id: Id) -> None:
        await ws.accept()
        try:
            while True:
                await record.add(id, "message", await ws.receive())
        except ConnectionClosed as error:
            await record.add(id, "closed", error.code, error.reason)
            raise
        finally:
            await record.add(id, "finally", ws.closed, ws.close_code)

    @app.websocket("/watch/sends")
    async def watch_sends(ws: WebSocket, id: Id) -> None:
        await ws.accept()
        async for _ in ws:
            pass
        try:
            await ws.send_text("is anybody there?")
        except ConnectionClosed as error:
            await record.add(id, "closed", error.code)

    @app.websocket("/await")
    async def await_cancelled(ws: WebSocket) -> None:
        await ws.accept()
        task = asyncio.create_task(asyncio.sleep(WAIT))
        task.cancel()
        await task


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
    """One ASGI application of several: the main one, and those with other settings by prefix."""

    def __init__(self) -> None:
        record = Record()
        self.main = create_app(record)
        self._others = {
            "/gated": App(websocket=False),
            "/hasty": _hasty(record),
        }

    def find(self, path: str) -> App:
        """Return the application for `path`."""
        for prefix, app in self._others.items():
            if path.startswith(prefix):
                return app
        return self.main

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        await self.find(scope.get("path", ""))(scope, receive, send)


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

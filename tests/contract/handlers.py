"""Handlers under test that hold the loop of their connection, or refuse it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from wirework import (
    App,
    Close,
    ConnectionClosed,
    Handshake,
    Query,
    Refuse,
    Reject,
    Session,
    WebSocket,
)

from .record import WAIT, Record

__all__ = ["FRIEND", "Id", "add_echoes", "add_endings", "add_handshakes", "add_refusals"]

FRIEND = "https://friend.example"


class Point(msgspec.Struct):
    x: int
    y: int = 0


Id = Annotated[str, Query()]


def add_echoes(app: App) -> None:
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


def add_handshakes(app: App) -> None:
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


def add_refusals(app: App, record: Record) -> None:
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


def add_endings(app: App, record: Record) -> None:
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

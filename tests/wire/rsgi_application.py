"""What the RSGI tests serve with Granian: small handlers, and pages that tell what they saw."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from tests.contract.record import Record
from wirework import App, ConnectionClosed, Handshake, Query, Refuse, Send, Session, WebSocket

__all__ = ["FRIEND", "app"]

FRIEND = "https://friend.example"
PATIENCE = 10.0

Id = Annotated[str, Query()]


class Point(msgspec.Struct):
    x: int
    y: int = 0


notes = Record()


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[Mapping[str, Any]]:
    yield {"greeting": "hello"}


app = App(
    secret_key="the key of the tests of RSGI, 32+",
    lifespan=lifespan,
    handshake_timeout=1.0,
    write_stall_timeout=0.5,
)


# --- sockets -------------------------------------------------------------------------------------


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for frame in ws:
        await ws.send(frame)


@app.ws("/point")
async def move(point: Point) -> Point:
    return Point(point.y, point.x)


async def connect(send: Send, id: Id) -> str:
    await send("one")
    await send("two")
    return "three"


async def disconnect(id: Id, code: int, reason: str) -> None:
    await notes.add(id, "disconnect", code, reason)


@app.ws("/hooks", conn=connect, disconn=disconnect)
async def shout(data: str, id: Id, ws: WebSocket) -> str:
    if data == "close":
        await ws.close(4401, "who are you?")
    await notes.add(id, "message", data)
    return data.upper()


@app.websocket("/scope/{number:int}/{name}")
async def about(ws: WebSocket, number: int, name: str) -> None:
    await ws.accept()
    scope = ws.handshake.scope
    await ws.send_json(
        {
            "type": scope["type"],
            "scheme": scope["scheme"],
            "path": scope["path"],
            "raw_path": scope["raw_path"].decode(),
            "query_string": ws.query_string,
            "number": number,
            "name": name,
            "tags": ws.headers.getlist("x-tag"),
            "unreadable": ws.header("x-unreadable"),
            "subprotocols": scope["subprotocols"],
            "client": scope["client"],
            "server": scope["server"],
            "state": scope["state"],
            "extensions": scope["extensions"],
        }
    )


@app.websocket("/rich")
async def rich(ws: WebSocket, session: Session) -> None:
    session["visited"] = True
    await ws.accept("chat.v2", [("x-one", "1")])
    await ws.send_json(ws.subprotocol)
    await ws.close(4321, "that was all")


@app.websocket("/flood")
async def flood(ws: WebSocket, id: Id) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_bytes(bytes(10_000))
    except ConnectionClosed as error:
        await notes.add(id, "closed", error.code)


@app.websocket("/gated")
async def gated(ws: WebSocket, id: Id) -> None:
    await ws.accept()
    await ws.receive()
    await notes.gate(id)
    await notes.add(id, "waiting", len(ws.connection.inbox))
    async for frame in ws:
        await notes.add(id, len(frame))


@app.websocket("/twice")
async def accept_twice(ws: WebSocket, id: Id) -> None:
    first = asyncio.create_task(ws.accept())
    await asyncio.sleep(0)
    first.cancel()
    try:
        await asyncio.wait([first])
        await ws.accept()
    except ConnectionClosed:
        await notes.add(id, "closed")


# --- refusals ------------------------------------------------------------------------------------


@app.websocket("/friends", allowed_origins=[FRIEND])
async def friends(ws: WebSocket) -> None:
    await ws.accept()


@app.websocket("/never")
async def never(ws: WebSocket) -> None: ...


@app.websocket("/hang")
async def hang(ws: WebSocket) -> None:
    await asyncio.sleep(PATIENCE)


@app.websocket("/raise")
async def raises(ws: WebSocket) -> None:
    raise RuntimeError("a secret")


async def fail() -> None:
    raise RuntimeError("a secret")


@app.ws("/conn", conn=fail)
async def after_fail(data: str) -> None: ...


@app.websocket("/close")
async def close(ws: WebSocket) -> None:
    await ws.close(4401, "who are you?")


@app.websocket("/teapot")
async def teapot(handshake: Handshake) -> None:
    raise Refuse(418, "short and stout", [("x-pot", "tea")])


# --- pages ---------------------------------------------------------------------------------------


@app.get("/pid")
async def pid() -> int:
    return os.getpid()


@app.get("/notes/{id}")
async def read_notes(id: str, count: Annotated[int, Query()]) -> list[Any]:
    return await notes.until(id, count)


@app.post("/open/{id}")
async def open_gate(id: str) -> None:
    notes.open(id)


@app.post("/login")
async def login(name: str, session: Session) -> dict[str, Any]:
    session["name"] = name
    return session


@app.get("/whoami")
async def whoami(session: Session) -> dict[str, Any]:
    return session


# --- requests, as Starlette sees them ------------------------------------------------------------


async def sizes(request: Request) -> Response:
    """Note the size of an upload, or that it was interrupted."""
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
    except ClientDisconnect:
        await notes.add(request.query_params["id"], "interrupted", size)
        raise
    return PlainTextResponse(str(size))


async def pieces(request: Request) -> Response:
    id = request.query_params["id"]

    async def produce() -> AsyncIterator[bytes]:
        try:
            for number in range(int(request.query_params["count"])):
                yield b"%d," % number
                if number == 0:
                    await notes.gate(id)
                await asyncio.sleep(0)
        finally:
            await notes.add(id, "ended")

    return StreamingResponse(produce(), headers={"x-kind": "stream"})


async def poll(request: Request) -> Response:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    await notes.add(request.query_params["id"], "gone")
    return Response()


async def about_request(request: Request) -> Response:
    scope = request.scope
    found = {
        "url": str(request.url),
        "http_version": scope["http_version"],
        "client": scope["client"],
        "tags": request.headers.getlist("x-tag"),
        "state": scope["state"],
    }
    return Response(msgspec.json.encode(found), headers={"content-type": "application/json"})


async def cookies(request: Request) -> Response:
    response = PlainTextResponse("two")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    response.headers["x-name"] = "caf\u00e9"
    return response


async def status(request: Request) -> Response:
    return Response(status_code=int(request.query_params["code"]))


async def smuggle(request: Request) -> Response:
    return Response(headers={"x-evil": "a\r\nset-cookie: b=1"})


async def wrong_length(request: Request) -> Response:
    return Response(b"abcdef", headers={"content-length": "1"})


async def this_file(request: Request) -> Response:
    return FileResponse(Path(__file__))


async def explode(request: Request) -> Response:
    raise RuntimeError("a secret of HTTP")


_ANY = ["GET", "POST"]
app.mount(
    "/raw",
    Router(
        [
            Route("/sizes", sizes, methods=["POST"]),
            Route("/pieces", pieces),
            Route("/poll", poll, methods=_ANY),
            Route("/about/{rest:path}", about_request),
            Route("/cookies", cookies),
            Route("/status", status),
            Route("/smuggle", smuggle),
            Route("/wrong-length", wrong_length),
            Route("/file", this_file),
            Route("/explode", explode),
        ]
    ),
)

"""FastAPI beside Wirework, Wirework inside FastAPI, and one session cookie for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi import WebSocket as TheirWebSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.contract.harness import cookie_of
from tests.wire.serving import IMPLEMENTATIONS, serving
from wirework import App, Session, WebSocket

KEY = "one key for both, of 32 bytes or more"


def wirework_app(**options: Any) -> App:
    app = App(secret_key=KEY, **options)

    @app.websocket("/rooms/{number:int}", name="room")
    async def room(ws: WebSocket, number: int) -> None:
        session = dict(ws.session)
        ws.session["room"] = number
        await ws.accept()
        await ws.send_json([number, session, str(ws.url_for("room", number=2))])
        async for frame in ws:
            await ws.send(frame)

    return app


def fastapi_app(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.get("/hello/{name}")
    async def hello(name: str, q: int = 0) -> dict[str, Any]:
        return {"hello": name, "q": q}

    return app


def noting_lifespan(notes: list[str], name: str) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        notes.append(f"{name} starts")
        yield
        notes.append(f"{name} stops")

    return lifespan


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
async def test_an_app_hands_http_to_fastapi_and_both_lifespans_run_once(ws: str) -> None:
    notes: list[str] = []
    inner = fastapi_app(lifespan=noting_lifespan(notes, "http"))
    app = wirework_app(http=inner, lifespan=noting_lifespan(notes, "sockets"))
    async with serving(app, ws) as server:
        response = await server.request("GET", "/hello/Ada?q=3")
        assert response.json() == {"hello": "Ada", "q": 3}
        assert (await server.request("GET", "/hello/Ada?q=x")).status_code == 422
        assert (await server.request("GET", "/nowhere")).json() == {"detail": "Not Found"}
        async with server.connect("/rooms/1") as peer:
            await peer.receive()
            await peer.send("hello")
            assert await peer.receive() == "hello"
        assert notes == ["http starts", "sockets starts"]
    assert notes[2:] == ["sockets stops", "http stops"]


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
async def test_an_app_mounted_in_fastapi_serves_sockets_below_its_prefix(ws: str) -> None:
    outer = fastapi_app()
    outer.mount("/live", wirework_app())
    async with serving(outer, ws) as server:
        assert (await server.request("GET", "/hello/Ada")).json() == {"hello": "Ada", "q": 0}
        async with server.connect("/live/rooms/7") as peer:
            url = f"ws://{server.authority}/live/rooms/2"
            assert await peer.receive() == f'[7,{{}},"{url}"]'
            await peer.send(b"\x00")
            assert await peer.receive() == b"\x00"
            await peer.close(4000)


async def test_fastapis_own_websockets_work_beside_a_mounted_app() -> None:
    outer = fastapi_app()

    @outer.websocket("/theirs")
    async def theirs(ws: TheirWebSocket) -> None:
        await ws.accept()
        await ws.send_text("theirs")
        await ws.close(4001)

    outer.mount("/live", wirework_app())
    async with serving(outer) as server:
        async with server.connect("/theirs") as peer:
            assert await peer.receive() == "theirs"
        async with server.connect("/live/rooms/1") as peer:
            assert str(await peer.receive()).startswith("[1,")


def starlette_pages() -> Starlette:
    async def login(request: Request) -> JSONResponse:
        request.session["name"] = "Ada"
        return JSONResponse(dict(request.session))

    async def whoami(request: Request) -> JSONResponse:
        return JSONResponse(dict(request.session))

    return Starlette(
        routes=[Route("/login", login, methods=["POST"]), Route("/whoami", whoami)],
        middleware=[Middleware(SessionMiddleware, secret_key=KEY)],
    )


def fastapi_pages() -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=KEY)

    @app.post("/login")
    async def login(request: Request) -> dict[str, Any]:
        request.session["name"] = "Ada"
        return request.session

    @app.get("/whoami")
    async def whoami(request: Request) -> dict[str, Any]:
        return request.session

    return app


@pytest.mark.parametrize("pages", [starlette_pages, fastapi_pages])
async def test_a_session_goes_from_their_middleware_to_our_handler_and_back(pages: Any) -> None:
    async with serving(wirework_app(http=pages())) as server:
        cookie = cookie_of((await server.request("POST", "/login")).headers)
        async with server.connect("/rooms/5", headers=[*cookie.items()]) as peer:
            assert str(await peer.receive()).startswith('[5,{"name":"Ada"},')
            ours = cookie_of(peer.headers)
        response = await server.request("GET", "/whoami", headers=ours)
        assert response.json() == {"name": "Ada", "room": 5}


@pytest.mark.parametrize("pages", [starlette_pages, fastapi_pages])
async def test_two_servers_with_one_key_share_the_session(pages: Any) -> None:
    async with serving(pages()) as theirs, serving(wirework_app()) as ours:
        cookie = cookie_of((await theirs.request("POST", "/login")).headers)
        async with ours.connect("/rooms/6", headers=[*cookie.items()]) as peer:
            assert str(await peer.receive()).startswith('[6,{"name":"Ada"},')
            cookie = cookie_of(peer.headers)
        response = await theirs.request("GET", "/whoami", headers=cookie)
        assert response.json() == {"name": "Ada", "room": 6}


async def test_a_forged_session_is_no_session() -> None:
    app = wirework_app()
    forged = App(secret_key=KEY[::-1]).sign_session({"name": "Mallory"})["session"]

    @app.get("/whoami")
    async def whoami(session: Session) -> dict[str, Any]:
        return session

    async with serving(app) as server:
        headers = [("cookie", f"session={forged}")]
        async with server.connect("/rooms/1", headers=headers) as peer:
            assert str(await peer.receive()).startswith("[1,{},")
        assert (await server.request("GET", "/whoami", headers=dict(headers))).json() == {}


async def test_a_session_of_an_outer_middleware_is_read_and_cannot_be_written() -> None:
    inner = App()

    @inner.websocket("/name")
    async def name(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json(ws.session)

    outer = fastapi_pages()
    outer.mount("/live", inner)
    async with serving(outer) as server:
        cookie = cookie_of((await server.request("POST", "/login")).headers)
        async with server.connect("/live/name", headers=[*cookie.items()]) as peer:
            assert await peer.receive() == '{"name":"Ada"}'

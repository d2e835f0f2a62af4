from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.unit.applications import talking
from wirework import App, Handshake, Refuse, SessionError, WebSocket
from wirework.handshake import route_path
from wirework.routing.paths import NoSuchRoute, ParameterError
from wirework.testing import HandshakeRefused, TestClient


def handshake(**scope: Any) -> Handshake:
    return Handshake({"type": "websocket", "path": "/", "headers": [], **scope}, None)


def test_headers_are_multi_valued_and_in_any_case() -> None:
    seen = handshake(headers=[(b"x-tag", b"a"), (b"x-tag", b"b"), (b"user-agent", b"me")])
    assert seen.headers.getlist("X-Tag") == ["a", "b"]
    assert seen.header("User-Agent") == "me"
    assert seen.header("absent") is None
    assert seen.header("absent", "here") == "here"


def test_the_query_is_there_as_it_was_sent_and_decoded() -> None:
    seen = handshake(query_string=b"q=a%20b&tag=1&tag=2&q%C3%A9=")
    assert seen.query_string == "q=a%20b&tag=1&tag=2&q%C3%A9="
    assert seen.query["q"] == "a b"
    assert seen.query.getlist("tag") == ["1", "2"]


def test_cookies_of_several_headers_are_read_together() -> None:
    seen = handshake(headers=[(b"cookie", b"a=1; b=2"), (b"cookie", b"c=3")])
    assert seen.cookies == {"a": "1", "b": "2", "c": "3"}
    assert handshake().cookies == {}


def test_the_client_may_be_unknown() -> None:
    assert handshake().client is None
    assert handshake(client=["10.0.0.1", 1234]).client == ("10.0.0.1", 1234)


def test_subprotocols_keep_the_clients_order() -> None:
    assert handshake(subprotocols=["b", "a"]).subprotocols == ("b", "a")
    assert handshake().subprotocols == ()


def test_the_scheme_is_ws_unless_the_server_says_otherwise() -> None:
    assert handshake().scheme == "ws"
    assert handshake(scheme="wss").scheme == "wss"


def test_a_session_needs_a_secret_key() -> None:
    assert not handshake().has_session
    with pytest.raises(SessionError, match="secret_key"):
        _ = handshake().session


def test_refuse_raises_what_becomes_the_answer() -> None:
    with pytest.raises(Refuse) as caught:
        handshake().refuse(404, "nothing here", {"x": "y"})
    assert caught.value.status == 404
    assert caught.value.body == b"nothing here"
    assert caught.value.headers == [("x", "y")]


def test_a_handshake_shows_its_path_and_client() -> None:
    shown = repr(handshake(path="/chat", client=["::1", 1]))
    assert shown == "Handshake('/chat', client=('::1', 1))"


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/a", "", "/a"),
        ("/sub/a", "/sub", "/a"),
        ("/sub/a", "/sub/", "/a"),
        ("/sub", "/sub", "/"),
        ("/subway", "/sub", "/subway"),
        ("/a", "/sub", "/a"),
    ],
)
def test_the_path_is_that_below_the_mount_point(path: str, root: str, below: str) -> None:
    assert route_path({"path": path, "root_path": root}) == below


async def test_a_handler_sees_the_whole_handshake() -> None:
    app = App()

    @app.websocket("/rooms/{room:int}/{key:uuid}", name="room")
    async def room(ws: WebSocket, handshake: Handshake) -> None:
        await ws.accept()
        assert ws.handshake is handshake
        assert handshake.app is app
        await ws.send_json(
            {
                "path": handshake.path,
                "params": ws.path_params,
                "header": ws.header("X-Name"),
                "headers": ws.headers.getlist("x-name"),
                "query": ws.query["q"],
                "query_string": ws.query_string,
                "cookies": dict(ws.cookies),
                "client": ws.client,
                "url": str(ws.url),
                "link": ws.url_for("room", room=8, key=ws.path_params["key"]),
            }
        )

    key = UUID(int=7)
    sent = {"x-name": "anna", "cookie": "a=1"}
    async with talking(app, f"/rooms/7/{key}?q=1", headers=sent) as ws:
        assert await ws.receive_json() == {
            "path": f"/rooms/7/{key}",
            "params": {"room": 7, "key": str(key)},
            "header": "anna",
            "headers": ["anna"],
            "query": "1",
            "query_string": "q=1",
            "cookies": {"a": "1"},
            "client": ["127.0.0.1", 50000],
            "url": f"ws://testserver/rooms/7/{key}?q=1",
            "link": f"ws://testserver/rooms/8/{key}",
        }


async def test_url_for_names_what_it_does_not_know() -> None:
    app = App()
    problems: list[Exception] = []

    @app.websocket("/rooms/{room:int}", name="room")
    async def room(ws: WebSocket) -> None:
        for name, number in [("rooms", "1"), ("room", "one")]:
            with pytest.raises((NoSuchRoute, ParameterError)) as caught:
                ws.url_for(name, room=number)
            problems.append(caught.value)
        await ws.accept()

    async with talking(app, "/rooms/1"):
        pass
    assert [type(each) for each in problems] == [NoSuchRoute, ParameterError]
    assert "did you mean 'room'?" in str(problems[0])


async def test_the_handshake_can_be_refused_through_it() -> None:
    app = App()

    @app.websocket("/")
    async def endpoint(ws: WebSocket, handshake: Handshake) -> None:
        handshake.refuse(401, "log in first", {"www-authenticate": "Bearer"})

    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as caught:
            await client.connect("/").__aenter__()
    assert caught.value.status == 401
    assert caught.value.body == b"log in first"
    assert caught.value.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("secure", ["", "s"])
async def test_url_for_has_the_scheme_of_what_it_leads_to(secure: str) -> None:
    app = App()

    @app.websocket("/room", name="room")
    async def room(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json([ws.url_for("room"), ws.url_for("page")])

    @app.get("/page", name="page")
    async def page(handshake: Handshake) -> Any:
        return [handshake.url_for("room"), handshake.url_for("page")]

    links = [f"ws{secure}://shop.example:81/room", f"http{secure}://shop.example:81/page"]
    client = TestClient(app, base_url=f"http{secure}://shop.example:81")
    async with client, client.connect("/room") as ws:
        assert await ws.receive_json() == links
        assert (await client.get("/page")).json() == links

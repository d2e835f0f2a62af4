"""Connections over plain HTTP: what a stream says, what requests bring, who may, and the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.unit.applications import Gate, counting
from tests.unit.transports.exchange import CONNECT, Exchange, begun, request, streaming
from wirework import (
    App,
    Bearer,
    ConnectionClosed,
    Refuse,
    RegistrationError,
    SessionUser,
    WebSocket,
)
from wirework.dialects import Centrifugo
from wirework.testing import HandshakeRefused, TestClient

pytestmark = pytest.mark.asyncio

KINDS = ("http_stream", "sse")
OWN = {"origin": "http://testserver"}
OTHER = {"origin": "https://elsewhere.example"}

each_kind = pytest.mark.parametrize("kind", KINDS)


async def flood(ws: WebSocket) -> None:
    for _ in range(10):
        await ws.send("x" * 2000)


# --- talking ------------------------------------------------------------------------------------


@each_kind
async def test_a_call_in_a_request_is_answered_in_the_stream(kind: str) -> None:
    async with streaming(counting(), kind) as stream:
        assert await stream.rpc(2, "add", {"a": 1, "b": 2}) == {"id": 2, "rpc": {"data": 3}}


async def test_the_first_request_may_bring_several_messages() -> None:
    call = '{"id":2,"rpc":{"method":"add","data":{"a":1,"b":2}}}'
    async with streaming(counting(), "http_stream", first=f"{CONNECT}\n{call}") as stream:
        assert await stream.receive() == {"id": 2, "rpc": {"data": 3}}


async def test_an_address_brings_one_message_alone() -> None:
    call = '{"id":2,"rpc":{"method":"add","data":{"a":1,"b":2}}}'
    exchange = begun(counting(), "sse", first=f"{CONNECT}\n{call}")
    assert (await exchange.start())[0] == 400


async def test_messages_are_handled_in_the_order_of_their_requests() -> None:
    app, seen, gate = counting(), [], Gate()
    live = app.events("/slow", dialect=Centrifugo())

    @live.on("note")
    async def note(n: int) -> None:
        await gate()
        seen.append(n)

    first = '{"connect":{},"id":1}'
    exchange = Exchange(app, "POST", "/slow/http_stream", body=first)
    assert (await exchange.start())[0] == 200
    said = json.loads((await exchange.piece())[0] or (await exchange.piece())[0])["connect"]
    for n in range(20):
        data = json.dumps({"id": n + 2, "rpc": {"method": "note", "data": {"n": n}}})
        body = json.dumps({"session": said["session"], "node": said["node"], "data": data})
        assert (await request(app, "POST", "/emulation", body=body)).status == 204
    gate.open.set()
    replies = b""
    while replies.count(b"\n") < 20:
        replies += (await exchange.piece())[0]
    assert seen == list(range(20))
    exchange.leave()
    await exchange.over()


async def test_an_event_ends_where_its_message_does() -> None:
    async with streaming(counting(), "sse") as stream:
        (ws,) = stream.app.connections
        # Between the tokens of JSON there may be ends of lines, which would end a line of an event.
        ws.connection.push(b'{"a":\r1,\r\n"b":\n2}')
        body, _ = await stream.exchange.piece()
        lines = body.decode().splitlines()
        assert all(line.startswith("data: ") for line in lines[:-1])
        assert lines[-1] == ""
        text = "\n".join(line.removeprefix("data: ") for line in lines)
        assert json.loads(text) == {"a": 1, "b": 2}


@each_kind
async def test_the_answer_is_not_kept_or_held_back_by_proxies(kind: str) -> None:
    exchange = begun(counting(), kind)
    _, headers = await exchange.start()
    types = {"http_stream": "application/x-ndjson", "sse": "text/event-stream"}
    assert headers["content-type"] == types[kind]
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
    exchange.leave()
    await exchange.over()


async def test_the_token_of_an_address_is_taken_out_of_what_servers_log() -> None:
    first = '{"connect":{"token":"secret"},"id":1}'
    async with streaming(counting(), "sse", first=first) as stream:
        assert b"secret" not in stream.exchange.scope["query_string"]


# --- the end ------------------------------------------------------------------------------------


@each_kind
async def test_a_close_is_told_before_the_stream_ends(kind: str) -> None:
    async with streaming(counting(), kind) as stream:
        await stream.send({"id": 2, "rpc": {"method": "leave"}})
        messages = [await stream.receive()]
        while messages[-1] is not None:
            messages.append(await stream.receive())
        assert messages[-2] == {"push": {"disconnect": {"code": 3507, "reason": "go away"}}}


async def test_a_message_that_is_too_large_ends_the_connection_for_good() -> None:
    async with streaming(counting(max_message_size=1024), "sse") as stream:
        await stream.send('{"id":2,"ping":{}}' + " " * 1024)
        told = (await stream.receive())["push"]["disconnect"]
        assert told == {"code": 3501, "reason": "at most 1024 bytes"}
        assert await stream.receive() is None


@each_kind
async def test_who_hangs_up_is_disconnected_and_leaves_no_mailbox(kind: str) -> None:
    app, codes = App(), []
    live = app.events("/connection", dialect=Centrifugo())

    @live.on_disconnect
    async def note(code: int) -> None:
        codes.append(code)

    async with streaming(app, kind):
        assert len(app.mailboxes) == len(app.connections) == 1
    assert codes == [1005]
    assert len(app.mailboxes) == len(app.connections) == 0


async def test_a_stream_ends_with_the_server() -> None:
    app = counting(drain_spread=0)
    async with streaming(app, "http_stream") as stream:
        await app.shut_down()
        assert (await stream.receive())["push"]["disconnect"]["code"] == 3001
        assert await stream.receive() is None


async def test_a_server_that_stops_lets_no_stream_in() -> None:
    app = counting()
    await app.shut_down()
    exchange = begun(app, "sse")
    assert (await exchange.start())[0] == 503


async def test_what_a_peer_does_not_read_waits_in_the_outbox_until_that_is_full() -> None:
    app = counting(outbox_bytes=4096)
    async with streaming(app, "http_stream") as stream:
        (ws,) = app.connections
        stream.exchange.reads.clear()
        await ws.send("x" * 2000)
        await asyncio.sleep(0)
        assert ws.connection.link.backlog > 2000
        with pytest.raises(ConnectionClosed):
            await flood(ws)
        assert ws.close_code == 1013


# --- who may ------------------------------------------------------------------------------------


@each_kind
async def test_a_page_of_another_origin_opens_no_stream(kind: str) -> None:
    exchange = begun(counting(), kind, OTHER)
    status, headers = await exchange.start()
    assert status == 403
    assert "access-control-allow-origin" not in headers


@each_kind
async def test_a_listed_origin_may_read_the_stream(kind: str) -> None:
    exchange = begun(counting(allowed_origins=[OTHER["origin"]]), kind, OTHER)
    status, headers = await exchange.start()
    assert status == 200
    assert headers["access-control-allow-origin"] == OTHER["origin"]
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["vary"] == "Origin"
    exchange.leave()
    await exchange.over()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_an_address_asked_for_by_an_image_of_another_site_opens_nothing(site: str) -> None:
    exchange = begun(counting(), "sse", {"sec-fetch-site": site})
    assert (await exchange.start())[0] == 403


PATHS = ("/connection/http_stream", "/connection/sse", "/emulation")


@pytest.mark.parametrize("path", PATHS)
async def test_a_preflight_is_answered_for_origins_that_may(path: str) -> None:
    app = counting(allowed_origins=[OTHER["origin"]])
    asks = {**OTHER, "access-control-request-headers": "content-type,x-mine"}
    answer = await request(app, "OPTIONS", path, asks)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == OTHER["origin"]
    assert answer.headers["access-control-allow-headers"] == "content-type,x-mine"
    method = "GET" if path.endswith("sse") else "POST"
    assert answer.headers["access-control-allow-methods"] == method


@pytest.mark.parametrize("path", PATHS)
async def test_a_preflight_of_another_origin_is_refused(path: str) -> None:
    answer = await request(counting(), "OPTIONS", path, OTHER)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_of_another_origin_sends_no_messages() -> None:
    body = '{"session":"","node":"","data":"{}"}'
    assert (await request(counting(), "POST", "/emulation", OTHER, body)).status == 403
    assert (await request(counting(), "POST", "/emulation", OWN, body)).status == 404


@each_kind
async def test_the_gate_refuses_who_brings_no_token(kind: str) -> None:
    async def verify(token: str) -> str | None:
        return token if token == "ada" else None

    app = App(auth=Bearer(verify))
    live = app.events("/connection", dialect=Centrifugo())

    @live.on("who")
    async def who(user: str) -> str:
        return user

    exchange = begun(app, kind)
    status, headers = await exchange.start()
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    async with streaming(app, kind, {"authorization": "Bearer ada"}) as stream:
        assert await stream.rpc(2, "who") == {"id": 2, "rpc": {"data": "ada"}}


@each_kind
async def test_the_session_cookie_says_who_it_is_and_may_be_set(kind: str) -> None:
    app = App(secret_key="a key for cookies of sessions")
    live = app.events("/connection", dialect=Centrifugo(), auth=SessionUser())

    @live.on_connect
    async def connect(ws: WebSocket) -> None:
        ws.handshake.session["seen"] = True

    async with TestClient(app):
        cookie = "; ".join(f"{k}={v}" for k, v in app.sign_session({"user": {"id": 1}}).items())
        exchange = begun(app, kind, {"cookie": cookie})
        status, headers = await exchange.start()
        assert status == 200
        assert headers["set-cookie"].startswith("session=")
        exchange.leave()
        await exchange.over()


async def test_the_connect_hook_may_refuse() -> None:
    app = App()
    live = app.events("/connection", dialect=Centrifugo())

    @live.on_connect
    async def connect() -> None:
        raise Refuse(418, "teapot", {"x-pot": "1"})

    exchange = begun(app, "http_stream")
    status, headers = await exchange.start()
    assert (status, headers["x-pot"]) == (418, "1")
    assert await exchange.piece() == (b"teapot", False)


# --- limits -------------------------------------------------------------------------------------


async def test_streams_count_as_connections() -> None:
    app = counting(max_connections=1)
    async with streaming(app, "http_stream"):
        assert (await begun(app, "sse").start())[0] == 503
    async with streaming(app, "sse"):
        pass


async def test_requests_are_charged_like_messages() -> None:
    app = counting(message_rate=1, message_burst=2)
    async with streaming(app, "http_stream") as stream:
        await stream.send({"id": 2, "ping": {}})
        await stream.send({"id": 3, "ping": {}})
        assert (await stream.receive())["id"] == 2
        refused = await stream.receive()
        assert (refused["id"], refused["error"]["code"]) == (3, 111)


async def test_a_request_waits_while_the_inbox_is_full() -> None:
    app, gate = App(inbox_frames=2), Gate()
    live = app.events("/connection", dialect=Centrifugo())

    @live.on("slow")
    async def slow() -> None:
        await gate()

    async with streaming(app, "http_stream") as stream:
        sent = [
            asyncio.create_task(stream.send({"id": n, "rpc": {"method": "slow"}}))
            for n in range(2, 8)
        ]
        await gate.reached.wait()
        await asyncio.wait(sent[:3])
        (ws,) = app.connections
        assert ws.connection.is_paused
        assert not sent[-1].done()
        gate.open.set()
        assert [await each for each in sent] == [204] * 6
        assert [(await stream.receive())["id"] for _ in sent] == list(range(2, 8))


async def test_more_requests_than_may_wait_end_the_connection() -> None:
    app, gate = App(inbox_frames=1, inbox_bytes=256), Gate()
    live = app.events("/connection", dialect=Centrifugo())

    @live.on("slow")
    async def slow() -> None:
        await gate()

    async with streaming(app, "http_stream") as stream:
        sent = [
            asyncio.create_task(stream.send({"id": n, "rpc": {"method": "slow"}}))
            for n in range(2, 32)
        ]
        assert [await each for each in sent] == [204] * 30
        assert (await stream.receive())["push"]["disconnect"]["code"] == 3013
        gate.open.set()


async def test_bodies_are_bounded() -> None:
    app = counting(max_message_size=1024)
    assert (await request(app, "POST", "/emulation", OWN, b" " * 6145)).status == 413
    assert (await begun(app, "http_stream", first=CONNECT + " " * 1024).start())[0] == 413


async def test_a_body_that_does_not_come_is_waited_for_as_long_as_a_handshake() -> None:
    exchange = Exchange(counting(handshake_timeout=0.05), "POST", "/emulation")
    exchange.hold()
    assert (await exchange.start())[0] == 408


# --- requests that are none ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/connection/http_stream", 405),
        ("POST", "/connection/sse", 405),
        ("GET", "/emulation", 405),
        ("GET", "/connection/sse", 400),
        ("POST", "/emulation", 400),
        ("POST", "/connection", 404),
    ],
)
async def test_other_requests_are_told_why_not(method: str, path: str, status: int) -> None:
    assert (await request(counting(), method, path)).status == status


@pytest.mark.parametrize(
    "body",
    ["[]", '{"session":"a","node":"b"}', '{"data":1}', "\xff", '"' * 100_000],
    ids=["list", "no data", "number", "not UTF-8", "quotes"],
)
async def test_a_message_that_is_none_is_refused(body: str) -> None:
    answer = await request(counting(), "POST", "/emulation", body=body.encode("latin-1"))
    assert answer.status == 400


async def test_an_unknown_worker_is_not_found_and_a_session_that_ended_is_forgotten() -> None:
    app = counting()
    async with streaming(app, "http_stream") as stream:
        assert await stream.send("{}", node="another") == 404
        assert await stream.send("{}", session="guessed") == 204
        assert (await stream.rpc(2, "add", {"a": 1, "b": 1}))["rpc"]["data"] == 2
    assert await stream.send("{}") == 204


async def test_sessions_are_not_told_over_a_websocket() -> None:
    async with TestClient(counting()) as client, client.connect("/connection/websocket") as ws:
        await ws.send_text(CONNECT)
        assert not {"session", "node"} & set(json.loads(await ws.receive_text())["connect"])


async def test_a_stream_is_no_websocket() -> None:
    async with TestClient(counting()) as client:
        for path in ("/connection/http_stream", "/connection/sse", "/connection", "/emulation"):
            with pytest.raises(HandshakeRefused) as caught:
                async with client.connect(path):
                    pass
            assert caught.value.status == 404


# --- registration -------------------------------------------------------------------------------


async def test_a_route_of_such_a_dialect_has_a_path_for_each_way_to_connect() -> None:
    assert counting().describe_routes() == [
        "websocket /connection/websocket  events: add, leave, repeat (centrifugo)",
        "POST /connection/http_stream  HTTP stream",
        "GET /connection/sse  server-sent events",
        "POST /emulation  messages of streams",
    ]


async def test_a_path_that_names_the_socket_has_that_alone() -> None:
    app = App()
    app.events("/live/websocket", dialect=Centrifugo())
    assert app.describe_routes() == ["websocket /live/websocket  events: none yet (centrifugo)"]
    assert (await request(app, "POST", "/live/http_stream")).status == 404


async def test_two_routes_share_the_path_of_messages() -> None:
    app = counting()
    app.events("/rooms/{room}", dialect=Centrifugo())
    exchange = Exchange(app, "POST", "/rooms/blue/http_stream", body=CONNECT)
    assert (await exchange.start())[0] == 200
    (ws,) = app.connections
    assert ws.path_params == {"room": "blue"}
    exchange.leave()
    await exchange.over()


async def test_the_name_of_a_route_leads_to_its_socket() -> None:
    app = App()
    app.events("/connection", dialect=Centrifugo(), name="live")
    assert app.url_path_for("live") == "/connection/websocket"


async def test_a_page_and_a_stream_do_not_share_a_path() -> None:
    app = counting()
    with pytest.raises(RegistrationError, match="POST /emulation is a stream's"):
        app.post("/emulation")(_page)
    other = App()
    other.post("/emulation")(_page)
    with pytest.raises(RegistrationError, match="/emulation is a page's"):
        other.events("/connection", dialect=Centrifugo())


async def _page() -> str:
    return ""


async def test_streams_are_served_beside_another_application() -> None:
    async def pages(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = counting(http=pages)
    assert (await request(app, "GET", "/connection/other")).status == 299
    async with streaming(app, "sse") as stream:
        assert (await stream.rpc(2, "add", {"a": 1, "b": 1}))["rpc"]["data"] == 2

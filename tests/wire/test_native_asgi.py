"""Any ASGI application on the native transport: the handshake, as Uvicorn's own protocols do it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.wire.native import HTTP, NativeServer, native_server, received, until
from tests.wire.raw import ACCEPT, handshake, raw_client

pytestmark = pytest.mark.parametrize("http", HTTP)

ACCEPTED = {"type": "websocket.accept"}


class Once:
    """An application for one connection: does what `script` says, and keeps what happened."""

    def __init__(self, *script: dict[str, Any]) -> None:
        self.script = script
        self.scope: Any = None
        self.received: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        try:
            self.received.append(await receive())
            for message in self.script:
                await send(message)
            if self.script:
                self.received.append(await receive())
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()


async def answer_of(server: NativeServer, request: bytes) -> bytes:
    async with raw_client(server.port) as client:
        await client.send(request)
        return await client.head()


@asynccontextmanager
async def scope_with(http: str, request: bytes, **options: Any) -> AsyncIterator[Any]:
    app = Once(ACCEPTED)
    async with native_server(app, http, **options) as server:
        await answer_of(server, request)
        await app.ended.wait()
        yield app.scope


REQUEST = handshake(
    "/a%20b/%C3%A9?x=1&y=%20",
    "X-Many: a",
    "X-Many: b",
    "Cookie: a=1",
    "Sec-WebSocket-Protocol: chat.v2, chat.v1",
)


@pytest.mark.parametrize("root_path", ["", "/below"])
async def test_the_scope_is_that_of_uvicorns_own_protocol(http: str, root_path: str) -> None:
    scopes = []
    for ws in ("websockets-sansio", "wirework.transports.native:NativeProtocol"):
        async with scope_with(http, REQUEST, ws=ws, root_path=root_path) as scope:
            scopes.append(scope)
    theirs, ours = scopes
    assert ours["asgi"] == {**theirs["asgi"], "spec_version": "2.5"}
    assert "websocket.http.response" in ours["extensions"]
    assert ours["client"][0] == theirs["client"][0]
    varying = {"asgi", "extensions", "client", "server"}
    assert {k: v for k, v in ours.items() if k not in varying} == {
        k: v for k, v in theirs.items() if k not in varying
    }


async def test_the_state_of_the_lifespan_is_copied_for_each_connection(http: str) -> None:
    states = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["shared"] = ["yes"]
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        states.append(scope["state"])
        scope["state"]["own"] = True
        await receive()
        await send(ACCEPTED)

    async with native_server(app, http, lifespan="on") as server:
        for _ in range(2):
            async with server.connect() as client:
                await client.wait_closed()
    first, second = states
    assert first == second == {"shared": ["yes"], "own": True}
    assert first is not second
    assert first["shared"] is second["shared"]


async def test_a_trusted_proxy_names_client_and_scheme(http: str) -> None:
    request = handshake("/", "X-Forwarded-For: 10.1.2.3", "X-Forwarded-Proto: https")
    async with scope_with(http, request, forwarded_allow_ips="127.0.0.1") as scope:
        assert (scope["client"], scope["scheme"]) == (("10.1.2.3", 0), "wss")
    async with scope_with(http, request, forwarded_allow_ips="10.9.9.9") as scope:
        assert (scope["client"][0], scope["scheme"]) == ("127.0.0.1", "ws")


async def test_an_acceptance_carries_subprotocol_and_headers(http: str) -> None:
    headers = [(b"x-one", b"1"), (b"x-many", b"a"), (b"X-Many", b"b"), (b"x-latin", b"\xe9")]
    app = Once({**ACCEPTED, "subprotocol": "chat.v1", "headers": headers})
    async with native_server(app, http, headers=[("x-server", "ours")]) as server:
        head = await answer_of(server, REQUEST)
    for line in (
        b"sec-websocket-protocol: chat.v1",
        b"sec-websocket-accept: " + ACCEPT.lower(),
        b"upgrade: websocket",
        b"x-one: 1",
        b"x-many: a\r\nx-many: b",
        b"x-latin: \xe9",
        b"x-server: ours",
        b"server: uvicorn",
        b"date: ",
    ):
        assert b"\r\n" + line in head
    assert head.startswith(b"http/1.1 101 switching protocols\r\n")


@pytest.mark.parametrize(
    "acceptance",
    [
        {"headers": [(b"x-bad", b"a\r\nx-injected: b")]},
        {"headers": [(b"x-bad\r\nx-injected", b"a")]},
        {"subprotocol": "chat\r\nx-injected: b"},
    ],
)
async def test_a_header_that_cannot_be_sent_is_an_error_and_no_answer(
    http: str, acceptance: dict[str, Any]
) -> None:
    app = Once({**ACCEPTED, **acceptance})
    async with native_server(app, http) as server, raw_client(server.port) as client:
        await client.send(REQUEST)
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"injected" not in answer
    assert isinstance(app.error, ValueError)


async def test_a_close_before_the_answer_refuses_with_403(http: str) -> None:
    app = Once({"type": "websocket.close", "code": 4000})
    async with native_server(app, http) as server:
        response = await server.refusal()
        await app.ended.wait()
    assert (response.status_code, response.body) == (403, b"")
    assert response.headers["connection"] == "close"
    assert app.received[1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


async def test_a_denial_response_is_sent_as_it_is(http: str) -> None:
    start = {"type": "websocket.http.response.start", "status": 418}
    headers = [(b"x-pot", b"tea"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    parts: list[dict[str, Any]] = [
        {"type": "websocket.http.response.body", "body": b"short ", "more_body": True},
        {"type": "websocket.http.response.body", "more_body": True},
        {"type": "websocket.http.response.body", "body": b"and stout"},
    ]
    app = Once({**start, "headers": headers}, *parts)
    async with native_server(app, http) as server:
        response = await server.refusal()
        await app.ended.wait()
    assert (response.status_code, response.body) == (418, b"short and stout")
    assert response.headers["x-pot"] == "tea"
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert response.headers["content-length"] == "15"
    assert app.received[1]["type"] == "websocket.disconnect"


async def test_an_application_that_does_not_answer_is_answered_for(
    http: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def returns(scope: Any, receive: Any, send: Any) -> None: ...

    async def raises(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a secret")

    async def starts_only(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})

    for app, words in (
        (returns, "ASGI callable returned without completing handshake."),
        (raises, "Exception in ASGI application"),
        (starts_only, "ASGI callable returned without completing handshake."),
    ):
        caplog.clear()
        async with native_server(app, http) as server:
            response = await server.refusal()
        assert (response.status_code, response.body) == (500, b"Internal Server Error")
        assert words in caplog.text


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([{"type": "websocket.send", "text": "early"}], "Expected ASGI message"),
        ([{"type": "websocket.http.response.body"}], "Expected ASGI message"),
        ([{"type": "websocket.http.response.start", "status": 999}], "Invalid HTTP status"),
        (
            [{"type": "websocket.http.response.start", "status": 403, "headers": []}, ACCEPTED],
            "Expected ASGI message 'websocket.http.response.body'",
        ),
        ([{"type": "websocket.close"}, ACCEPTED], "Unexpected ASGI message"),
        ([ACCEPTED, ACCEPTED], "Expected ASGI message 'websocket.send'"),
        ([ACCEPTED, {"type": "websocket.unknown"}], "Expected ASGI message 'websocket.send'"),
        (
            [ACCEPTED, {"type": "websocket.close"}, {"type": "websocket.send", "text": "late"}],
            "after sending 'websocket.close'",
        ),
        ([ACCEPTED, {"type": "websocket.close"}, {"type": "websocket.close"}], "Unexpected ASGI"),
    ],
)
async def test_a_message_out_of_order_is_an_error_of_the_application(
    http: str, script: list[dict[str, Any]], words: str
) -> None:
    app = Once(*script)
    async with native_server(app, http) as server, raw_client(server.port) as client:
        await client.send(handshake())
        await client.head()
        await app.ended.wait()
    if isinstance(app.error, OSError):
        assert script[0]["type"] == "websocket.close"
    else:
        assert isinstance(app.error, RuntimeError)
        assert words in str(app.error)


@pytest.mark.parametrize("how", ["abort", "eof"])
async def test_a_client_that_leaves_before_the_answer_is_a_disconnect(http: str, how: str) -> None:
    seen: list[Any] = []
    begun, gone = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())
        begun.set()
        seen.append(await receive())
        try:
            await send(ACCEPTED)
        except OSError as error:
            seen.append(error)
        gone.set()

    async with native_server(app, http) as server:
        async with raw_client(server.port) as client:
            await client.send(handshake())
            await begun.wait()
            if how == "eof":
                client.finish()
            else:
                client.abort()
            async with asyncio.timeout(10):
                await gone.wait()
        await until(lambda: not server.connections and not server.tasks)
    assert [each["type"] for each in seen[:2]] == ["websocket.connect", "websocket.disconnect"]
    assert seen[1]["code"] == 1006
    assert isinstance(seen[2], OSError)


async def test_the_access_log_is_that_of_uvicorns_own_protocol(
    http: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "uvicorn.error")
    start = {"type": "websocket.http.response.start", "status": 404, "headers": []}
    scripts: list[list[dict[str, Any]]] = [
        [ACCEPTED],
        [{"type": "websocket.close"}],
        [start, {"type": "websocket.http.response.body", "body": b""}],
    ]
    lines: dict[str, list[str]] = {}
    for ws in ("websockets-sansio", "wirework.transports.native:NativeProtocol"):
        caplog.clear()
        for script in scripts:
            app = Once(*script)
            async with native_server(app, http, ws=ws) as server:
                await answer_of(server, handshake("/a%0ab?x=%0a"))
                await app.ended.wait()
        found = [record.getMessage() for record in caplog.records]
        lines[ws] = [re.sub(r":\d+", ":port", line) for line in found if "WebSocket /" in line]
    theirs, ours = lines.values()
    assert ours == theirs
    assert len(ours) == 3


async def test_open_connections_count_for_the_limit_on_http_requests(http: str) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            native_server(_accept_and_wait, http, limit_concurrency=3)
        )
        for _ in range(2):
            client = await stack.enter_async_context(server.connect())
            assert await received(client) == "ready"
        head = await answer_of(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert head.startswith(b"http/1.1 503 ")


async def test_of_several_tasks_that_receive_each_gets_a_message_and_one_that_is_cancelled_none(
    http: str,
) -> None:
    said: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPTED)
        first, second, third = (asyncio.create_task(receive()) for _ in range(3))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        await send({"type": "websocket.send", "text": "ready"})
        said.extend([message["text"] for message in await asyncio.gather(second, third)])
        said.append((await receive())["text"])
        await send({"type": "websocket.send", "text": "done"})
        await receive()

    async with native_server(app, http) as server, server.connect() as client:
        assert await received(client) == "ready"
        for text in ("one", "two", "three"):
            await client.send(text)
        assert await received(client) == "done"
    assert sorted(said[:2]) == ["one", "two"]
    assert said[2] == "three"


async def _accept_and_wait(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPTED)
    await send({"type": "websocket.send", "text": "ready"})
    await receive()

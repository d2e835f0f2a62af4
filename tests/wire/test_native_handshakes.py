"""Hostile handshakes on the native transport: rows A1 to A14 of the table of faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.wire.native import HTTP, OWN_HTTP, NativeServer, alive, echo, native_server, until
from tests.wire.raw import frame, handshake, raw_client
from tests.wire.requests import LARGE, REFUSED, without
from wirework import App
from wirework.transports.native import bounded

VERSION = "Sec-WebSocket-Version: 13"


@pytest.fixture(params=HTTP)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[NativeServer]:
    async with native_server(echo, request.param) as running:
        yield running
        assert await alive(running)


async def answers(server: NativeServer, data: bytes) -> bytes:
    """Return everything that the server says until it ends the connection."""
    async with raw_client(server.port) as client:
        await client.send(data)
        return await client.rest()


async def test_a_request_that_is_not_right_is_refused_and_never_upgraded(
    server: NativeServer,
) -> None:
    for name, data in REFUSED.items():
        answer = await answers(server, data)
        assert answer.startswith(b"HTTP/1.1 4"), (name, answer)
        assert answer.count(b"HTTP/1.1 ") == 1, name
        assert b"\r\nconnection: close\r\n" in answer.lower(), name


async def test_a1_http_1_0_is_not_upgraded() -> None:
    async with native_server(echo, OWN_HTTP) as server:
        answer = await answers(server, without(start="GET / HTTP/1.0"))
        assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("version", ["8", "14", "13, 8", ""])
async def test_a3_another_version_is_told_which_one_is_spoken(
    server: NativeServer, version: str
) -> None:
    data = without(VERSION.partition(":")[0], more=(f"Sec-WebSocket-Version: {version}",))
    answer = (await answers(server, data)).lower()
    assert answer.startswith(b"http/1.1 426 ")
    assert b"\r\nsec-websocket-version: 13\r\n" in answer


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: keep-alive, Upgrade", "Upgrade: websocket"),
        ("connection:UPGRADE", "UPGRADE:WebSocket"),
        ("Connection: Upgrade , keep-alive", "Upgrade: WEBSOCKET"),
    ],
)
async def test_a4_every_spelling_of_browsers_and_proxies_is_accepted(
    server: NativeServer, lines: tuple[str, ...]
) -> None:
    async with raw_client(server.port) as client:
        await client.send(without("Connection", "Upgrade", more=lines))
        assert (await client.head()).startswith(b"http/1.1 101 ")


async def test_a5_a6_the_application_sees_exactly_the_headers_that_were_sent() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    async with native_server(app) as server, raw_client(server.port) as client:
        await client.send(handshake("/%2e%2e//a%00", "X-A: \x85\xe9\xa0", "X-B:", "X-C: a\tb"))
        await client.head()
    (scope,) = scopes
    found = dict(scope["headers"])
    assert (found[b"x-a"], found[b"x-b"], found[b"x-c"]) == (b"\x85\xe9\xa0", b"", b"a\tb")
    assert (scope["raw_path"], scope["path"]) == (b"/%2e%2e//a%00", "/..//a\x00")


@pytest.mark.parametrize("name", LARGE)
async def test_a7_a_head_that_is_too_large_is_refused_before_it_is_read(name: str) -> None:
    async with native_server(echo, OWN_HTTP) as server:
        async with raw_client(server.port) as client:
            sending = asyncio.create_task(client.send(LARGE[name]))
            assert (await client.head()).startswith(b"http/1.1 431 ")
            await until(lambda: not server.connections)
            await asyncio.wait([sending])
            sending.exception()
        assert await alive(server)


@pytest.mark.parametrize(
    "value",
    [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; x",
        "permessage-deflate; client_max_window_bits=16, x-webkit-deflate-frame",
        ";;;,,,===",
        '"' + "\\" * 1000,
        ("a;" * 5000),
    ],
)
async def test_a8_a9_a_hostile_extension_offer_is_declined(
    server: NativeServer, value: str
) -> None:
    async with raw_client(server.port) as client:
        await client.send(handshake("/", f"Sec-WebSocket-Extensions: {value}"))
        head = await client.head()
        assert head.startswith(b"http/1.1 101 ")
        assert b"sec-websocket-extensions" not in head


async def test_a11_a_body_is_not_upgraded_and_answered_once(server: NativeServer) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    length = f"Content-Length: {len(smuggled)}"
    answer = await answers(server, handshake("/", length) + smuggled)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a12_what_is_pipelined_behind_a_refusal_is_not_heard(server: NativeServer) -> None:
    answer = await answers(server, without("Sec-WebSocket-Key") + handshake("/second"))
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("data", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
async def test_a13_a_peer_that_is_slow_with_its_request_is_ended(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "HEAD_TIMEOUT", 0.25)
    async with native_server(echo, OWN_HTTP) as server:
        async with raw_client(server.port) as client:
            if data:
                await client.send(data)
            assert await client.rest() == b""
            await until(lambda: not server.connections)
        monkeypatch.undo()
        assert await alive(server)


async def test_a13_an_open_connection_is_not_bound_by_the_deadline_of_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded, "HEAD_TIMEOUT", 0.25)
    async with native_server(echo, OWN_HTTP) as server, server.opened() as client:
        async with raw_client(server.port) as slow:
            assert await slow.rest() == b""
        await client.send(frame(b"still here"))
        assert await client.frame() == (1, b"still here")


async def test_a13_a_late_first_byte_does_not_start_the_deadline_anew() -> None:
    async with native_server(echo, OWN_HTTP) as server, raw_client(server.port) as client:
        await until(lambda: len(server.connections) == 1)
        (waiting,) = server.connections
        due = waiting._due
        await client.send(b"G")
        await until(lambda: waiting not in server.connections)
        (reading,) = server.connections
        assert reading._input_due == due
        await client.send(b"ET / HTTP/1.1\r\n")
        await until(lambda: reading._latest.startswith(b"ET"))
        assert reading._input_due == due


async def test_a14_a_handshake_in_single_bytes_is_accepted(server: NativeServer) -> None:
    async with raw_client(server.port) as client:
        await client.send(handshake(), step=1)
        assert (await client.head()).startswith(b"http/1.1 101 ")
        await client.send(frame(b"hello"), step=1)
        assert await client.frame() == (1, b"hello")


async def test_a14_frames_glued_to_the_request_are_answered_in_order() -> None:
    async with native_server(echo, OWN_HTTP) as server, raw_client(server.port) as client:
        frames = b"".join(frame(f"{number}".encode()) for number in range(1000))
        await client.send(handshake() + frames)
        await client.head()
        await client.send(frame(b"last"))
        expected = [(1, f"{number}".encode()) for number in range(1000)] + [(1, b"last")]
        assert [await client.frame() for _ in expected] == expected


@pytest.mark.parametrize("http", HTTP)
async def test_a14_what_comes_before_a_late_answer_is_kept_and_bounded(http: str) -> None:
    begun, resume = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await resume.wait()
        await echo(scope, receive, send)

    async with native_server(app, http) as server, raw_client(server.port) as client:
        await client.send(handshake())
        await begun.wait()
        frames = [json.dumps([number, "x" * 1000]).encode() for number in range(6000)]
        sending = asyncio.create_task(client.send(b"".join(frame(each) for each in frames)))
        (protocol,) = server.connections
        await until(lambda: not protocol.transport.is_reading())
        assert not sending.done()
        resume.set()
        await client.head()
        assert [await client.frame() for _ in frames] == [(1, each) for each in frames]
        await sending


@pytest.mark.parametrize("limit", [{"max_header_bytes": 1000}, {"max_header_count": 10}], ids=str)
async def test_the_application_says_how_large_a_head_may_be(limit: dict[str, int]) -> None:
    app = App(**limit)  # type: ignore[arg-type]

    @app.ws("/")
    async def answer(msg: str) -> str:
        return msg

    more = "".join(f"X-{number}: {'x' * 100}\r\n" for number in range(12)).encode()
    request = handshake("/")
    async with native_server(app, OWN_HTTP) as server:
        for data, status in ((request, b"101"), (request[:-2] + more + b"\r\n", b"431")):
            async with raw_client(server.port) as client:
                await client.send(data)
                assert (await client.head()).startswith(b"http/1.1 " + status)

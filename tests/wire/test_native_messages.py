"""Any ASGI application on the native transport: messages, their limits, and every kind of end."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import CloseCode

from tests.wire.native import (
    HTTP,
    OWN_HTTP,
    alive,
    echo,
    ended,
    native_server,
    received,
    until,
)
from tests.wire.raw import frame, handshake, raw_client
from wirework.transports.native import wire

ACCEPTED = {"type": "websocket.accept"}
CLOSE = 8
http = pytest.mark.parametrize("http", HTTP)


class Watched:
    """Accepts, and keeps what it receives until the end."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.ended = asyncio.Event()
        self.send: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.send = send
        await receive()
        await send(ACCEPTED)
        while not self.received or self.received[-1]["type"] != "websocket.disconnect":
            self.received.append(await receive())
        self.ended.set()

    async def end(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            await self.ended.wait()
        return self.received[-1]


@http
@pytest.mark.parametrize("message", ["", "text", "é" * 1000, b"", b"\x00\xff", b"x" * 200_000])
async def test_messages_come_and_go_as_they_are(http: str, message: str | bytes) -> None:
    async with native_server(echo, http) as server, server.connect() as client:
        await client.send(message)
        assert await received(client) == message
        await client.send([message, message])
        assert await received(client) == message + message  # type: ignore[operator]


async def test_a_message_names_the_kind_that_it_is() -> None:
    app = Watched()
    async with native_server(app) as server:
        async with server.connect() as client:
            await client.send("text")
            await client.send(b"bytes")
        await app.end()
    assert app.received[:2] == [
        {"type": "websocket.receive", "text": "text"},
        {"type": "websocket.receive", "bytes": b"bytes"},
    ]


async def test_a_binary_message_may_be_any_buffer_and_is_sent_as_it_was() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPTED)
        data = bytearray(b"first")
        await send({"type": "websocket.send", "bytes": data, "text": None})
        data[:] = b"later"
        await send({"type": "websocket.send", "bytes": memoryview(data)})

    async with native_server(app) as server, server.connect() as client:
        assert [await received(client) for _ in range(2)] == [b"first", b"later"]


@pytest.mark.parametrize(
    ("close", "code", "reason"),
    [
        (b"\x03\xe8done", 1000, "done"),
        (b"\x0f\xa0", 4000, ""),
        (b"", 1005, ""),
        (None, 1006, ""),
    ],
)
async def test_the_application_learns_how_the_peer_has_left(
    close: bytes | None, code: int, reason: str
) -> None:
    app = Watched()
    async with native_server(app) as server, server.opened() as client:
        await client.send(frame(b"first"))
        if close is None:
            client.abort()
        else:
            await client.send(frame(close, CLOSE))
            assert await client.frame() == (CLOSE, close[:2])
            assert await client.rest() == b""
        assert await app.end() == {"type": "websocket.disconnect", "code": code, "reason": reason}
        if close is not None:
            assert app.received[0]["text"] == "first"


async def test_sending_to_a_peer_that_has_gone_raises_an_os_error() -> None:
    app = Watched()
    async with native_server(app) as server:
        async with server.connect():
            pass
        await app.end()
        for message in ({"type": "websocket.send", "text": "late"}, {"type": "websocket.close"}):
            with pytest.raises(OSError, match="the peer has gone"):
                await app.send(message)


@http
@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ({}, 1000, ""),
        ({"code": 4001, "reason": "enough"}, 4001, "enough"),
        ({"code": 1012, "reason": None}, 1012, ""),
        ({"code": 3000, "reason": "é" * 100}, 3000, "é" * 61),
    ],
)
async def test_a_close_tells_peer_and_application_the_same(
    http: str, message: dict[str, Any], code: int, reason: str
) -> None:
    app = Watched()
    async with native_server(app, http) as server, server.connect() as client:
        await until(lambda: app.send)
        await app.send({"type": "websocket.send", "text": "last"})
        await app.send({"type": "websocket.close", **message})
        assert await received(client) == "last"
        assert await ended(client) == (code, reason)
        assert await app.end() == {"type": "websocket.disconnect", "code": code, "reason": reason}


@pytest.mark.parametrize("code", [999, 1005, 1006, 2000, 5000])
async def test_a_close_code_that_may_not_be_sent_is_an_error_of_the_application(code: int) -> None:
    app = Watched()
    async with native_server(app) as server, server.connect() as client:
        await until(lambda: app.send)
        with pytest.raises(ValueError, match=str(code)):
            await app.send({"type": "websocket.close", "code": code})
        await client.send("still open")
        await until(lambda: app.received)


async def test_an_application_that_returns_or_raises_has_its_connection_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> Any:
        await receive()
        await send(ACCEPTED)
        if scope["path"] == "/raise":
            raise RuntimeError("a secret")
        return 5 if scope["path"] == "/five" else None

    async with native_server(app) as server:
        for path, code in (("/return", 1000), ("/five", 1000), ("/raise", 1011)):
            async with server.connect(path) as client:
                assert await ended(client) == (code, "")
    assert "ASGI callable should return None, but returned '5'." in caplog.text
    assert caplog.text.count("Exception in ASGI application") == 1


@http
async def test_a_message_over_ws_max_size_is_refused_and_one_of_it_is_not(http: str) -> None:
    app = Watched()
    async with native_server(app, http, ws_max_size=1000) as server:
        async with server.connect() as client:
            await client.send("x" * 1000)
            await client.send("x" * 1001)
            code, _ = await ended(client)
        end = await app.end()
    assert (code, end["code"]) == (CloseCode.MESSAGE_TOO_BIG, 1009)
    assert [len(each["text"]) for each in app.received[:-1]] == [1000]


async def test_the_peer_reads_why_even_while_it_is_sending_much() -> None:
    async with native_server(echo, ws_max_size=1000) as server:
        async with server.opened() as client:
            header = b"\x82\xff" + (5_000_000).to_bytes(8, "big") + bytes(4)
            await client.send(header + bytes(5_000_000))
            assert (await client.frame())[1][:2] == b"\x03\xf1"
            assert await client.rest() == b""
        assert await alive(server)


async def test_a_peer_is_pinged_and_ended_when_it_does_not_answer() -> None:
    app = Watched()
    options: Any = {"ws_ping_interval": 0.25, "ws_ping_timeout": 0.25}
    async with native_server(app, **options) as server, server.opened() as client:
        assert await client.frame() == (9, b"")
        await client.send(frame(b"", 10))
        assert await client.frame() == (9, b"")
        opcode, payload = await client.frame()
        assert (opcode, payload) == (CLOSE, b"\x03\xf3keepalive ping timeout")
        assert await client.rest() == b""
    assert (await app.end())["code"] == 1011


async def test_a_busy_application_does_not_cost_its_peer_the_connection() -> None:
    resume = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPTED)
        await resume.wait()
        await echo(scope, receive, _without_acceptance(send))

    options: Any = {"ws_ping_interval": 0.25, "ws_ping_timeout": 0.25, "ws_max_queue": 2}
    async with native_server(app, **options) as server, server.opened() as client:
        await client.send(frame(b"a") * 10)
        async with server.opened() as idle:
            while (await idle.frame())[0] != CLOSE:
                pass
        resume.set()
        while (found := await client.frame())[0] == 9:
            await client.send(frame(b"", 10))
        assert found == (1, b"a")


def _without_acceptance(send: Callable[[Any], Any]) -> Any:
    async def filtered(message: dict[str, Any]) -> None:
        if message["type"] != "websocket.accept":
            await send(message)

    return filtered


@http
async def test_a_stop_of_the_server_closes_with_1012(http: str) -> None:
    app = Watched()
    async with native_server(app, http) as server, server.connect() as client:
        await client.send("before")
        await until(lambda: app.received)
        server.stop()
        assert (await ended(client))[0] == CloseCode.SERVICE_RESTART
        assert (await app.end())["code"] == 1012
        await until(lambda: not server.tasks and not server.connections)


@http
async def test_a_stop_of_the_server_refuses_a_handshake_that_waits(http: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([await receive(), await receive()])
        with pytest.raises(OSError, match="the peer has gone"):
            await send(ACCEPTED)

    async with native_server(app, http) as server, raw_client(server.port) as client:
        await client.send(handshake())
        await until(lambda: seen or server.tasks)
        server.stop()
        assert (await client.rest()).startswith(b"HTTP/1.1 503 ")
        await until(lambda: not server.tasks)
    assert seen[1] == {"type": "websocket.disconnect", "code": 1012, "reason": ""}


@pytest.mark.parametrize("who", ["application", "server"])
async def test_b7_a_close_that_is_not_answered_ends_in_time(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "CLOSE_TIMEOUT", 0.25)
    monkeypatch.setattr(wire, "LINGER", 0.25)
    app = Watched()
    async with native_server(app, ws_max_size=10) as server, server.opened() as client:
        if who == "application":
            await app.send({"type": "websocket.close"})
        else:
            await client.send(frame(b"x" * 11))
        assert (await client.frame())[0] == CLOSE
        assert await client.rest() == b""
        await until(lambda: not server.connections)


async def test_two_tasks_may_receive() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPTED)
        async with asyncio.TaskGroup() as tasks:
            cancelled = tasks.create_task(receive())
            found = [tasks.create_task(receive()) for _ in range(2)]
            await asyncio.sleep(0)
            cancelled.cancel()
        for task in found:
            await send({**task.result(), "type": "websocket.send"})

    async with native_server(app) as server, server.connect() as client:
        await client.send("a")
        await client.send("b")
        assert {await received(client), await received(client)} == {"a", "b"}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder: Path = tmp_path_factory.mktemp("tls")
    key, found = str(folder / "key.pem"), str(folder / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-nodes", "-days", "2", "-keyout", key, "-out", found, *names]
    subprocess.run(command, check=True, capture_output=True)
    return key, found


@http
async def test_all_of_it_works_over_tls(http: str, certificate: tuple[str, str]) -> None:
    key, cert = certificate
    trusting = ssl.create_default_context(cafile=cert)
    options = {"ssl_keyfile": key, "ssl_certfile": cert, "ws_max_size": 300_000}
    async with native_server(echo, http, **options) as server:
        async with server.connect(tls=trusting) as client:
            for size in (0, 5, 200_000):
                await client.send("x" * size)
                assert await received(client) == "x" * size
            await client.send("x" * 300_001)
            assert (await ended(client))[0] == CloseCode.MESSAGE_TOO_BIG
        async with server.connect(tls=trusting) as client:
            server.stop()
            assert (await ended(client))[0] == CloseCode.SERVICE_RESTART
    await _scheme_is_wss(trusting, options)


async def _scheme_is_wss(trusting: ssl.SSLContext, options: dict[str, Any]) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    async with (
        native_server(app, OWN_HTTP, **options) as server,
        server.connect(tls=trusting) as client,
    ):
        await client.send("x")
        await received(client)
    assert scopes[0]["scheme"] == "wss"

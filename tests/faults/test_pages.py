"""Peers of plain HTTP that want more than their share: rows A17 to A22 and E8 of the page."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.served import MEBIBYTE, Served, served, until
from tests.wire.raw import RawClient, handshake, raw_client
from tests.wire.requests import request

PAGED = "tests.faults.paged:app"
OWN = ("native", "asgi")
"""Where Uvicorn reads HTTP, with our bounds."""

GET = request("Host: x", start="GET /state HTTP/1.1")
JSON = ("Host: x", "Content-Type: application/json")


def posted(path: str, *lines: str, body: bytes = b"") -> bytes:
    """Return a request with a body, or with what came of it so far."""
    return request(*JSON, *lines, start=f"POST {path} HTTP/1.1") + body


@pytest.fixture(scope="module", params=OWN)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("faults") / "log"
    limits: dict[str, Any] = {"handshake_timeout": 1, "write_stall_timeout": 0.5}
    with served(request.param, log, application=PAGED, **limits) as server:
        yield server


# --- more than there may be -----------------------------------------------------------------------

CHUNKED = "Transfer-Encoding: chunked"
ENDLESS = {
    "trailers": (posted("/greet", CHUNKED, body=b"2\r\n{}\r\n0\r\nX-T: "), b"a" * 65536),
    "trailers to a path that is not there": (
        posted("/nowhere", CHUNKED, body=b"0\r\nX-T: "),
        b"a" * 65536,
    ),
    "many trailers": (posted("/greet", CHUNKED, body=b"0\r\n"), b"X-T: a\r\n" * 8192),
    "extensions of a chunk": (posted("/greet", CHUNKED, body=b"1;"), b"a" * 65536),
    "line breaks before a request": (b"\r\n", b"\r\n" * 32768),
    "line breaks after an answer": (GET, b"\r\n" * 32768),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_is_beside_the_content_of_a_body_is_bounded_like_a_head(
    server: Served, name: str
) -> None:
    """A17: 32 MiB of it are not taken."""
    start, more = ENDLESS[name]
    with server.growth() as growth:
        async with raw_client(server.port) as client:
            await client.send(start)
            with pytest.raises(ConnectionError):  # noqa: PT012 - any of them may raise
                for _ in range(512):
                    await client.send(more)
    assert growth.bytes < 4 * MEBIBYTE


async def test_trailers_are_taken_and_are_no_headers(server: Served) -> None:
    """A17: those of a body that ends."""
    body = b'e\r\n{"name":"ada"}\r\n0\r\nX-T: a\r\nX-U: b\r\n\r\n'
    async with raw_client(server.port) as client:
        await client.send(posted("/greet", CHUNKED, "Connection: close", body=body))
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"hello ada")


# --- slower than it may be ------------------------------------------------------------------------

LENGTH = "Content-Length: 5000"
SLOW = {
    "a page that reads it": posted("/greet", LENGTH, body=b"{"),
    "in chunks": posted("/greet", CHUNKED, body=b"1000\r\n"),
    "no page": posted("/nowhere", LENGTH, body=b"{"),
    "an upgrade": handshake("/echo", LENGTH) + b"{",
    "a page that does not read it": request(*JSON, LENGTH, start="GET /state HTTP/1.1"),
}


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("is_dripping", [False, True], ids=["silent", "dripping"])
async def test_a_body_that_does_not_come_ends_the_connection(
    server: Served, name: str, is_dripping: bool
) -> None:
    """A18: who says nothing more, and who says a byte now and then."""
    async with raw_client(server.port) as client:
        await client.send(SLOW[name])
        answer = await (drip(client) if is_dripping else client.rest())
    assert answer[9:12] in (b"", b"200", b"400", b"404", b"408")


async def drip(client: RawClient) -> bytes:
    """Send a byte whenever there is time, until the server has had enough; return the rest."""
    reading = asyncio.create_task(client.rest(within=20))
    with suppress(ConnectionError):
        while not (await asyncio.wait([reading], timeout=0.2))[0]:
            await client.send(b"1")
    with suppress(ConnectionError):
        return await reading
    return b""


async def test_a_body_in_single_bytes_is_taken(server: Served) -> None:
    """A18: however the network cuts it."""
    body = b'{"name":"' + b"a" * 3000 + b'"}'
    lines = (f"Content-Length: {len(body)}", "Connection: close")
    async with raw_client(server.port) as client:
        await client.send(posted("/greet", *lines, body=body), step=1)
        assert (await client.rest()).startswith(b"HTTP/1.1 200 ")


async def test_a_byte_after_an_answer_keeps_no_connection(tmp_path: Path) -> None:
    """A18: Uvicorn's own timer ends with any byte, and no request begins with a line break."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(served(name, tmp_path / name, application=PAGED)) for name in OWN
        ]
        await asyncio.gather(*map(outlast_stray_bytes, servers))


async def outlast_stray_bytes(server: Served) -> None:
    await server.state()
    before = server.descriptors
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(server.port)) for _ in range(20)]
        for client in clients:
            await client.send(GET)
            await client.head()
            await client.send(b"\r\n")
        await asyncio.gather(*(client.rest(within=20) for client in clients))
        await until(lambda: server.descriptors <= before)


# --- answers that nobody reads --------------------------------------------------------------------

FLOOD = b'{"id":1,"connect":{}}\n{"id":2,"rpc":{"method":"flood","data":{"n":30000}}}'
UNREAD = {
    "a page": request("Host: x", start="GET /large HTTP/1.1"),
    "the last page": request("Host: x", "Connection: close", start="GET /large HTTP/1.1"),
    "a stream": posted("/connection/http_stream", f"Content-Length: {len(FLOOD)}", body=FLOOD),
}


@pytest.mark.parametrize("name", UNREAD)
async def test_an_answer_that_is_not_read_keeps_no_socket(server: Served, name: str) -> None:
    """A19: neither while the application writes nor after it has ended."""
    before = server.descriptors
    async with AsyncExitStack() as stack:
        for _ in range(5):
            client = await stack.enter_async_context(raw_client(server.port, is_deaf=True))
            await client.send(UNREAD[name])
            await client.head()
        await until(lambda: server.descriptors <= before)


async def test_an_answer_that_is_read_late_is_whole(server: Served) -> None:
    """A19: while it is read, bit by bit, nobody is ended."""
    async with raw_client(server.port, is_deaf=True) as client:
        await client.send(UNREAD["the last page"])
        await client.head()
        size = 0
        while part := await client.some(1000):
            size += len(part)
    assert size == 8_000_000


# --- peers that leave -----------------------------------------------------------------------------


async def test_a_body_that_its_peer_cuts_is_no_line_in_the_log(server: Served) -> None:
    """A20: it is nobody's fault here."""
    before = server.output
    for number in range(20):
        async with raw_client(server.port) as client:
            await client.send(posted("/greet", LENGTH, body=b"{" * (number + 1)))
            if number % 2:
                client.abort()
    await server.state()
    assert server.output == before


async def test_a_token_in_the_address_of_a_page_is_in_no_log(tmp_path: Path) -> None:
    """E8: of an upgrade that is none, and of a path that is not there."""
    with served("native", tmp_path / "log", "--access-log", application=PAGED) as server:
        for path in ("/query", "/nowhere"):
            async with raw_client(server.port) as client:
                await client.send(request("Host: x", start=f"GET {path}?a=1&token=t-ada HTTP/1.1"))
                await client.head()
        await until(lambda: server.output.count("a=1&token=***") == 2)
        assert "t-ada" not in server.output


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, ...]:
    """What `wirework run` is told."""
    key, cert = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-keyout", key, "-out", cert, "-subj", "/CN=localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return "--ssl-certfile", cert, "--ssl-keyfile", key


async def test_a_peer_that_does_not_begin_tls_is_ended(
    tmp_path: Path, certificate: tuple[str, ...]
) -> None:
    """A21: within `handshake_timeout`; asyncio itself waits for a minute."""
    log = tmp_path / "log"
    with served("native", log, *certificate, application=PAGED, handshake_timeout=1) as server:
        async with raw_client(server.port) as client:
            assert await client.rest() == b""


# --- the end of the server ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slow", "unread"])
async def test_peers_of_pages_do_not_hold_up_the_end_of_the_server(
    tmp_path: Path, name: str
) -> None:
    """A22: the server ends long before `drain_timeout`, which they would have it wait for."""
    limits: dict[str, Any] = {"handshake_timeout": 1, "write_stall_timeout": 0.5}
    attacks = UNREAD if name == "unread" else SLOW
    async with AsyncExitStack() as stack:
        with served(
            "native", tmp_path / "log", application=PAGED, drain_timeout=300, **limits
        ) as server:
            for data in attacks.values():
                deaf = raw_client(server.port, is_deaf=True)
                await (await stack.enter_async_context(deaf)).send(data)
            await server.state()
            assert await asyncio.to_thread(server.process.end) == 0

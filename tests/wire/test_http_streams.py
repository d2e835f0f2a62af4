"""Streams on every server: what they carry, and how they end."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.contract.process import COMMANDS, HOST, ServerProcess, start
from tests.contract.sockets import NO_TLS
from tests.unit.transports.exchange import CONNECT

APPLICATION = "tests.wire.stream_application:app"
SECONDS = 15.0
PATIENT = [name for name in COMMANDS if name != "granian"]
"""Granian's ASGI waits for streams to end, and does not tell the application to end them."""

MEASURED = [name for name in COMMANDS if name not in ("rsgi", "daphne")]
"""Those that let the application wait for a slow peer."""

each_kind = pytest.mark.parametrize("kind", ["http_stream", "sse"])


@pytest.fixture(scope="module", params=COMMANDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Every server in turn, one for the tests of this module."""
    process = start(request.param, APPLICATION, tmp_path_factory.mktemp(request.param) / "log")
    yield process
    print(process.output)
    process.kill()


class Stream:
    """A stream, and the client that sends its messages."""

    def __init__(self, client: httpx.AsyncClient, lines: AsyncIterator[str]) -> None:
        self.client = client
        self._lines = lines
        self.said: dict[str, Any] = {}

    async def receive(self) -> Any:
        """Return the next message; None at the end."""
        async with asyncio.timeout(SECONDS):
            async for line in self._lines:
                if line:
                    return json.loads(line.removeprefix("data: "))
        return None

    async def send(self, message: Any) -> int:
        """Send a message in a request of its own; return the status of the answer."""
        body = {"session": self.said["session"], "node": self.said["node"]}
        body["data"] = json.dumps(message)
        return (await self.client.post("/emulation", json=body)).status_code


@asynccontextmanager
async def streaming(port: int, kind: str) -> AsyncIterator[Stream]:
    """Open a stream and connect; hang up at the end."""
    path, method, body = "/connection/http_stream", "POST", CONNECT
    if kind == "sse":
        path, method, body = f"/connection/sse?cf_connect={quote(CONNECT)}", "GET", ""
    async with (
        httpx.AsyncClient(
            base_url=f"http://{HOST}:{port}", timeout=SECONDS, verify=NO_TLS
        ) as client,
        client.stream(method, path, content=body) as response,
    ):
        assert response.status_code == 200
        stream = Stream(client, response.aiter_lines())
        stream.said = (await stream.receive())["connect"]
        yield stream


async def end_of(server: ServerProcess, id: str) -> int:
    """Wait until a connection has ended; return its close code."""
    url = f"http://{HOST}:{server.port}/ended/{id}"
    async with httpx.AsyncClient(verify=NO_TLS) as client, asyncio.timeout(SECONDS):
        while (code := (await client.get(url)).json()) == 0:
            pass
    assert isinstance(code, int)
    return code


@each_kind
async def test_a_stream_answers_what_requests_ask(server: ServerProcess, kind: str) -> None:
    async with streaming(server.port, kind) as stream:
        for n in range(2, 6):
            call = {"id": n, "rpc": {"method": "add", "data": {"a": n, "b": 1}}}
            assert await stream.send(call) == 204
            assert await stream.receive() == {"id": n, "rpc": {"data": n + 1}}


@each_kind
async def test_a_publication_comes_at_once(server: ServerProcess, kind: str) -> None:
    async with streaming(server.port, kind) as one, streaming(server.port, kind) as two:
        for stream in (one, two):
            await stream.send({"id": 2, "subscribe": {"channel": f"room:{kind}"}})
            assert (await stream.receive())["id"] == 2
        await one.send({"id": 3, "publish": {"channel": f"room:{kind}", "data": {"text": "hi"}}})
        push = (await two.receive())["push"]
        assert (push["channel"], push["pub"]["data"]) == (f"room:{kind}", {"text": "hi"})


@each_kind
async def test_the_server_says_why_it_ends_a_stream(server: ServerProcess, kind: str) -> None:
    async with streaming(server.port, kind) as stream:
        await stream.send({"id": 2, "rpc": {"method": "leave"}})
        told = {"push": {"disconnect": {"code": 3507, "reason": "go away"}}}
        assert told in [await stream.receive(), await stream.receive()]
        assert await stream.receive() is None


@each_kind
async def test_the_application_learns_that_a_peer_has_gone(
    server: ServerProcess, kind: str
) -> None:
    async with streaming(server.port, kind) as stream:
        id = stream.said["client"]
    assert await end_of(server, id) == 1005


@pytest.mark.parametrize("server", MEASURED, indirect=True)
async def test_a_peer_that_does_not_read_is_cut_off(server: ServerProcess) -> None:
    async with streaming(server.port, "http_stream") as stream:
        flood = {"method": "flood", "data": {"size": 65536, "times": 1000}}
        await stream.send({"id": 2, "rpc": flood})
        assert await end_of(server, stream.said["client"]) == 1013


@pytest.mark.parametrize("name", PATIENT)
async def test_a_server_that_stops_ends_its_streams(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    process = start(name, APPLICATION, tmp_path_factory.mktemp(name) / "log")
    try:
        async with streaming(process.port, "http_stream") as stream:
            process.process.send_signal(signal.SIGTERM)
            told = await stream.receive()
            assert told["push"]["disconnect"]["code"] == 3001
            assert await stream.receive() is None
        assert process.process.wait(SECONDS) in (0, -signal.SIGTERM)
    finally:
        process.kill()

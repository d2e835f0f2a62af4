"""What is configured shows on the wire: row H7 of the page of faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets import ConnectionClosed, connect

from tests.faults.served import Served, served
from tests.wire.raw import frame, handshake, raw_client
from tests.wire.violations import masked

Probe = Callable[[Served], Awaitable[object]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server with the defaults."""
    with served("native", tmp_path_factory.mktemp("faults") / "log") as server:
        yield server


def status(path: str = "/echo", *lines: str, count: int = 1) -> Probe:
    """Return what gives the status of the last of so many handshakes, held open."""

    async def probe(server: Served) -> object:
        async with AsyncExitStack() as stack:
            for _ in range(count):
                client = await stack.enter_async_context(raw_client(server.port))
                await client.send(handshake(path, *lines))
                head = await client.head()
        return int(head.split(b" ", 2)[1])

    return probe


def offered(extension: str) -> Probe:
    """Return what tells whether an extension is agreed on."""

    async def probe(server: Served) -> object:
        async with raw_client(server.port) as client:
            await client.send(handshake("/echo", f"Sec-WebSocket-Extensions: {extension}"))
            return b"\r\nsec-websocket-extensions: " in await client.head()

    return probe


def close_code(*data: bytes) -> Probe:
    """Return what gives the close code after some frames and their echoes; None for no close."""

    async def probe(server: Served) -> object:
        async with server.opened() as client:
            await client.send(b"".join(data) + frame(b"the last"))
            while (said := await client.frame()) != (1, b"the last"):
                if said[0] == 8:
                    return int.from_bytes(said[1][:2], "big")
        return None

    return probe


async def silence(server: Served) -> object:
    """Say nothing, until a close comes; return its code."""
    async with server.opened() as client:
        return int.from_bytes((await client.frame())[1][:2], "big")


MANY = tuple(f"X-{number}: a" for number in range(20))
LONG = "X-A: " + "a" * 900
FOREIGN = "Origin: https://app.example.com"
BIG = masked(0x82, 60_000, bytes(60_000))

OPTIONS: dict[str, tuple[dict[str, Any], Probe, object, object]] = {
    "websocket": ({"websocket": False}, status(), 403, 101),
    "max_message_size": ({"max_message_size": 100}, close_code(frame(bytes(101), 2)), 1009, None),
    "max_header_bytes": (
        {"max_header_bytes": 1000},
        status("/echo", "X-A: " + "a" * 900),
        431,
        101,
    ),
    "max_header_count": ({"max_header_count": 10}, status("/echo", *MANY), 431, 101),
    "message_rate": ({"message_rate": 5}, close_code(*[frame(b"x")] * 30), 4429, None),
    "byte_rate": ({"byte_rate": 65_536}, close_code(*[BIG] * 3), 4429, None),
    "max_connections": ({"max_connections": 3}, status(count=4), 503, 101),
    "max_connections_per_address": (
        {"max_connections_per_address": 3},
        status(count=4),
        429,
        101,
    ),
    "handshake_rate": ({"handshake_rate": 3}, status(count=9), 503, 101),
    "handshake_rate_per_address": ({"handshake_rate_per_address": 3}, status(count=9), 429, 101),
    "require_origin": ({"require_origin": True}, status(), 403, 101),
    "allowed_origins": (
        {"allowed_origins": "https://app.example.com"},
        status("/echo", FOREIGN),
        101,
        403,
    ),
    "auth_refusal": ({"auth_refusal": "close"}, status("/private/a"), 101, 401),
    "compression": ({"compression": True}, offered("permessage-deflate"), True, False),
}


@pytest.mark.parametrize("name", OPTIONS)
async def test_an_option_changes_what_peers_see(name: str, plain: Served, tmp_path: Path) -> None:
    """H7: from the environment of `wirework run` to the wire."""
    settings, probe, expected, otherwise = OPTIONS[name]
    assert await probe(plain) == otherwise
    with served("native", tmp_path / "log", **settings) as server:
        assert await probe(server) == expected


SLOW: dict[str, tuple[dict[str, Any], Probe, object]] = {
    "idle_timeout": ({"idle_timeout": 0.5, "write_stall_timeout": 0.5}, silence, 4408),
    "handshake_timeout": ({"handshake_timeout": 0.5}, status("/wait"), 503),
}


@pytest.mark.parametrize("name", SLOW)
async def test_an_option_of_time_changes_what_peers_see(name: str, tmp_path: Path) -> None:
    """H7: what happens after a while, without a wait for the default."""
    settings, probe, expected = SLOW[name]
    with served("native", tmp_path / "log", **settings) as server:
        assert await probe(server) == expected


@pytest.mark.parametrize("more", [1, 18 * 2**20], ids=["the setting", "twice the setting"])
async def test_a_message_may_be_larger_than_uvicorn_takes_by_itself(
    more: int, tmp_path: Path
) -> None:
    """H7: its own limit is 16 MiB; what is over the setting is refused, by whomever."""
    size = 17 * 2**20
    with served("asgi", tmp_path / "log", max_message_size=size, outbox_bytes=2 * size) as server:
        url = f"ws://{server.authority}/echo"
        async with connect(url, max_size=None, compression=None) as ws:
            await ws.send(bytes(size))
            assert await ws.recv() == bytes(size)
            with suppress(ConnectionClosed):
                await ws.send(bytes(size + more))
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        assert ws.close_code == 1009

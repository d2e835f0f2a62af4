"""Too many peers at once, and peers that say nothing: rows A13, A15 and A16 of the page."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.contract.process import HOST
from tests.faults.served import TRANSPORTS, Served, served, until
from tests.wire.raw import RawClient, frame, handshake, raw_client

OWN = ("native", "asgi")
"""Where a peer that says nothing at all is noticed; Granian waits for it for ever."""

SLOW = (b"", b"G", b"GET /echo HTTP/1.1\r\nHost: x\r\nX-A: ")
"""What slow peers have sent so far."""


@contextmanager
def silent_sockets(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connect so many sockets, which then say nothing; the server need not have accepted them."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            found.append(stack.enter_context(socket.socket()))
            found[-1].setblocking(False)
            found[-1].connect_ex((HOST, port))
        yield found


async def dribble(client: RawClient) -> None:
    """Send a header that never ends, whenever there is time, until the server has had enough."""
    while True:
        try:
            await client.send(b"a")
            async with asyncio.timeout(0.2):
                await client.rest()
            return
        except TimeoutError:
            continue
        except ConnectionError:
            return


async def test_five_hundred_peers_that_say_nothing_are_gone_in_time(tmp_path: Path) -> None:
    """A13: and slow ones with them; meanwhile others are served. On both transports at once."""
    with ExitStack() as stack:
        servers = [stack.enter_context(served(name, tmp_path / name)) for name in OWN]
        await asyncio.gather(*map(outlast_the_silent, servers))


async def outlast_the_silent(server: Served) -> None:
    await server.state()
    before = server.descriptors
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(server.port)) for _ in range(500)]
        for number, client in enumerate(clients):
            if data := SLOW[number % len(SLOW)]:
                await client.send(data)
        slow = [asyncio.create_task(dribble(client)) for client in clients[2:30:3]]
        await until(lambda: server.descriptors > before + 450)
        assert await server.is_alive()
        silent = clients[:2] + clients[30:]
        await asyncio.gather(*(client.rest(within=20) for client in silent))
        await asyncio.gather(*slow)
        await until(lambda: server.descriptors <= before)
        assert await server.is_alive()


@pytest.mark.parametrize("data", SLOW[1:], ids=["a byte", "a header"])
async def test_granian_is_told_how_long_a_request_may_take(data: bytes, tmp_path: Path) -> None:
    """A13: by `wirework run`; its own deadline is 30 s."""
    with served("rsgi", tmp_path / "log", handshake_timeout=1) as server:
        async with raw_client(server.port) as client:
            await client.send(data)
            assert await client.rest() == b""
        assert await server.is_alive()


async def knock(server: Served) -> bytes:
    """Ask for a connection, and hold it until all have asked; return the status."""
    async with raw_client(server.port) as client:
        await client.send(handshake("/echo"))
        head = await client.head()
        if b" 503 " in head and server.name != "rsgi":
            assert b"\r\nretry-after: " in head
        return head[9:12]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_burst_of_handshakes_over_the_limit_is_answered(
    transport: str, tmp_path: Path
) -> None:
    """A15: a thousand at once, of which fifty have a place; the others are told to come back."""
    with served(transport, tmp_path / "log", max_connections=50) as server:
        async with AsyncExitStack() as stack:
            places = [await stack.enter_async_context(server.opened()) for _ in range(50)]
            statuses = Counter(await asyncio.gather(*(knock(server) for _ in range(1000))))
            assert statuses == {b"503": 1000}
            for client in places:
                await client.send(frame(b"still here"))
                assert await client.frame() == (1, b"still here")
        await until(lambda: server.descriptors < 50)
        assert await server.is_alive()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_without_descriptors_the_server_waits_and_recovers(
    transport: str, tmp_path: Path
) -> None:
    """A16: peers that are in are served, no time is burnt, the log stays short."""
    log = tmp_path / "log"
    with served(transport, log, descriptors=256, max_connections="none") as server:
        async with server.opened() as client:
            with silent_sockets(server.port, 300):
                await until(lambda: server.descriptors > 240)
                before = server.cpu_seconds
                silence = asyncio.create_task(client.frame())
                await asyncio.wait([silence], timeout=2.0)
                assert not silence.done()
                print(
                    transport,
                    server.cpu_seconds - before,
                    server.descriptors,
                    len(server.output.splitlines()),
                )
                burnt = server.cpu_seconds - before
                assert transport == "rsgi" or burnt < 1.0, burnt  # Granian tries again at once
                await client.send(frame(b"still here"))
                assert await silence == (1, b"still here")
            await until(lambda: server.descriptors < 60)
            assert await server.is_alive()
        assert len(server.output.splitlines()) < 200

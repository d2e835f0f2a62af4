"""Silent peers, slow, cut and wrong networks, clocks that jump: rows D1 to D9 of the page."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.contract.process import HOST
from tests.faults.network import Line, line_to
from tests.faults.served import Served, served, until
from tests.wire.raw import frame, handshake, raw_client
from tests.wire.violations import masked
from wirework import Settings

PING = 9
INTERVAL = 0.5
"""Seconds between pings here, and until one must be answered."""


@pytest.fixture(scope="module")
def pinging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server that pings often."""
    log = tmp_path_factory.mktemp("faults") / "log"
    names = ("heartbeat_interval", "heartbeat_timeout", "write_stall_timeout")
    settings: dict[str, Any] = dict.fromkeys(names, INTERVAL)
    with served("native", log, **settings, idle_timeout=3600) as server:
        yield server


@asynccontextmanager
async def peer_of(line: Line | Served, path: str = "/echo") -> AsyncIterator[ClientConnection]:
    """Connect a client that answers pings and sends none."""
    url = f"ws://{HOST}:{line.port}{path}"
    options = {"ping_interval": None, "compression": None, "proxy": None, "max_size": None}
    async with connect(url, **options) as client:  # type: ignore[arg-type]
        yield client


async def echoes(client: ClientConnection, count: int) -> bool:
    """Whether messages come back, once each and in order."""
    sent = [f"{number} " + "x" * 50 for number in range(count)]
    async with asyncio.timeout(30):
        for each in sent:
            await client.send(each)
        return [await client.recv() for _ in sent] == sent


async def nothing_said(client: ClientConnection, seconds: float) -> bool:
    """Whether a connection stays open, and silent, for a while."""
    waiting = asyncio.create_task(client.wait_closed())
    await asyncio.wait([waiting], timeout=seconds)
    is_open = not waiting.done()
    waiting.cancel()
    return is_open


async def ended(server: Served) -> int:
    """Wait until every handler that began on an accepted connection has ended; return how many."""
    async with asyncio.timeout(20):
        while True:
            seen = (await server.state())["seen"]
            if seen.get("begun", 0) == seen.get("ended", 0):
                return int(seen.get("begun", 0))


async def test_a_peer_that_is_gone_without_a_word_is_noticed(pinging: Served) -> None:
    """D1: it is pinged, and ended when it does not answer; its handler learns of it."""
    before = await ended(pinging)
    async with pinging.opened("/echo") as client:
        assert await client.frame() == (PING, b"")
        assert await client.rest() == b""
        assert await ended(pinging) == before + 1


async def test_a_healthy_idle_peer_stays_behind_a_proxy_that_cuts_idle_ones(
    pinging: Served,
) -> None:
    """D2: pings come more often than proxies cut; by default 25 s against their 60 s."""
    async with line_to(pinging.port) as line:
        line.idle_timeout = 4 * INTERVAL
        async with peer_of(line) as client:
            start = line.passed
            await until(lambda: line.passed >= start + 8)
            assert await echoes(client, 1)
    assert (Settings().heartbeat_interval or 60) < 60


@pytest.mark.parametrize("is_dribbling", [False, True], ids=["stopped", "dribbling"])
async def test_a_peer_that_does_not_end_its_frame_is_ended(
    pinging: Served, is_dribbling: bool
) -> None:
    """D3: bytes of a frame that never ends are no sign of life."""
    async with pinging.opened() as client:
        await client.send(masked(0x82, 60_000, b"x"))
        ending = asyncio.create_task(client.rest())
        while is_dribbling and not ending.done():
            await asyncio.wait([ending], timeout=INTERVAL / 5)
            try:
                await client.send(b"x")
            except ConnectionError:
                break
        await ending


async def test_what_a_blackhole_held_back_arrives_once_and_in_order(server: Served) -> None:
    """D4: as long as both ends live; what is lost with the connection is the issue Channels."""
    async with line_to(server.port) as line, peer_of(line) as client:
        assert await echoes(client, 1)
        line.hold()
        checking = asyncio.create_task(echoes(client, 200))
        await asyncio.wait([checking], timeout=1.0)
        assert not checking.done()
        line.release()
        assert await checking


async def test_a_cut_after_any_byte_ends_a_connection_once(server: Served) -> None:
    """D5: from the handshake to the close, in both directions; every handler ends, and once."""
    frames = (
        frame(b"a" * 100),
        frame(b"b", 2, is_final=False),
        frame(b"c" * 300, 0),
        frame(b"", 9),
    )
    script = handshake("/echo") + b"".join(frames) * 4 + frame(b"\x03\xe8", 8)
    before = await ended(server)
    for size in range(0, len(script), 3):
        async with raw_client(server.port) as client:
            if size:
                await client.send(script[:size])
            client.abort()
    for size in range(1, 1500, 10):
        async with raw_client(server.port) as client:
            await client.send(script)
            await client.some(size)
            client.abort()
    assert await ended(server) > before + 100


async def test_a_slow_network_changes_nothing(pinging: Served) -> None:
    """D6: delays, in pieces of a few bytes: in order, and no ping is taken for a lost one."""
    async with line_to(pinging.port) as line:
        line.delay, line.chunk = 0.02, 100
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(peer_of(line)) for _ in range(5)]
            assert await asyncio.gather(*(echoes(client, 40) for client in clients)) == [True] * 5
            line.delay, line.chunk = 0.001, 1
            assert await asyncio.gather(*(echoes(client, 5) for client in clients)) == [True] * 5


async def test_bits_that_flip_on_the_way_end_a_connection_cleanly(server: Served) -> None:
    """D7: or arrive as another message; there is no third outcome, and no traceback."""
    chance = random.Random(7)

    def flip(data: bytes) -> bytes:
        found = bytearray(data)
        if not data.startswith(b"GET "):
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
        return bytes(found)

    async with line_to(server.port) as line:
        line.falsify = flip
        for _ in range(100):
            async with raw_client(line.port) as client:
                await client.send(handshake("/echo"))
                await client.head()
                await client.send(frame(b"hello" * 10))
                client.finish()
                await client.rest()
    await ended(server)


async def test_a_server_that_was_stopped_for_a_while_keeps_its_peers(pinging: Served) -> None:
    """D8: the time in which it stood still is no time of its deadlines."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(peer_of(pinging)) for _ in range(20)]
        assert await asyncio.gather(*(echoes(client, 1) for client in clients)) == [True] * 20
        pinging.signal(signal.SIGSTOP)
        try:
            assert await nothing_said(clients[0], 6 * INTERVAL)
        finally:
            pinging.signal(signal.SIGCONT)
        assert await nothing_said(clients[0], 4 * INTERVAL)
        assert await asyncio.gather(*(echoes(client, 5) for client in clients)) == [True] * 20


@pytest.mark.parametrize("jump", [3600, -3600])
async def test_a_wall_clock_that_jumps_ends_nobody_and_keeps_nobody(
    pinging: Served, jump: int
) -> None:
    """D9: deadlines have a clock that only goes forward."""
    async with peer_of(pinging) as client, pinging.opened("/echo") as silent:
        assert (await pinging.request("GET", "/clock", params={"by": jump})).json() == jump
        await silent.rest()
        assert await nothing_said(client, 2 * INTERVAL)
        assert await echoes(client, 5)

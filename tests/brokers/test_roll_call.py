"""Two processes on a real broker: who came and went while it was away is told afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.unit.channels.halting import PRESENT, arriving
from tests.unit.channels.listeners import Peer
from tests.unit.channels.test_presence import news
from wirework.brokers import broker_of
from wirework.channels import roll_call
from wirework.channels.hub import Hub

from .record import PATIENCE
from .redis_scene import command
from .servers import BrokerServer, nats_server, redis_server

SERVERS: dict[str, Callable[[Path], BrokerServer]] = {"redis": redis_server, "nats": nats_server}


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerServer]:
    """A server of one's own, that may be killed."""
    found = SERVERS[request.param](tmp_path)
    found.start()
    yield found
    found.end()


restartable = pytest.mark.parametrize("server", ["redis", "nats"], indirect=True)


@asynccontextmanager
async def two_hubs(server: BrokerServer) -> AsyncIterator[tuple[Hub, Hub]]:
    hubs = [
        Hub(broker_of(server.url, timeout=15.0), presence_grace=0, check_interval=3600)
        for _ in range(2)
    ]
    for hub in hubs:
        await hub.start()
    try:
        yield hubs[0], hubs[1]
    finally:
        for hub in hubs:
            await hub.stop()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - a server has no event for it
            await asyncio.sleep(0.02)


async def told(peer: Peer, number: int) -> list[str]:
    found: list[str] = []

    def is_enough() -> bool:
        found.extend(news(peer))
        return len(found) >= number

    await until(is_enough)
    return found


@pytest.mark.parametrize("server", ["redis"], indirect=True)
async def test_who_comes_and_goes_while_subscriptions_are_cut_is_told_once(
    server: BrokerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll_call, "_PATIENCE", 0.0)
    async with two_hubs(server) as (here, there):
        watcher, _ = await arriving(here, PRESENT, number=1)
        await arriving(there, PRESENT, number=2)
        assert await told(watcher, 1) == ["+user-2"]
        for number in range(3, 6):
            await command(server.port, "CLIENT", "KILL", "TYPE", "pubsub")
            peer, subscription = await arriving(there, PRESENT, number=number)
            assert await told(watcher, 1) == [f"+user-{number}"]
            await command(server.port, "CLIENT", "KILL", "TYPE", "pubsub")
            there.leave(subscription)
            assert await told(watcher, 1) == [f"-user-{number}"]
            peer.line.connection.lost()


@restartable
async def test_who_is_there_when_the_broker_has_lost_its_data_neither_left_nor_came(
    server: BrokerServer,
) -> None:
    async with two_hubs(server) as (here, there):
        watcher, _ = await arriving(here, PRESENT, number=1)
        await arriving(there, PRESENT, number=2)
        assert await told(watcher, 1) == ["+user-2"]
        server.kill()
        await until(lambda: here.is_degraded and there.is_degraded)
        server.start()
        await until(lambda: not (here.is_degraded or there.is_degraded))
        await arriving(there, PRESENT, number=3)
        assert await told(watcher, 1) == ["+user-3"]
        assert len((await here.members("news")).members) == 3
        assert news(watcher) == []

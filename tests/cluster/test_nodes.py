"""Two servers on one broker, of which one is cut off for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.brokers.servers import BrokerServer
from tests.faults.network import Line, line_to
from tests.faults.served import Served, served
from wirework import Publisher

from .cluster import APPLICATION, BROKERS, SETTINGS, broker_server
from .fleet import Fleet, Load, fleet_of

pytestmark = pytest.mark.timeout(180)


class Nodes:
    """Two servers: the second one's way to the broker can be cut."""

    def __init__(self, broker: BrokerServer, line: Line, first: Served, second: Served) -> None:
        self.broker = broker
        self.line = line
        self.first = first
        self.second = second

    async def second_knows(self, is_degraded: bool) -> None:
        """Wait until the second one says that the broker is away, or is not."""
        async with asyncio.timeout(30):
            while (await self.second.state())["is_degraded"] is not is_degraded:
                pass


@asynccontextmanager
async def nodes_on(kind: str, folder: Path) -> AsyncIterator[Nodes]:
    broker = broker_server(kind, folder / "broker")
    broker.start()
    try:
        async with AsyncExitStack() as stack:
            line = await stack.enter_async_context(line_to(broker.port))
            through = broker.url.replace(str(broker.port), str(line.port))
            servers = []
            for number, url in enumerate((broker.url, through)):
                settings = {**SETTINGS, "broker": url}
                serving = served(
                    "native", folder / f"log-{number}", application=APPLICATION, **settings
                )
                servers.append(await asyncio.to_thread(stack.enter_context, serving))
            yield Nodes(broker, line, *servers)
    finally:
        broker.kill()


@asynccontextmanager
async def fleets(nodes: Nodes, channel: str, size: int) -> AsyncIterator[tuple[Fleet, Fleet]]:
    async with (
        fleet_of(nodes.first, channel, size) as near,
        fleet_of(nodes.second, channel, size) as far,
    ):
        yield near, far


@pytest.mark.parametrize("kind", BROKERS)
async def test_a_node_that_is_cut_off_serves_on_and_catches_up(
    kind: str, channel: str, tmp_path: Path
) -> None:
    """G10, F5: its clients stay; what it was asked to publish twice is there once."""
    async with (
        nodes_on(kind, tmp_path) as nodes,
        fleets(nodes, channel, 50) as (near, far),
        Publisher(nodes.broker.url) as outside,
    ):
        load = Load(channel, outside, [near.clients[0], far.clients[0], far.clients[1]])
        async with load.running():
            await load.more(50)
            nodes.line.hold()
            await nodes.second_knows(is_degraded=True)
            await load.more(50)
            nodes.line.release()
            await nodes.second_knows(is_degraded=False)
            await load.more(50)
        top = await load.finish()
        for fleet in (near, far):
            await fleet.hear(top)
            assert fleet.differences(load.ledger) == []
            assert fleet.gaps == {0}
            assert {client.connections for client in fleet.clients} == {1}
        assert load.repeated > 0
        assert len(set(load.ledger.published.values())) == len(load.ledger.published) == top.offset

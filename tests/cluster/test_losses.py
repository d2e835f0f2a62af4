"""Workers and brokers that die under load: nobody misses anything, or is not told of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers.servers import BrokerServer

from .cluster import BROKERS, Cluster, cluster_of

pytestmark = pytest.mark.timeout(180)

SIZE = 300
FEWER = 100
"""Clients where it is not their number that matters."""


async def test_clients_of_a_worker_that_is_killed_come_back_and_miss_nothing(
    cluster: Cluster, channel: str
) -> None:
    """F4, G9: a third of 300 clients comes back, to all workers, and gets what it has missed."""
    async with cluster.fleet(SIZE, channel) as fleet, cluster.load(channel, fleet) as load:
        async with load.running():
            await load.more(50)
            worker = fleet.clients[0].worker
            victims = fleet.at(worker)
            assert 0 < len(victims) < SIZE
            cluster.kill(worker)
            await asyncio.gather(*(each.until(lambda it: it.connections > 1) for each in victims))
            await fleet.arrive()
            await load.more(50)
        await fleet.hear(await load.finish())
    assert fleet.differences(load.ledger) == []
    assert fleet.gaps == {0}
    assert all(client.heard.recoveries for client in victims)
    assert len({client.connections for client in fleet.clients if client not in victims}) == 1


@pytest.mark.parametrize(
    ("leave", "come_back"),
    [(BrokerServer.kill, BrokerServer.start), (BrokerServer.freeze, BrokerServer.thaw)],
    ids=["killed", "frozen"],
)
async def test_a_broker_that_is_away_for_a_while_costs_nobody_anything(
    cluster: Cluster,
    channel: str,
    leave: Callable[[BrokerServer], None],
    come_back: Callable[[BrokerServer], None],
) -> None:
    """G1, G2, G3, G5: what was acknowledged outlives it; no client loses its connection."""
    async with cluster.fleet(FEWER, channel) as fleet, cluster.load(channel, fleet) as load:
        async with load.running():
            await load.more(50)
            leave(cluster.broker)
            try:
                await load.until_repeated(4)
            finally:
                come_back(cluster.broker)
            await load.more(100)
        await fleet.hear(await load.finish())
    assert fleet.differences(load.ledger) == []
    assert fleet.gaps == {0}
    assert {client.connections for client in fleet.clients} == {1}


async def test_clients_that_come_and_go_all_the_time_miss_nothing(
    cluster: Cluster, channel: str
) -> None:
    """F2, F3: two hundred returns under load, on all workers, each to where the client was."""
    async with cluster.fleet(FEWER, channel) as fleet, cluster.load(channel, fleet) as load:
        async with load.running():
            for number in range(200):
                client = random.choice(fleet.clients[2:])
                await client.until(lambda it: it.worker != 0)
                client.drop()
                if number % 10 == 0:
                    await load.more(1)
        await fleet.arrive()
        await fleet.hear(await load.finish())
    assert fleet.differences(load.ledger) == []
    assert fleet.gaps == {0}
    assert sum(client.heard.recoveries for client in fleet.clients) >= 180


async def test_a_restart_of_all_workers_loses_nothing(cluster: Cluster, channel: str) -> None:
    """H2: SIGTERM under load, and a new start."""
    async with cluster.fleet(FEWER, channel) as fleet, cluster.load(channel, fleet) as load:
        async with load.running():
            await load.more(50)
            await asyncio.to_thread(cluster.stop)
            await load.more(20)
            await asyncio.to_thread(cluster.start)
            await fleet.arrive()
            await load.more(50)
        await fleet.hear(await load.finish())
    assert fleet.differences(load.ledger) == []
    assert fleet.gaps == {0}
    assert all(client.heard.recoveries for client in fleet.clients)


@pytest.mark.parametrize("kind", BROKERS)
async def test_who_loses_something_with_the_broker_is_told_so(
    kind: str, channel: str, tmp_path: Path
) -> None:
    """G8: a broker without a memory begins a new epoch; every client hears of it once."""
    with cluster_of(kind, tmp_path, workers=2, is_durable=False) as cluster:
        async with cluster.fleet(FEWER, channel) as fleet, cluster.load(channel, fleet) as load:
            async with load.running():
                await load.more(50)
                cluster.broker.kill()
                await load.until_repeated(4)
                cluster.broker.start()
                await load.more(50)
            top = await load.finish()
            await fleet.hear(top)
        assert fleet.differences(load.ledger) == []
        assert fleet.gaps == {1}
        assert {position.epoch for position in load.ledger.published} > {top.epoch}
        assert {client.connections for client in fleet.clients} == {1}

"""Several Redis servers: failover by Sentinel, a Cluster with its shards."""

from __future__ import annotations

import asyncio
import shutil
from binascii import crc_hqx
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from wirework.brokers import Member, Message
from wirework.brokers.redis import RedisBroker
from wirework.brokers.redis.cluster import slot_of
from wirework.errors import BrokerUnavailable

from .record import KEEP, Recorder, Worker, eventually
from .redis_scene import command
from .servers import HOST, BrokerServer, free_port, redis_server

ROOMS = [f"room:{number}" for number in range(30)]
"""On all nodes of a Cluster."""
SLOTS = 16_384
SHARD = 5_500
AT_ONCE = ["--repl-diskless-sync-delay", "0"]


@asynccontextmanager
async def worker_on(url: str, *, timeout: float = 5.0) -> AsyncIterator[Worker]:
    worker = Worker(RedisBroker(url, timeout=timeout, prefix="test"))
    await worker.broker.start(worker.seen)
    try:
        yield worker
    finally:
        await worker.broker.stop()


def folder_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


# --- Sentinel -------------------------------------------------------------------------------------


class Watched:
    """A master, its replica, and a Sentinel that watches them."""

    def __init__(self, tmp_path: Path) -> None:
        self.master = redis_server(folder_of(tmp_path, "master"), *AT_ONCE)
        self.replica = redis_server(
            folder_of(tmp_path, "replica"), "--replicaof", HOST, str(self.master.port), *AT_ONCE
        )
        folder = folder_of(tmp_path, "sentinel")
        port = free_port()
        (folder / "sentinel.conf").write_text(
            f"port {port}\nbind {HOST}\nsentinel monitor live {HOST} {self.master.port} 1\n"
            "sentinel down-after-milliseconds live 500\nsentinel failover-timeout live 3000\n"
        )
        program = shutil.which("redis-server") or "redis-server"
        asked = [program, str(folder / "sentinel.conf"), "--sentinel"]
        self.sentinel = BrokerServer(f"redis://{HOST}:{port}", asked, folder)
        self.url = f"redis+sentinel://{HOST}:{free_port()},{HOST}:{port}/live"

    @property
    def servers(self) -> tuple[BrokerServer, ...]:
        return (self.master, self.replica, self.sentinel)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    found = Watched(tmp_path)
    with ExitStack() as stack:
        for server in found.servers:
            server.start()
            stack.callback(server.end)
        await eventually(lambda: is_linked(found))
        yield found


async def is_linked(watched: Watched) -> bool:
    replication = await command(watched.master.port, "INFO", "replication")
    known = await command(watched.sentinel.port, "SENTINEL", "REPLICAS", "live")
    return b"state=online" in replication and len(known) == 1


async def test_the_promoted_replica_is_found_and_the_epoch_is_another(watched: Watched) -> None:
    async with worker_on(watched.url, timeout=20.0) as worker:
        await worker.broker.subscribe("room")
        await worker.broker.join("room", Member("c1", "ann"))
        await worker.say("room", b"1")
        await worker.seen.told_of(b"1")
        before = (await worker.broker.read("room", KEEP, limit=10)).top
        watched.master.kill()
        await worker.seen.until(lambda: worker.seen.states == ["degraded", "restored"])
        await worker.say("room", b"2")
        await worker.seen.told_of(b"2")
        page = await worker.broker.read("room", KEEP, since=before, limit=10)
        assert not page.is_whole
        assert page.top.epoch != before.epoch
        assert await worker.broker.count("room") == (1, 1)
        assert b"role:master" in await command(watched.replica.port, "INFO", "replication")


async def test_a_service_that_no_sentinel_knows_is_an_error(watched: Watched) -> None:
    broker = RedisBroker(watched.url.replace("/live", "/other"), timeout=2.0)
    with pytest.raises(BrokerUnavailable, match="no Sentinel knows the master of 'other'"):
        await broker.start(Recorder())


# --- Cluster --------------------------------------------------------------------------------------


class Nodes:
    """A Cluster: three masters, and one replica of one of them."""

    def __init__(self, tmp_path: Path) -> None:
        self.servers = [node(folder_of(tmp_path, f"node{number}")) for number in range(4)]
        self.url = f"redis+cluster://{HOST}:{free_port()},{HOST}:{self.servers[0].port}"

    async def create(self) -> None:
        """Give the slots to the first three, make them known to each other, add the replica."""
        first, *others = self.servers
        for number, server in enumerate(self.servers[:3]):
            shard = (str(number * SHARD), str(min(SLOTS, (number + 1) * SHARD) - 1))
            await command(server.port, "CLUSTER", "ADDSLOTSRANGE", *shard)
        for number, server in enumerate(self.servers, 1):
            await command(server.port, "CLUSTER", "SET-CONFIG-EPOCH", str(number))
        for server in others:
            await command(server.port, "CLUSTER", "MEET", HOST, str(first.port))
        await eventually(self.is_acquainted)
        await command(others[-1].port, "CLUSTER", "REPLICATE", await self.name_of(first))
        await eventually(self.is_settled)

    async def is_acquainted(self) -> bool:
        states = [await self.state(server) for server in self.servers]
        return all(
            (state["cluster_state"], state["cluster_known_nodes"]) == ("ok", "4")
            for state in states
        )

    async def state(self, server: BrokerServer) -> dict[str, str]:
        text = await command(server.port, "CLUSTER", "INFO")
        return dict(line.split(":") for line in text.decode().split())

    async def is_settled(self) -> bool:
        """Whether everybody knows of the replica, and it has its master's data."""
        nodes = [await command(server.port, "CLUSTER", "NODES") for server in self.servers]
        replication = await command(self.servers[0].port, "INFO", "replication")
        return all(each.count(b"slave") == 1 for each in nodes) and b"state=online" in replication

    async def name_of(self, server: BrokerServer) -> str:
        name: bytes = await command(server.port, "CLUSTER", "MYID")
        return name.decode()

    async def owner_of(self, slot: int) -> BrokerServer:
        slots = await command(self.servers[1].port, "CLUSTER", "SLOTS")
        port = next(master[1] for first, last, master, *_ in slots if first <= slot <= last)
        return next(server for server in self.servers if server.port == port)


def node(folder: Path) -> BrokerServer:
    while True:
        port = free_port()
        if port < 55_000:  # the nodes talk to each other on the port 10,000 above
            break
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", *AT_ONCE]
    options += ["--appendonly", "yes"]
    return redis_server(folder, *options, port=port)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    found = Nodes(tmp_path)
    with ExitStack() as stack:
        for server in found.servers:
            server.start()
            stack.callback(server.end)
        await found.create()
        yield found


numbers: Iterator[int] = count()


async def everything_works(worker: Worker) -> None:
    """Publish in every room, and wait for all."""
    texts = {room: b"%d" % next(numbers) for room in ROOMS}
    await asyncio.gather(*(worker.say(room, text) for room, text in texts.items()))
    for text in texts.values():
        await worker.seen.told_of(text)


async def test_channels_of_all_shards_work_like_those_of_one_server(nodes: Nodes) -> None:
    async with worker_on(nodes.url) as worker, worker_on(nodes.url) as other:
        await asyncio.gather(*(worker.broker.subscribe(room) for room in ROOMS))
        await everything_works(worker)
        for room in ROOMS:
            await other.broker.join(room, Member(f"{room}:1", "ann"))
            await other.broker.publish(room, Message(b"once"), KEEP, idempotency="k")
            again = await worker.broker.publish(room, Message(b"once"), KEEP, idempotency="k")
            assert again.is_duplicate
            page = await worker.broker.read(room, KEEP, limit=10)
            assert [each.offset for each in page.publications] == [1, 2]
            assert await worker.broker.count(room) == (1, 1)
        await worker.seen.changed(len(ROOMS))
        await worker.broker.sweep(ROOMS)
        await other.broker.stop()
        assert [await worker.broker.count(room) for room in ROOMS] == [(0, 0)] * len(ROOMS)
        owners = {
            (await nodes.owner_of(slot_of(f"test:{{{room}}}".encode()))).port for room in ROOMS
        }
        assert len(owners) == 3


async def test_a_node_asked_without_its_cluster_says_what_the_url_must_be(nodes: Nodes) -> None:
    with pytest.raises(BrokerUnavailable, match=r"use redis\+cluster://"):
        await RedisBroker(nodes.servers[0].url).start(Recorder())


async def test_the_channels_of_a_slot_follow_it_to_another_node(nodes: Nodes) -> None:
    async with worker_on(nodes.url) as worker:
        await asyncio.gather(*(worker.broker.subscribe(room) for room in ROOMS))
        await everything_works(worker)
        slot = slot_of(f"test:{{{ROOMS[0]}}}".encode())
        source = await nodes.owner_of(slot)
        target = next(server for server in nodes.servers[:3] if server is not source)
        await move(nodes, slot, source, target)
        name = f"test:{{{ROOMS[0]}}}"
        await eventually(lambda: is_subscribed_at(target, name))
        await worker.seen.until(lambda: worker.broker.is_available)
        assert worker.seen.states[-1] == "restored"
        await everything_works(worker)
        page = await worker.broker.read(ROOMS[0], KEEP, limit=10)
        assert [each.offset for each in page.publications] == [1, 2]


async def is_subscribed_at(server: BrokerServer, name: str) -> bool:
    found = await command(server.port, "PUBSUB", "SHARDNUMSUB", name)
    return bool(found[1])


async def move(nodes: Nodes, slot: int, source: BrokerServer, target: BrokerServer) -> None:
    """Move one slot, with what is in it."""
    names = [await nodes.name_of(server) for server in (source, target)]
    steps = str(slot)
    await command(target.port, "CLUSTER", "SETSLOT", steps, "IMPORTING", names[0])
    await command(source.port, "CLUSTER", "SETSLOT", steps, "MIGRATING", names[1])
    keys = await command(source.port, "CLUSTER", "GETKEYSINSLOT", steps, "100")
    for key in keys:
        await command(source.port, "MIGRATE", HOST, str(target.port), key.decode(), "0", "5000")
    for server in (target, source, *nodes.servers[:3]):
        await command(server.port, "CLUSTER", "SETSLOT", steps, "NODE", names[1])


async def test_a_killed_master_is_followed_by_its_replica(nodes: Nodes) -> None:
    async with worker_on(nodes.url, timeout=15.0) as worker:
        await asyncio.gather(*(worker.broker.subscribe(room) for room in ROOMS))
        await asyncio.gather(*(worker.broker.join(room, Member(f"{room}:1")) for room in ROOMS))
        await everything_works(worker)
        before = await epochs(worker)
        nodes.servers[0].kill()
        await worker.seen.until(lambda: "degraded" in worker.seen.states)
        await worker.seen.until(lambda: worker.broker.is_available)
        assert worker.seen.states == ["degraded", "restored"]
        await everything_works(worker)
        after = await epochs(worker)
        lost = {room for room in ROOMS if slot_of(f"test:{{{room}}}".encode()) < SHARD}
        assert {room for room in ROOMS if before[room] != after[room]} == lost
        counts = [await worker.broker.count(room) for room in ROOMS]
        assert counts == [(1, 1)] * len(ROOMS)


async def epochs(worker: Worker) -> dict[str, str]:
    pages = await asyncio.gather(*(worker.broker.read(room, KEEP, limit=0) for room in ROOMS))
    return {room: page.top.epoch for room, page in zip(ROOMS, pages, strict=True)}


async def test_a_cluster_of_which_no_node_answers_is_an_error() -> None:
    broker = RedisBroker(f"redis+cluster://{HOST}:{free_port()},{HOST}:{free_port()}")
    with pytest.raises(BrokerUnavailable, match="no node of the Redis Cluster answers"):
        await broker.start(Recorder())


@pytest.mark.parametrize(
    ("key", "tag"), [("{a}b", b"a"), ("x{a}b{c}", b"a"), ("ab", b"ab"), ("{}a", b"{}a")]
)
def test_a_slot_is_that_of_what_is_between_the_first_braces(key: str, tag: bytes) -> None:
    assert slot_of(key.encode()) == crc_hqx(tag, 0) % SLOTS


def test_slots_are_those_of_the_specification() -> None:
    assert slot_of(b"123456789") == 0x31C3
    assert slot_of(b"{user1000}.following") == slot_of(b"{user1000}.followers")

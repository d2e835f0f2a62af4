"""Three workers of one application and their broker: started, killed and stopped by process id."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import connect

from tests.brokers.servers import BrokerServer, nats_server, redis_server
from tests.contract.sockets import NO_TLS
from tests.faults.served import Served, served
from wirework import Publisher

from .fleet import Fleet, Load, fleet_of
from .peer import Peer

__all__ = ["APPLICATION", "BROKERS", "Cluster", "broker_server", "cluster_of"]

APPLICATION = "tests.cluster.application:app"
BROKERS = ("redis", "nats")
SETTINGS: dict[str, Any] = {
    "history_limit": 5000,
    "presence_grace": 2.0,
    "broker_timeout": 3.0,
}


def broker_server(kind: str, folder: Path, *, is_durable: bool = True) -> BrokerServer:
    """Return a broker, not started; what a durable one has acknowledged outlives its process."""
    folder.mkdir()
    if kind == "redis":
        return redis_server(folder, "--appendonly", "yes" if is_durable else "no")
    server = nats_server(folder)
    if not is_durable:
        server.url += "?storage=memory"
    return server


class Cluster:
    """A server with several workers, and its broker."""

    def __init__(self, broker: BrokerServer, folder: Path, workers: int) -> None:
        self.broker = broker
        self._folder = folder
        self._count = workers
        self._life = ExitStack()
        self._server: Served | None = None

    @property
    def server(self) -> Served:
        """The one that runs now."""
        assert self._server is not None
        return self._server

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.server.port

    def start(self) -> None:
        """Start the workers."""
        log = self._folder / f"log-{uuid4().hex}"
        options = ("--workers", str(self._count))
        settings = {**SETTINGS, "broker": self.broker.url}
        serving = served("native", log, *options, application=APPLICATION, **settings)
        self._server = self._life.enter_context(serving)

    def stop(self) -> None:
        """Ask the workers to end, and wait for it; clients of the test must not be needed."""
        self._life.close()

    async def workers(self) -> set[int]:
        """Return the process ids of all workers, once all of them serve."""
        found: set[int] = set()

        async def look() -> None:
            state = await self.server.state()
            found.add(state["pid"])

        while len({pid for pid in found if _lives(pid)}) < self._count:
            await look()
        return {pid for pid in found if _lives(pid)}

    @asynccontextmanager
    async def fleet(self, size: int, channel: str) -> AsyncIterator[Fleet]:
        """Have clients on all workers within the block."""
        workers = await self.workers()
        async with fleet_of(self, channel, size) as fleet:
            assert len(fleet.workers) > 1
            assert fleet.workers <= workers
            yield fleet

    @asynccontextmanager
    async def load(self, channel: str, fleet: Fleet) -> AsyncIterator[Load]:
        """Have publishers; two of the fleet are among them."""
        async with Publisher(self.broker.url, timeout=2.0) as outside:
            yield Load(channel, outside, fleet.clients[:2])

    @asynccontextmanager
    async def peer(self, user: str, worker: int) -> AsyncIterator[Peer]:
        """Have somebody connected to this worker within the block."""
        url = f"ws://{self.server.authority}/live?token={user}"
        while True:
            async with connect(url, proxy=None, compression=None, ping_interval=None) as socket:
                peer = Peer(socket, user)
                if (await peer.ask("pid"))["data"] == worker:
                    yield peer
                    return

    def kill(self, worker: int) -> None:
        """End one worker at once."""
        os.kill(worker, signal.SIGKILL)

    def post(self, path: str) -> None:
        """Have one worker, any of them, do something that concerns all."""
        url = f"http://{self.server.authority}{path}"
        httpx.post(url, trust_env=False, timeout=20, verify=NO_TLS).raise_for_status()


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@contextmanager
def cluster_of(
    kind: str, folder: Path, *, workers: int = 3, is_durable: bool = True
) -> Iterator[Cluster]:
    """Run a broker and workers within the block."""
    broker = broker_server(kind, folder / "broker", is_durable=is_durable)
    broker.start()
    cluster = Cluster(broker, folder, workers)
    try:
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        try:
            cluster.stop()
        finally:
            broker.kill()

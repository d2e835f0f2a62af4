"""Every broker in turn, each on a real server that the tests of one pytest worker share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from .record import Place
from .servers import BrokerServer, nats_server, redis_server

SERVERS: dict[str, Callable[[Path], BrokerServer]] = {"redis": redis_server, "nats": nats_server}


@pytest.fixture(scope="session")
def running_servers() -> Iterator[dict[str, BrokerServer]]:
    """Running servers, by name; filled when asked for."""
    running: dict[str, BrokerServer] = {}
    yield running
    for server in running.values():
        server.end()


def place_of(name: str, running: dict[str, BrokerServer], folders: pytest.TempPathFactory) -> Place:
    if name == "memory":
        return Place(name, "memory://")
    if name not in running:
        server = SERVERS[name](folders.mktemp(name))
        server.start()
        running[name] = server
    return Place(name, running[name].url)


@pytest.fixture(params=["memory", "redis", "nats"])
async def place(
    request: pytest.FixtureRequest,
    running_servers: dict[str, BrokerServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Place]:
    """Every broker in turn."""
    found = place_of(request.param, running_servers, tmp_path_factory)
    yield found
    await found.end()


@pytest.fixture(params=["redis", "nats"])
async def shared(
    request: pytest.FixtureRequest,
    running_servers: dict[str, BrokerServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Place]:
    """Every broker that several processes can share, in turn."""
    found = place_of(request.param, running_servers, tmp_path_factory)
    yield found
    await found.end()


@pytest.fixture
def channel() -> str:
    """The name of a channel that no other test uses."""
    return f"room:{uuid4().hex}"

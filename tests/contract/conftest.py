"""One server per transport, started when first asked for and shared by a worker's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from .harness import Server
from .memory import MemoryServer
from .process import COMMANDS, ServerProcess, start
from .sockets import SocketServer

APPLICATION = "tests.contract.application:app"


@pytest.fixture(scope="session")
def processes() -> Iterator[dict[str, ServerProcess]]:
    """Running servers, by name; filled when asked for."""
    running: dict[str, ServerProcess] = {}
    yield running
    for process in running.values():
        process.process.terminate()
    for process in running.values():
        process.end()


@pytest.fixture(params=["memory", *COMMANDS])
async def server(
    request: pytest.FixtureRequest,
    processes: dict[str, ServerProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Server]:
    """Every transport in turn; what a server wrote is shown where a test fails."""
    name: str = request.param
    if name == "memory":
        async with MemoryServer() as memory:
            yield memory
        return
    if name not in processes:
        log = tmp_path_factory.mktemp(name) / "log"
        processes[name] = start(name, APPLICATION, log)
    process = processes[name]
    before = len(process.output)
    yield SocketServer(name, process.port)
    print(f"{name}:\n{process.output[before:]}")


@pytest.fixture
def id() -> str:
    """A new id, under which handlers record what they see."""
    return uuid4().hex

"""A server that is told to stop: every connection ends once, and the process by itself."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.contract.harness import Closed, Peer
from tests.contract.process import ServerProcess, start
from tests.contract.sockets import SocketServer

SERVERS = ("uvicorn-sansio", "uvicorn-wsproto", "hypercorn", "granian")
PATHS = [f"/{kind}?id={kind}{number}" for kind in ("messages", "loop") for number in range(3)]


@pytest.fixture(params=SERVERS)
async def process(request: pytest.FixtureRequest) -> AsyncIterator[ServerProcess]:
    process = start(request.param, "tests.wire.closing:app")
    yield process
    process.kill()


def notes(process: ServerProcess) -> list[list[str]]:
    lines = (line.split() for line in process.output.splitlines())
    return [words[1:] for words in lines if words[:1] == ["NOTE"]]


async def test_every_connection_ends_once_and_the_process_exits_by_itself(
    process: ServerProcess,
) -> None:
    server = SocketServer(process.name, process.port)
    async with AsyncExitStack() as stack:
        for path in PATHS:
            peer = await stack.enter_async_context(server.connect(path))
            assert await peer.receive() == "ready"
        import asyncio
        code = await asyncio.to_thread(process.end, signal.SIGINT)
        print(process.output)
        print(code)
        assert 0

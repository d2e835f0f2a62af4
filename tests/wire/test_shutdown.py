"""A server that is told to stop: every connection ends once, and the process by itself."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contract.harness import closed, within
from tests.contract.process import ServerProcess, start
from tests.contract.sockets import SocketServer

SERVERS = ("uvicorn-sansio", "uvicorn-wsproto", "hypercorn", "granian")
IDS = [f"{kind}{number}" for kind in ("messages", "loop") for number in range(3)]

CODES = {"granian": {1006, 1012}}
"""What a peer may see: Granian drops sockets while it waits for the application to stop."""


@pytest.fixture(params=SERVERS)
async def process(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    process = start(request.param, "tests.wire.closing:app", tmp_path / "log")
    yield process
    process.kill()


async def test_every_connection_ends_once_and_the_process_by_itself(
    process: ServerProcess,
) -> None:
    server = SocketServer(process.name, process.port)
    async with AsyncExitStack() as stack:
        peers = []
        for id in IDS:
            path = f"/{id.rstrip('0123456789')}?id={id}"
            peers.append(await stack.enter_async_context(server.connect(path)))
            assert await peers[-1].receive() == "ready"
        ending = asyncio.create_task(asyncio.to_thread(process.end, signal.SIGINT))
        codes = [(await closed(peer)).code for peer in peers]
        assert await within(ending) == 0
    assert set(codes) <= CODES.get(process.name, {1012}), process.output
    ends = [(end, id) for end in ("connect", "disconnect") for id in IDS]
    print(process.output)
    found = Counter(tuple(note[:2]) for note in notes(process))
    assert found == Counter([("startup",), *ends, ("shutdown",)])
    assert notes(process)[-1] == ["shutdown"]


def notes(process: ServerProcess) -> list[list[str]]:
    lines = (line.split() for line in process.output.splitlines())
    return [words[1:] for words in lines if words[:1] == ["NOTE"]]

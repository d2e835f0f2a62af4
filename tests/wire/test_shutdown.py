"""A server that is told to stop: every connection ends once, and the process by itself."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contract.harness import closed, within
from tests.contract.process import ServerProcess, start
from tests.contract.sockets import SocketServer

SERVERS = {
    "native": 1012,
    "uvicorn-sansio": 1012,
    "uvicorn-wsproto": 1012,
    "hypercorn": 1012,
    "granian": 1006,
}
"""What peers see: Granian ends its sockets before the application learns of the stop."""

IDS = [f"{kind}{number}" for kind in ("messages", "loop") for number in range(3)]
PANIC = "panicked at"
"""Granian does so in about one of twenty stops with open sockets, whatever the application is."""


@pytest.mark.parametrize("name", SERVERS)
async def test_every_connection_ends_once_and_the_process_by_itself(
    name: str, tmp_path: Path
) -> None:
    for number in range(6):
        process = start(name, "tests.wire.closing:app", tmp_path / str(number))
        try:
            codes = await stop_with_open_connections(process)
        finally:
            process.kill()
        if name != "granian" or PANIC not in process.output:
            break
    assert set(codes) == {SERVERS[name]}, process.output
    ends = [(end, id) for end in ("connect", "disconnect") for id in IDS]
    found = Counter(tuple(note[:2]) for note in notes(process))
    assert found == Counter([("startup",), *ends, ("shutdown",)]), process.output
    assert notes(process)[-1] == ["shutdown"]


async def stop_with_open_connections(process: ServerProcess) -> list[int]:
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
    return codes


def notes(process: ServerProcess) -> list[list[str]]:
    lines = (line.split() for line in process.output.splitlines())
    return [words[1:] for words in lines if words[:1] == ["NOTE"]]

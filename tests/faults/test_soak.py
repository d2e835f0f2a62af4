"""A minute of hostile and healthy peers together: rows C15 and C16 of the matrix."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.faults.served import MEBIBYTE, Served, served
from tests.wire.raw import RawClient, frame, handshake, raw_client

SERVICE = "tests.faults.service:app"
SECONDS = 60.0
ROOM = 256 * MEBIBYTE
"""Bytes of data that the server's process may have; over it allocations fail."""
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


async def _floods(client: RawClient, random: Random) -> None:
    await client.send(frame(b"x") * 5_000)


async def _breaks_frames(client: RawClient, random: Random) -> None:
    data = bytearray(frame(b"hello") + frame(b"bin", BINARY) + frame(b"", PING))
    for _ in range(random.randrange(1, 6)):
        data[random.randrange(len(data))] = random.randrange(256)
    await client.send(bytes(data))
    client.finish()
    await client.rest()


async def _announces_much(client: RawClient, random: Random) -> None:
    await client.send(b"\x82\xff" + (60_000).to_bytes(8, "big") + bytes(4) + bytes(1000))
    await asyncio.sleep(0.2)


async def _never_reads(client: RawClient, random: Random) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            await client.send(frame(bytes(30_000), BINARY) * 300)


async def _is_too_large(client: RawClient, random: Random) -> None:
    await client.send(b"\x82\xff" + (2**40).to_bytes(8, "big") + bytes(4))
    await client.rest()


async def _vanishes(client: RawClient, random: Random) -> None:
    await client.send(frame(b"x" * 100)[: random.randrange(1, 100)])
    client.abort()


async def _sends_bait(client: RawClient, random: Random) -> None:
    bait = random.choice([b"[" * 60_000, b'{"type":' * 5_000, b"9" * 60_000, b"\xff" * 100])
    await client.send(b"\x81\xfe" + len(bait).to_bytes(2, "big") + bytes(4) + bait)
    await client.frame()


HOSTILE: list[tuple[str, Callable[[RawClient, Random], Awaitable[None]]]] = [
    *[("/echo", _floods), ("/count", _floods), ("/metered", _floods), ("/echo", _breaks_frames)],
    *[("/desk", _breaks_frames), ("/echo", _announces_much), ("/push", _never_reads)],
    *[("/echo", _never_reads), ("/echo", _is_too_large), ("/count-nothing", _vanishes)],
    *[("/desk", _sends_bait), ("/first", _sends_bait), ("/nowhere", _vanishes)],
]


async def _attack(server: Served, until: float, random: Random) -> int:
    """Be hostile in one way after another; return how often."""
    for count in itertools.count():
        if time.monotonic() > until:
            return count
        path, way = random.choice(HOSTILE)
        with suppress(OSError, EOFError, TimeoutError):
            async with raw_client(server.port, is_deaf=way is _never_reads) as client:
                if random.randrange(20) == 0:
                    await client.send(random.randbytes(200))
                    continue
                await client.send(handshake(path, host=f"Host: {server.authority}"))
                if b" 101 " in await client.head():
                    await way(client, random)
    raise AssertionError


async def _converse(server: Served, until: float, path: str) -> int:
    """Send numbered messages and get each back in order, until the end; return how many."""
    async with server.opened(path) as client:
        for number in itertools.count():
            if time.monotonic() > until:
                return number
            text = str(number)
            if path == "/desk":
                call = {"type": "say", "id": number, "data": {"text": text}}
                await client.send(frame(json.dumps(call).encode()))
                answer = json.loads((await client.frame())[1])
                assert (answer["id"], answer["data"]) == (number, text)
            else:
                await client.send(frame(text.encode()))
                assert await client.frame() == (TEXT, text.encode())
            await asyncio.sleep(0.01)
    raise AssertionError


async def _watch(server: Served, until: float) -> list[int]:
    """Return how much memory it has, each second."""
    sizes = []
    while time.monotonic() < until:
        sizes.append(server.resident)
        await asyncio.sleep(1)
    return sizes


@pytest.mark.timeout(180)
async def test_a_minute_of_attacks_costs_healthy_peers_nothing_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    """C15, C16: every message is answered in order, within 256 MiB, and memory stays level."""
    with served("native", tmp_path / "log", application=SERVICE) as server:
        for pid in server.pids:
            resource.prlimit(pid, resource.RLIMIT_DATA, (ROOM, ROOM))
        assert await server.is_alive()
        descriptors, tasks = server.descriptors, (await server.state())["tasks"]
        until = time.monotonic() + SECONDS
        async with asyncio.TaskGroup() as group:
            paths = ("/echo", "/count-nothing", "/desk") * 4
            healthy = [group.create_task(_converse(server, until, path)) for path in paths]
            attacks = [group.create_task(_attack(server, until, Random(each))) for each in range(8)]
            watch = group.create_task(_watch(server, until))
        said = [each.result() for each in healthy]
        assert min(said) > 100
        assert sum(each.result() for each in attacks) > 200
        await _until_empty(server, descriptors, tasks)
        sizes = watch.result()
        third = len(sizes) // 3
        before, after = max(sizes[third : 2 * third]), max(sizes[2 * third :])
        assert after - before < 8 * MEBIBYTE
        assert "MemoryError" not in server.output


async def _until_empty(server: Served, descriptors: int, tasks: int) -> None:
    """Wait until no connection is served, and nothing of one is left."""
    async with asyncio.timeout(60):
        while (state := await server.state())["connections"] or state["tasks"] > tasks:
            pass
        while server.descriptors > descriptors:  # handshakes that were never finished
            await server.is_alive()

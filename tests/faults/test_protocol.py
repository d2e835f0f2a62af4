"""Peers that break the protocol, or leave in the middle of it: rows B2 to B10 of the page."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.served import MEBIBYTE, TRANSPORTS, Served, served
from tests.wire.raw import RawClient, frame
from tests.wire.violations import BROKEN, masked

CLOSE, TEXT = 8, 1
SEED = int(os.environ.get("FAULTS_SEED", "1"))
"""Of the random sessions; another one every night."""


async def said_by(client: RawClient) -> list[tuple[int, bytes]]:
    """Return what the server says until it closes, or ends the connection without a word."""
    found: list[tuple[int, bytes]] = []
    while not found or found[-1][0] != CLOSE:
        try:
            found.append(await client.frame())
        except (asyncio.IncompleteReadError, ConnectionError):
            break
    return found


async def count(server: Served, name: str) -> int:
    """Return how often the application has seen something."""
    found: int = (await server.state())["seen"].get(name, 0)
    return found


async def both_counted(server: Served, begin: str, end: str) -> int:
    """Wait until as many have ended as have begun; return how many."""
    async with asyncio.timeout(20):
        while (begun := await count(server, begin)) != await count(server, end):
            pass
    return begun


LENIENT = {"b3 short in two", "b3 short in eight", "b4 from the header alone"}
"""What Uvicorn's own class and Granian take, or wait for; `tests/wire` has it for ours."""


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in LENIENT])
async def test_nothing_behind_a_broken_frame_is_delivered(server: Served, name: str) -> None:
    """B2, B3, B4, B5, B6: the connection ends, on ours with the code that the RFC says."""
    data, code = BROKEN[name]
    async with server.opened() as client:
        await client.send(frame(b"before"))
        assert await client.frame() == (TEXT, b"before")
        await client.send(data + frame(b"after"))
        said = await said_by(client)
    assert (TEXT, b"after") not in said
    if server.name == "native":
        assert [(opcode, int.from_bytes(text[:2], "big")) for opcode, text in said] == [(8, code)]


async def test_a_length_that_is_only_announced_costs_nothing(server: Served) -> None:
    """B3: a hundred peers say that 2^62 bytes will follow, or more than a number can hold."""
    with server.growth() as growth:
        for size in (1 << 62, (1 << 63) - 1, 1 << 63) * 33:
            async with server.opened() as client:
                await client.send(masked(0x82, size, bytes(100), length=8))
                await said_by(client)
    assert growth.bytes < 4 * MEBIBYTE


async def test_a_peer_that_does_not_answer_a_close_is_let_go(tmp_path: Path) -> None:
    """B7: its socket ends, on every transport."""

    async def never_answer(server: Served) -> None:
        async with server.opened("/close") as client:
            opcode, _ = await client.frame()
            assert opcode == CLOSE
            assert await client.rest(within=20) == b""
        assert await server.is_alive()

    with ExitStack() as stack:
        servers = [stack.enter_context(served(name, tmp_path / name)) for name in TRANSPORTS]
        await asyncio.gather(*map(never_answer, servers))


def half_close(client: RawClient) -> None:
    client.finish()


def reset(client: RawClient) -> None:
    client.abort()


@pytest.mark.parametrize("leave", [half_close, reset])
@pytest.mark.parametrize("is_within", [False, True], ids=["between frames", "within a frame"])
async def test_three_hundred_peers_that_vanish_end_once_each(
    server: Served, leave: Callable[[RawClient], None], is_within: bool
) -> None:
    """B8: handlers run their `finally`, hooks run once, descriptors come back."""
    before = await count(server, "begun"), await count(server, "connect")
    for number in range(300):
        async with server.opened("/echo" if number % 2 else "/messages") as client:
            if is_within:
                await client.send(masked(0x82, 1000, bytes(10)))
            leave(client)
    assert await both_counted(server, "begun", "ended") >= before[0] + 150
    assert await both_counted(server, "connect", "disconnect") >= before[1] + 150


def random_session(chance: random.Random) -> bytes:
    """Return bytes that mean nothing, or next to nothing."""
    return chance.randbytes(chance.choice((1, 2, 14, 126, 1000)))


def mutated_session(chance: random.Random) -> bytes:
    """Return good frames with a few wrong bytes."""
    sizes = [chance.choice((0, 5, 125, 126, 300)) for _ in range(6)]
    whole = b"".join(
        frame(b"x" * size, chance.choice((0, 1, 2, 9, 10)), is_final=chance.random() < 0.8)
        for size in sizes
    )
    data = bytearray(whole)
    for _ in range(chance.randrange(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("make", [random_session, mutated_session])
async def test_four_hundred_wrong_sessions_harm_nobody(
    server: Served, make: Callable[[random.Random], bytes]
) -> None:
    """B9: no crash, no traceback (the server's output is looked at), nothing left over."""
    chance = random.Random(SEED)
    paths = ("/echo", "/messages", "/typed")
    for number in range(400):
        async with server.opened(paths[number % 3]) as client:
            await client.send(make(chance))
            if number % 2:
                client.finish()
    await both_counted(server, "begun", "ended")
    await both_counted(server, "connect", "disconnect")


async def test_what_follows_a_close_is_not_heard(server: Served) -> None:
    """B10: the close is answered; a hundred messages behind it are not."""
    async with server.opened() as client:
        await client.send(frame(struct.pack("!H", 1000), CLOSE) + frame(b"late") * 100)
        said = await said_by(client)
    assert [opcode for opcode, _ in said] == [CLOSE]


async def test_an_application_that_sends_after_its_close_gets_one_defined_error(
    server: Served,
) -> None:
    """B10: a hundred sends, no line in the log."""
    lines = len(server.output.splitlines())
    async with server.opened("/late") as client:
        opcode, _ = await client.frame()
        assert opcode == CLOSE
        await client.send(frame(b"\x03\xe8", CLOSE))
        assert await said_by(client) == []
    async with asyncio.timeout(20):
        while await count(server, "refused sends") % 100:
            pass
    assert await count(server, "refused sends") >= 100
    assert len(server.output.splitlines()) <= lines + 1

"""Hostile peers on the native transport: rows B2 to B10 and C1 to C8 of the table of faults."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.wire.native import Living, NativeServer, alive, echo, native_server, until
from tests.wire.raw import frame, handshake, raw_client
from tests.wire.violations import BROKEN, LIMIT, code_of, masked
from wirework import App, WebSocket
from wirework.transports.native.protocol import NativeProtocol
from wirework.transports.native.wire import Wire

CLOSE, PING, PONG = 8, 9, 10
MEBIBYTE = 2**20


def wirework_echo() -> App:
    app = App()

    @app.websocket("/")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message)

    return app


@pytest.fixture(params=["any application", "wirework"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[NativeServer]:
    app: Any = echo if request.param == "any application" else wirework_echo()
    async with native_server(app, ws_max_size=LIMIT) as running:
        yield running
        assert await alive(running)
        await until(lambda: not running.connections and not running.tasks)


async def test_a_broken_frame_is_the_end_with_its_code(server: NativeServer) -> None:
    for name, (data, code) in BROKEN.items():
        async with server.opened() as client:
            await client.send(frame(b"before"))
            assert await client.frame() == (1, b"before"), name
            await client.send(data + frame(b"after"))
            assert await code_of(client) == code, name


async def test_what_comes_before_a_broken_frame_is_received_and_nothing_behind_it() -> None:
    app = App()
    seen: list[object] = []
    ended = asyncio.Event()

    @app.websocket("/")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        seen.extend([message async for message in ws])
        seen.append(ws.close_code)
        ended.set()

    async with native_server(app) as server:
        for name, (data, code) in BROKEN.items():
            for count in (1, 60):
                seen.clear()
                ended.clear()
                async with server.opened() as client:
                    await client.send(frame(b"before") * count + data + frame(b"after"))
                    assert await code_of(client) == code, name
                    await ended.wait()
                assert seen == ["before"] * count + [code], name


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999])
async def test_b6_a_valid_close_is_answered_with_its_code(server: NativeServer, code: int) -> None:
    async with server.opened() as client:
        await client.send(frame(struct.pack("!H", code) + b"bye", CLOSE))
        assert await code_of(client) == code


async def test_b4_b5_what_is_just_allowed_comes_back(server: NativeServer) -> None:
    async with server.opened() as client:
        await client.send(masked(0x82, LIMIT, bytes(LIMIT)))
        assert await client.frame() == (2, bytes(LIMIT))
        euro = "€".encode()
        await client.send(frame(euro[:1], is_final=False) + frame(b"", 0, is_final=False))
        await client.send(frame(b"ping", PING) + frame(euro[1:], 0))
        assert {await client.frame(), await client.frame()} == {(PONG, b"ping"), (1, euro)}


@pytest.mark.parametrize("how", ["half-close", "reset", "fin within a frame"])
async def test_b8_a_peer_that_vanishes_leaves_nothing_behind(
    server: NativeServer, how: str
) -> None:
    living = Living(NativeProtocol, Wire)
    for _ in range(100):
        async with raw_client(server.port) as client:
            await client.send(handshake())
            await client.head()
            if how != "half-close":
                await client.send(masked(0x82, 1000, bytes(10)))
            if how == "reset":
                client.abort()
            else:
                client.finish()
                await client.rest()
    await until(lambda: not server.connections and not server.tasks)
    gc.collect()
    assert living() == []


async def test_b9_mutated_sessions_never_harm_the_server(server: NativeServer) -> None:
    chance = random.Random(7)
    whole = b"".join(frame(b"x" * size, opcode) for size in (0, 5, 300) for opcode in (1, 2, 9))
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        async with server.opened() as client:
            await client.send(bytes(data))
            client.finish()
            await client.rest()


async def test_b10_data_behind_a_close_is_not_heard(server: NativeServer) -> None:
    async with server.opened() as client:
        await client.send(frame(b"\x03\xe8", CLOSE) + frame(b"late") * 100)
        assert await code_of(client) == 1000


async def test_c1_memory_follows_what_has_come_not_what_was_announced(
    server: NativeServer,
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clients = [await _announcer(server) for _ in range(100)]
    assert await alive(server)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 16 * MEBIBYTE
    for writer in clients:
        writer.transport.abort()


async def _announcer(server: NativeServer) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(masked(0x82, LIMIT))
    return writer


@pytest.mark.parametrize("payload", [b"x", b""])
async def test_c2_a_message_in_many_fragments_is_bounded_by_its_size_only(
    server: NativeServer, payload: bytes
) -> None:
    async with server.opened() as client:
        count = 20_000
        middle = masked(0x00, len(payload), payload) * count
        await client.send(frame(b"", 2, is_final=False) + middle + frame(b"", 0))
        assert await client.frame() == (2, payload * count)
        await client.send(frame(b"", 2, is_final=False))
        await client.send(masked(0x00, 1, b"x") * (LIMIT + 1))
        assert await code_of(client) == 1009


async def test_c3_a_frame_in_single_bytes_comes_back(server: NativeServer) -> None:
    async with server.opened() as client:
        await client.send(masked(0x82, 2000, bytes(2000)), step=1)
        assert await client.frame() == (2, bytes(2000))


async def test_c6_pings_of_a_peer_that_does_not_read_cost_nothing(server: NativeServer) -> None:
    async with server.opened(is_deaf=True) as client:
        (protocol,) = server.connections
        transport = protocol.transport
        pings = masked(0x89, 104, bytes(104)) * 500
        async with asyncio.timeout(30):
            while not protocol.wire.is_paused:
                await client.send(pings)
        for _ in range(50):
            await client.send(pings)
            assert transport.get_write_buffer_size() < 2 * MEBIBYTE
        await client.send(frame(b"still here"))
        seen = [await client.frame()]
        while seen[-1] != (1, b"still here"):
            seen.append(await client.frame())
            assert seen[-1][0] in (PONG, 1)


async def test_c6_pongs_that_nobody_asked_for_are_ignored(server: NativeServer) -> None:
    async with server.opened() as client:
        await client.send(frame(b"x", PONG) * 10_000 + frame(b"still here"))
        assert await client.frame() == (1, b"still here")


async def test_c7_a_peer_that_reads_late_gets_everything_in_order(server: NativeServer) -> None:
    async with server.opened() as client:
        (protocol,) = server.connections
        transport = protocol.transport
        frames = [struct.pack("!I", number) + bytes(996) for number in range(20_000)]
        sent = b"".join(masked(0x82, 1000, each) for each in frames)
        sending = asyncio.create_task(client.send(sent))
        await until(lambda: not transport.is_reading())
        assert transport.get_write_buffer_size() < 4 * MEBIBYTE
        for each in frames:
            assert await client.frame() == (2, each)
        await sending


async def test_c8_a_peer_that_never_reads_is_ended_and_its_pushes_are_bounded() -> None:
    app = App(write_stall_timeout=0.25)
    sizes = []

    @app.websocket("/")
    async def push(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_bytes(bytes(10_000))
            sizes.append(sum(len(each.data) for each in ws.connection.outbox))

    async with native_server(app) as server, server.opened():
        await until(lambda: len(sizes) > 100)
        await until(lambda: not server.connections and not server.tasks)
        assert max(sizes) <= MEBIBYTE

"""Peers that want more than their share: rows C1 to C10 and C12 to C18 of the matrix."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.served import MEBIBYTE, TRANSPORTS, Served, served, until
from tests.wire.native import native_server
from tests.wire.native import until as until_here
from tests.wire.raw import RawClient, frame, handshake, raw_client
from wirework import App, ConnectionClosed, WebSocket

SERVICE = "tests.faults.service:app"
LIMIT = 64 * 1024
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def on(*transports: str) -> pytest.MarkDecorator:
    """Run a test there alone: the rest is decided by the server before Wirework sees it."""
    return pytest.mark.parametrize("running", transports, indirect=True, scope="module")


@pytest.fixture(scope="module", params=TRANSPORTS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("faults") / "log"
    with served(request.param, log, application=SERVICE) as server:
        yield server


def plain(first: int, size: int, payload: bytes = b"") -> bytes:
    """Return a frame whose header says `size` and whose mask changes nothing, at no cost."""
    if size < 126:
        head = bytes([first, 0x80 | size])
    else:
        head = bytes([first]) + (
            struct.pack("!BH", 0xFE, size) if size < 65536 else struct.pack("!BQ", 0xFF, size)
        )
    return head + bytes(4) + payload


PATIENCE = 100.0
"""Seconds for a server that has a million frames, or keys, to read before it answers."""


async def code_of(client: RawClient, *, within: float = 10.0) -> int:
    """Return the code of the server's close, after whatever it still says."""
    opcode, payload = await client.frame(within=within)
    while opcode != CLOSE:
        opcode, payload = await client.frame(within=within)
    return int.from_bytes(payload[:2], "big")


async def held_up(server: Served, client: RawClient) -> None:
    """Wait until the server reads no more of `client`, while it goes on serving others."""
    unsent = client._writer.transport.get_write_buffer_size
    async with asyncio.timeout(30):
        before = 0
        while before == 0 or unsent() != before:
            before = unsent()
            for _ in range(5):
                assert await server.is_alive()


async def has_no_more_tasks(server: Served, most: int) -> bool:
    """Whether there are no more, at one of a few looks: what has ended is there for a moment."""
    for _ in range(20):
        if (await server.state())["tasks"] <= most:
            return True
    return False


async def pour(client: RawClient, data: bytes) -> None:
    """Send `data` to a server that may have hung up."""
    with suppress(OSError):
        await client.send(data)


def said(type: str, **keys: Any) -> bytes:
    return frame(json.dumps({"type": type, **keys}).encode())


async def heard(client: RawClient) -> Any:
    opcode, data = await client.frame()
    assert opcode == TEXT, (opcode, data)
    return json.loads(data)


# --- memory ---------------------------------------------------------------------------------------


@on("native", "asgi")
async def test_a_hundred_peers_that_announce_much_and_send_little_cost_little(
    server: Served,
) -> None:
    """C1: memory follows what has come, not what was announced."""
    async with AsyncExitStack() as stack:
        with server.growth() as growth:
            for _ in range(100):
                client = await stack.enter_async_context(server.opened())
                await client.send(plain(0x82, LIMIT, bytes(10)))
            assert await server.is_alive()
    assert growth.bytes < 16 * MEBIBYTE


@on("native")
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("fragment", "count", "expected"),
    [(b"x", 400_000, 1009), (b"", 1_000_000, 1000)],
    ids=["one byte each", "empty"],
)
async def test_a_message_in_countless_fragments_costs_no_more_than_its_bytes(
    server: Served, fragment: bytes, count: int, expected: int
) -> None:
    """C2: too large in all is 1009, and a fragment without bytes costs none."""
    part = plain(0x00, len(fragment), fragment)
    with server.growth() as growth:
        async with server.opened() as client:
            await client.send(frame(b"", BINARY, is_final=False))
            end = frame(b"", 0) + frame(b"\x03\xe8", CLOSE)
            sending = asyncio.create_task(pour(client, part * count + end))
            assert await code_of(client, within=PATIENCE) == expected
            await client.rest()
            await sending
    assert growth.bytes < 4 * MEBIBYTE


@on("native")
async def test_a_frame_in_single_bytes_costs_no_more_than_one_that_comes_whole(
    server: Served,
) -> None:
    """C3: it is put together once."""
    payload = os.urandom(16_000)
    async with server.opened() as client:
        with server.growth() as growth:
            await client.send(plain(0x82, len(payload), payload), step=1)
            assert await client.frame() == (BINARY, payload)
    assert growth.bytes < MEBIBYTE


def deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


@asynccontextmanager
async def inflating(
    tmp: Path, path: str = "/echo", **settings: Any
) -> AsyncIterator[tuple[Served, RawClient]]:
    """Serve with compression, and open a connection that has agreed on it."""
    with served("native", tmp / "log", application=SERVICE, compression=True, **settings) as server:
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        async with server.opened(path, offer) as client:
            yield server, client
        assert await server.is_alive()


@pytest.mark.parametrize("fragments", [1, 64], ids=["one frame", "64 fragments"])
async def test_a_bomb_is_inflated_to_the_limit_and_no_further(
    tmp_path: Path, fragments: int
) -> None:
    """C4: 64 MiB in 64 KiB end with 1009, at three times the limit at most."""
    limit = 2 * MEBIBYTE
    bomb = deflated(bytes(64 * MEBIBYTE))
    step = len(bomb) // fragments + 1
    parts = [bomb[place : place + step] for place in range(0, len(bomb), step)]
    frames = [
        plain((0x42 if number == 0 else 0) | 0x80 * (number == len(parts) - 1), len(part), part)
        for number, part in enumerate(parts)
    ]
    async with inflating(tmp_path, max_message_size=limit) as (server, client):
        with server.growth() as growth:
            await pour(client, b"".join(frames))
            assert await code_of(client) == 1009
    assert growth.bytes < 3 * limit


async def test_small_frames_that_inflate_to_just_the_limit_cost_it_once(tmp_path: Path) -> None:
    """C4: 1,000 times smaller than they become, and each comes back."""
    limit = 2 * MEBIBYTE
    small = deflated(bytes(limit))
    async with inflating(tmp_path, max_message_size=limit) as (server, client):
        with server.growth() as growth:
            for _ in range(10):
                await client.send(plain(0xC2, len(small), small))
                opcode, data = await client.frame()
                assert (opcode, len(data)) == (BINARY, limit)
    assert growth.bytes < 4 * limit


@on("native")
@pytest.mark.parametrize("opcode", [PING, PONG], ids=["pings", "pongs"])
async def test_control_frames_of_a_peer_that_does_not_read_cost_nothing(
    server: Served, opcode: int
) -> None:
    """C6: of the answers that cannot leave the last one is kept, and no ping starts a task."""
    tasks = (await server.state())["tasks"]
    async with server.opened(is_deaf=True) as client:
        with server.growth() as growth:
            await client.send(plain(0x80 | opcode, 104, bytes(104)) * 150_000)
            assert await has_no_more_tasks(server, tasks + 1)
            await client.send(frame(b"still here"))
            while await client.frame() != (TEXT, b"still here"):
                pass
    assert growth.bytes < 8 * MEBIBYTE


# --- flow -----------------------------------------------------------------------------------------


async def test_a_peer_that_reads_late_gets_everything_in_order(server: Served) -> None:
    """C7: while its answers cannot leave, nothing more is read."""
    frames = [struct.pack("!I", number) + bytes(996) for number in range(30_000)]
    async with server.opened() as client:
        with server.growth() as growth:
            sending = asyncio.create_task(
                client.send(b"".join(plain(0x82, 1000, each) for each in frames))
            )
            await held_up(server, client)
            for each in frames:
                assert await client.frame() == (BINARY, each)
            await sending
    assert growth.bytes < 4 * MEBIBYTE


async def test_a_peer_that_never_reads_is_given_up_and_its_pushes_are_bounded(
    server: Served,
) -> None:
    """C8: it is closed with 1013, which the log counts."""
    with server.growth() as growth:
        for number in range(3):
            async with server.opened("/push", is_deaf=True):
                await until(lambda: server.output.count("'/push' ended with 1013") > number)  # noqa: B023
    assert growth.bytes < 8 * MEBIBYTE


@on("native")
async def test_a_flood_of_one_peer_lets_its_neighbours_have_their_turns(server: Served) -> None:
    """C9: a neighbour is answered again and again while a flood is handled, not at its end."""
    most = 300_000
    async with server.opened("/count") as hostile, server.opened("/count") as neighbour:
        sending = asyncio.create_task(pour(hostile, plain(0x81, 1, b"x") * most))
        counts = [0]
        while counts[-1] < most:
            await neighbour.send(frame(b"?"))
            counts.append(int((await neighbour.frame())[1]))
        await sending
    assert len(counts) > 10


async def test_who_sends_more_than_its_rate_is_told_and_then_closed_with_4429(
    server: Served,
) -> None:
    """C9: the eleventh message in a row that is one too many ends the connection."""
    said_once = said("say", id=1, data={"text": "x"})
    async with server.opened("/metered") as client:
        await client.send(said_once * 15)
        codes = sorted([str((await heard(client)).get("code")) for _ in range(15)])
        assert codes == ["None"] * 10 + ["rate_limited"] * 5
        await client.send(said_once * 50)
        assert await code_of(client) in ends(server, 4429)
    await until(lambda: "'/metered' ended with 4429" in server.output)


def ends(server: Served, code: int) -> tuple[int, ...]:
    """Return with which codes a connection may end: RSGI carries none."""
    return (0,) if server.name == "rsgi" else (code,)


BAITS = {
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep in a call": b'{"type":"any","data":{"value":' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
    "huge integer": b'{"type":"typed","data":{"number":' + b"9" * 1_000_000 + b"}}",
    "huge exponent": b'{"type":"typed","data":{"number":1e999999999}}',
    "huge fraction": b'{"type":"any","data":{"value":0.' + b"1" * 1_000_000 + b"}}",
    "lines": b"\n" * 2_000_000,
    "a million keys": b'{"type":"typed","data":{"number":1,"words":{'
    + b",".join(b'"k%d":1' % number for number in range(1_000_000))
    + b"}}}",
    "a million items": b'{"type":"typed","data":{"number":1,"numbers":['
    + b"1," * 1_000_000
    + b"1]}}",
    "a long name": b'{"type":"' + b"x" * 2_000_000 + b'"}',
    "not utf-8": b'{"type":"any","data":{"value":"\xff"}}',
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("adapter", ["msgspec", "orjson", "stdlib"])
async def test_json_that_is_bait_is_answered_or_closed_and_never_an_error_of_ours(
    tmp_path: Path, adapter: str
) -> None:
    """C10: no depth, number or count of keys raises what nobody foresaw."""
    limit = 16 * MEBIBYTE
    log = tmp_path / "log"
    with served("native", log, application=SERVICE, json=adapter, max_message_size=limit) as server:
        for name, bait in BAITS.items():
            async with server.opened("/desk") as client:
                await client.send(plain(0x81, len(bait), bait))
                opcode, payload = await client.frame(within=PATIENCE)
            if opcode == CLOSE:
                assert int.from_bytes(payload[:2], "big") in (1003, 1007, 4400), name
            else:
                answer = json.loads(payload)
                assert answer.get("code") != "internal", (name, answer)
        assert "failed on" not in server.output
        assert await server.is_alive()


async def test_what_is_inflated_counts_for_the_budget_of_bytes(tmp_path: Path) -> None:
    """C10: small frames that become large ones are charged for what they become."""
    text = json.dumps({"type": "say", "data": {"text": "x" * 50_000}}).encode()
    small = deflated(text)
    assert len(small) < 200
    async with inflating(tmp_path, path="/weighed") as (_, client):
        await client.send(plain(0xC1, len(small), small) * 20)
        assert await code_of(client) == 4429


# --- who waits, and who comes and goes ------------------------------------------------------------


async def test_who_never_says_who_it_is_is_closed_and_takes_no_place_of_others(
    tmp_path: Path,
) -> None:
    """C13: the deadline closes with 4401, the next one too many gets 503, nobody costs a task."""
    with served("native", tmp_path / "log", application=SERVICE, max_unauthenticated=50) as server:
        tasks = (await server.state())["tasks"]
        async with AsyncExitStack() as stack:
            waiting = [await stack.enter_async_context(server.opened("/first")) for _ in range(50)]
            async with raw_client(server.port) as client:
                await client.send(handshake("/first", host=f"Host: {server.authority}"))
                head = await client.head()
            assert head.startswith(b"http/1.1 503 ")
            assert b"\r\nretry-after: " in head
            assert await has_no_more_tasks(server, tasks)
            assert await server.is_alive()
            assert [await code_of(client) for client in waiting] == [4401] * 50
        async with server.opened("/first") as client:
            await client.send(said("auth", data={"token": "t-ada"}))
            assert (await heard(client))["type"] == "ready"
            await client.send(said("who", id=1))
            assert (await heard(client))["data"] == "ada"
        assert (await seen(server))["verified"] == 1


async def seen(server: Served) -> dict[str, int]:
    found: dict[str, int] = (await server.state())["seen"]
    return found


@pytest.mark.parametrize(
    ("offer", "hello", "most"),
    [
        ((), plain(0x81, 5, b"hello"), 10 * 1024),
        (
            ("Sec-WebSocket-Extensions: permessage-deflate",),
            plain(0xC1, len(deflated(b"hello")), deflated(b"hello")),
            12 * 1024,
        ),
    ],
    ids=["plain", "deflate"],
)
async def test_an_idle_connection_costs_no_more_than_its_budget(
    tmp_path: Path, offer: tuple[str, ...], hello: bytes, most: int
) -> None:
    """C14: bytes for each of a thousand connections that have spoken once and are silent."""
    path = "/count-nothing"
    with served("native", tmp_path / "log", application=SERVICE, compression=True) as server:
        for _ in range(50):
            assert await server.is_alive(path)
        async with AsyncExitStack() as stack:
            before = server.resident
            for _ in range(1000):
                client = await stack.enter_async_context(server.opened(path, *offer))
                await client.send(hello)
                assert await client.frame() == (TEXT, b"hello")
            each = (server.resident - before) / 1000
        assert each < most


async def test_connections_that_come_and_go_leave_nothing(server: Served) -> None:
    """C15: after 700 of every kind, 700 more leave memory, descriptors and tasks as they were."""
    sizes = []
    for _ in range(3):
        for number in range(700):
            await _visit(server, number)
        await until_empty(server)
        sizes.append((server.resident, server.descriptors, (await server.state())["tasks"]))
    _, (size, descriptors, tasks), (last_size, _, _) = sizes
    assert last_size - size < 2 * MEBIBYTE
    assert await has_no_more_tasks(server, tasks)
    await until(lambda: server.descriptors <= descriptors)


async def until_empty(server: Served) -> None:
    """Wait until no connection is being served."""
    async with asyncio.timeout(20):
        while (await server.state())["connections"]:
            pass


async def _visit(server: Served, number: int) -> None:
    path = ("/echo", "/count-nothing", "/desk", "/first", "/nowhere")[number % 5]
    async with raw_client(server.port) as client:
        await client.send(handshake(path, host=f"Host: {server.authority}"))
        head = await client.head()
        if not head.startswith(b"http/1.1 101 "):
            return
        await client.send(frame(b"hello") + frame(b"bin", BINARY) + frame(b"", PING))
        how = number % 4
        if how == 0:
            await client.send(frame(b"\x03\xe8", CLOSE))
            await client.rest()
        elif how == 1:
            client.abort()
        elif how == 2:
            await client.send(frame(b"x" * 100)[:-50])
            client.finish()
            await client.rest()
        else:
            await client.frame()


async def test_a_slow_handler_holds_its_sender_up_and_costs_an_inbox(server: Served) -> None:
    """C17: what is not handled yet is not read, and no message has a task of its own."""
    await server.request("POST", "/hold")
    tasks = (await server.state())["tasks"]
    count = 30_000
    async with server.opened("/held") as client:
        with server.growth() as growth:
            sending = asyncio.create_task(client.send(plain(0x81, 1000, b"x" * 1000) * count))
            await held_up(server, client)
            assert await has_no_more_tasks(server, tasks + 3)
            assert await seen(server) == {"held": 1}
            await server.request("POST", "/release")
            await sending
            async with asyncio.timeout(20):
                while (await seen(server))["held"] < count:
                    pass
    assert growth.bytes < 8 * MEBIBYTE


async def test_messages_to_a_stuck_peer_wait_in_our_queue_and_not_in_that_of_asyncio() -> None:
    """C18: where asyncio's own queue is quadratic, ours is bounded, and what leaves is joined."""
    app = App(outbox_frames=100_000)
    members: list[WebSocket] = []

    @app.websocket("/")
    async def stay(ws: WebSocket) -> None:
        await ws.accept()
        members.append(ws)
        async for message in ws:
            await ws.send(message)

    async with (
        native_server(app) as server,
        server.opened(is_deaf=True) as client,
    ):
        await until_here(lambda: members)
        (protocol,) = server.connections
        async with server.opened() as neighbour:
            backlogs, queued = [], []
            with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012 - any of them may raise
                for number in range(100_000):
                    await members[0].send_bytes(bytes(100))
                    backlogs.append(protocol.transport.get_write_buffer_size())
                    queued.append(members[0].connection.outbox.size)
                    if number % 1000 == 0:
                        await client.send(plain(0x89, 100, bytes(100)) * 50)
                        await neighbour.send(frame(b"?"))
                        assert await neighbour.frame() == (TEXT, b"?")
        assert caught.value.code == 1013
        assert max(backlogs) < MEBIBYTE
        assert MEBIBYTE / 2 < max(queued) <= MEBIBYTE

"""permessage-deflate on the native transport, byte by byte and with a client that knows it."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.contract.process import HOST
from tests.wire.raw import TIMEOUT, RawClient, frame, handshake, raw_client
from tests.wire.serving import serving
from wirework import App, WebSocket
from wirework.outbox import TEXT, Outgoing
from wirework.types import Receive, Scope, SendMessage

NATIVE = "wirework.transports.native:NativeProtocol"
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
NARROW = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9"
RSV1 = 0x40
BIG = "fair and square " * 100


def echo(**settings: Any) -> App:
    app = App(**{"compression": True, **settings})

    @app.websocket("/")
    async def _(ws: WebSocket) -> None:
        await ws.accept()
        async for received in ws:
            if isinstance(received, str):
                await ws.send_text(received)
            else:
                await ws.send_bytes(received)

    return app


async def foreign(scope: Scope, receive: Receive, send: SendMessage) -> None:
    """Echo as an application that knows ASGI and nothing of Wirework."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@asynccontextmanager
async def opened(app: Any, *lines: str, **options: Any) -> AsyncIterator[tuple[RawClient, bytes]]:
    """Serve `app`; give a client whose handshake is answered, and the head of the answer."""
    async with serving(app, NATIVE, **options) as server, raw_client(server.port) as client:
        await client.send(handshake("/", *lines))
        yield client, await client.head()


async def answers(client: RawClient, *sent: bytes, count: int = 1) -> list[tuple[int, bytes]]:
    """Send frames at once; return first byte and raw payload of as many that come."""
    await client.send(b"".join(sent))
    return [await client.whole_frame() for _ in range(count)]


async def close_after(client: RawClient, *sent: bytes) -> tuple[int, bytes]:
    """Send frames; return code and reason of the close that must come."""
    [(first, payload)] = await answers(client, *sent)
    assert first == 0x88
    assert await client.rest() == b""
    return int.from_bytes(payload[:2], "big"), payload[2:]


def deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-12)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload: bytes, bits: int = 12) -> bytes:
    return zlib.decompressobj(-bits).decompress(payload + b"\x00\x00\xff\xff")


@pytest.mark.parametrize("settings", [{"compression": False}, {}])
@pytest.mark.parametrize("line", [OFFER, "X-Nothing: here"])
async def test_messages_are_compressed_where_both_sides_say_so(
    settings: dict[str, bool], line: str
) -> None:
    is_agreed = not settings and line == OFFER
    async with opened(echo(**settings), line) as (client, head):
        assert (b"sec-websocket-extensions" in head) is is_agreed
        frames = await answers(client, frame(BIG.encode(), 1), frame(b"short", 1), count=2)
    first, payload = frames[0]
    assert first == (0xC1 if is_agreed else 0x81)
    assert (inflated(payload) if is_agreed else payload) == BIG.encode()
    assert frames[1] == (0x81, b"short")


async def test_compressed_messages_come_whole_and_in_fragments_with_pings_between() -> None:
    payload = deflated(b"Hello, hello")
    async with opened(echo(), OFFER) as (client, _):
        frames = await answers(
            client,
            frame(payload, RSV1 | 1),
            frame(b"plain", 1),
            frame(payload[:3], RSV1 | 2, is_final=False),
            frame(b"are you there", 9),
            frame(payload[3:], 0, is_final=False),
            frame(b"", 0),
            frame(b"", RSV1 | 1),
            frame(b"pla", 2, is_final=False),
            frame(b"in", 0),
            count=6,
        )
    pong, *others = sorted(frames, key=lambda each: each[0] != 0x8A)
    assert pong == (0x8A, b"are you there")
    assert others == [
        (0x81, b"Hello, hello"),
        (0x81, b"plain"),
        (0x82, b"Hello, hello"),
        (0x81, b""),
        (0x82, b"plain"),
    ]


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("X-Nothing: here", [frame(deflated(b"a"), RSV1 | 1)]),
        (OFFER, [frame(b"", RSV1 | 9)]),
        (OFFER, [frame(b"\x03\xe8", RSV1 | 8)]),
        (OFFER, [frame(deflated(b"a"), RSV1 | 0x20 | 1)]),
        (OFFER, [frame(b"a", 0x10 | 1)]),
        (OFFER, [frame(b"", RSV1 | 1, is_final=False), frame(b"", RSV1 | 0)]),
        (OFFER, [frame(b"", 1, is_final=False), frame(b"", RSV1 | 0)]),
        (OFFER, [frame(b"", 1, is_final=False), frame(b"", RSV1 | 1)]),
        (OFFER, [frame(b"", RSV1 | 0)]),
    ],
)
async def test_the_bit_of_compression_in_the_wrong_place_is_a_protocol_error(
    line: str, sent: list[bytes]
) -> None:
    async with opened(echo(), line) as (client, _):
        code, _ = await close_after(client, *sent)
    assert code == 1002


@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("is_final", [True, False])
async def test_corrupt_data_ends_the_connection_with_1007(opcode: int, is_final: bool) -> None:
    async with opened(echo(), OFFER) as (client, _):
        close = await close_after(client, frame(b"\xff\xff", RSV1 | opcode, is_final=is_final))
    assert close == (1007, b"not deflate data")


@pytest.mark.parametrize("is_final", [True, False])
async def test_compressed_text_that_is_not_utf_8_ends_it_too(is_final: bool) -> None:
    async with opened(echo(), OFFER) as (client, _):
        sent = frame(deflated(b"\xff"), RSV1 | 1, is_final=is_final)
        close = await close_after(client, sent, b"" if is_final else frame(b"", 0))
    assert close == (1007, b"not UTF-8")


@pytest.mark.parametrize("pieces", [1, 3, 64])
async def test_a_bomb_ends_the_connection_with_1009(pieces: int) -> None:
    bomb = deflated(bytes(16 * 1024 * 1024))
    step = -(-len(bomb) // pieces)
    parts = [bomb[start : start + step] for start in range(0, len(bomb), step)]
    opcodes = [RSV1 | 2] + [0] * (pieces - 1)
    sent = [
        frame(part, opcode, is_final=index == pieces - 1)
        for index, (part, opcode) in enumerate(zip(parts, opcodes, strict=True))
    ]
    async with opened(echo(max_message_size=100_000), OFFER) as (client, _):
        close = await close_after(client, *sent)
    assert close == (1009, b"at most 100000 bytes")


async def test_a_message_of_just_the_limit_is_taken_even_if_compression_makes_it_larger() -> None:
    noise = os.urandom(1000)
    payload = deflated(noise)
    assert len(payload) > 1000
    async with opened(echo(max_message_size=1000), OFFER) as (client, _):
        assert await answers(client, frame(payload, RSV1 | 2)) == [(0x82, noise)]
        close = await close_after(client, frame(noise + b"a", 2))
    assert close == (1009, b"at most 1000 bytes")


async def test_a_broadcast_is_compressed_once_and_everybody_gets_the_same_bytes() -> None:
    app = App(compression=True)
    sockets: list[WebSocket] = []
    everybody = asyncio.Event()

    @app.websocket("/")
    async def _(ws: WebSocket) -> None:
        await ws.accept()
        sockets.append(ws)
        if len(sockets) == 4:
            everybody.set()
        async for _ in ws:
            pass

    outgoing = Outgoing(TEXT, BIG.encode())
    async with serving(app, NATIVE) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw_client(server.port)) for _ in range(4)]
        for client, line in zip(clients, [NARROW, OFFER, OFFER, "X-Nothing: here"], strict=True):
            await client.send(handshake("/", line))
            await client.head()
        async with asyncio.timeout(TIMEOUT):
            await everybody.wait()
        for ws in sockets:
            ws.connection.push(outgoing)
        narrow, one, two, plain = [await client.whole_frame() for client in clients]
    assert one == two
    assert outgoing.deflated is not None
    assert outgoing.deflated.endswith(one[1])
    assert narrow[0] == 0xC1
    assert inflated(one[1]) == inflated(narrow[1], 9) == BIG.encode()
    assert plain == (0x81, BIG.encode())


@pytest.mark.parametrize("is_allowed", [True, False])
async def test_other_applications_have_it_as_their_server_is_configured(is_allowed: bool) -> None:
    async with opened(foreign, OFFER, ws_per_message_deflate=is_allowed) as (client, head):
        assert (b"sec-websocket-extensions" in head) is is_allowed
        frames = await answers(client, frame(BIG.encode(), 1), frame(b"short", 2), count=2)
    first, payload = frames[0]
    assert first == (0xC1 if is_allowed else 0x81)
    assert (inflated(payload) if is_allowed else payload) == BIG.encode()
    assert frames[1] == (0x82, b"short")


@pytest.mark.parametrize("app", [echo(max_message_size=2**20), foreign], ids=["own", "foreign"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"client_no_context_takeover": True},
        {"client_max_window_bits": None},
        {"server_max_window_bits": 9, "client_max_window_bits": 9},
    ],
)
async def test_a_client_that_compresses_gets_everything_back(
    app: Any, options: dict[str, Any]
) -> None:
    messages: list[str | bytes] = [BIG, "short", BIG, b"", os.urandom(70_000), "ä" * 100_000, BIG]
    extensions = [ClientPerMessageDeflateFactory(**options)]
    async with (
        serving(app, NATIVE) as server,
        connect(
            f"ws://{HOST}:{server.port}/", compression=None, extensions=extensions, proxy=None
        ) as peer,
    ):
        assert peer.protocol.extensions
        for message in messages:
            await peer.send(message)
            async with asyncio.timeout(TIMEOUT):
                assert await peer.recv() == message

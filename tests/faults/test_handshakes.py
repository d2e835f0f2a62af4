"""Hostile handshakes: rows A1 to A12 and A14 of the page of faults."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.faults.served import MEBIBYTE, Served
from tests.wire.raw import frame, handshake, raw_client
from tests.wire.requests import LARGE, LENIENT, REFUSED, request, without

OWN = ("native", "asgi")
"""Where Wirework reads the head of a request."""

LET_PASS = {
    "native": set[str](),
    "asgi": {"a10 no host"},
    "rsgi": {
        "a2 short key",
        "a2 no base64",
        "a2 two keys",
        "a6 lone line feed",
        "a9 malformed subprotocol",
        "a10 no host",
    },
}
"""What servers take, without harm: Wirework learns of it in a shape that is right."""


async def answer_to(server: Served, data: bytes) -> bytes:
    """Return everything that the server says; of Granian, which goes on, the head."""
    async with raw_client(server.port) as client:
        await client.send(data)
        head = await client.head()
        return head if server.name == "rsgi" else head + await client.rest()


WRONG = {name: data.replace(b" / ", b" /echo ", 1) for name, data in (REFUSED | LENIENT).items()}


@pytest.mark.parametrize("name", WRONG)
async def test_a_request_that_is_not_right_gets_one_refusal(server: Served, name: str) -> None:
    """A1, A2, A6, A10, A11: on every transport, but for what the server lets pass."""
    if name in LET_PASS[server.name]:
        async with raw_client(server.port) as client:
            await client.send(WRONG[name])
            assert (await client.head()).startswith(b"http/1.1 101 ")
        return
    answer = await answer_to(server, WRONG[name])
    assert answer.startswith(b"http/1.1 4"), answer
    assert answer.lower().count(b"http/1.1 4") == 1


@pytest.mark.parametrize("version", ["8", "14", "13, 8", ""])
async def test_another_version_is_refused(server: Served, version: str) -> None:
    """A3: with the version that is spoken, where the answer is ours."""
    header = f"Sec-WebSocket-Version: {version}"
    data = without("Sec-WebSocket-Version", start="GET /echo HTTP/1.1", more=(header,))
    answer = (await answer_to(server, data)).lower()
    assert answer.startswith(b"http/1.1 426 " if server.name == "native" else b"http/1.1 400 ")
    assert server.name != "native" or b"\r\nsec-websocket-version: 13\r\n" in answer


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: keep-alive, Upgrade", "Upgrade: websocket"),
        ("connection:UPGRADE", "UPGRADE:WebSocket"),
        ("Connection: Upgrade , keep-alive", "Upgrade: WEBSOCKET"),
    ],
)
async def test_spellings_of_browsers_and_proxies_are_accepted(
    server: Served, lines: tuple[str, ...]
) -> None:
    """A4: Firefox says `keep-alive, Upgrade`."""
    data = without("Connection", "Upgrade", start="GET /echo HTTP/1.1", more=lines)
    async with raw_client(server.port) as client:
        await client.send(data)
        assert (await client.head()).startswith(b"http/1.1 101 ")


NOT_ASCII = [
    handshake("/headers", "X-A: \xe9\xff"),
    handshake("/headers", "Cookie: a=\xe9; session=\xff"),
    handshake("/headers", "Sec-WebSocket-Protocol: \xe9"),
    handshake("/headers", "Sec-WebSocket-Extensions: \xe9; \xff"),
    handshake("/headers", "Origin: http://\xe9.example"),
    handshake("/headers", "Authorization: Bearer \xff\xfe"),
    handshake("/headers", host="Host: \xe9"),
    handshake("/headers?a=\xe9"),
    handshake("/headers/\xff"),
    handshake("/private/%ff%fe", "Authorization: Bearer \xe9"),
]


async def test_bytes_beyond_ascii_in_a_head_harm_nobody(server: Served) -> None:
    """A5: twenty times; the process is the same afterwards."""
    pid = (await server.state())["pid"]
    for data in NOT_ASCII * 2:
        async with raw_client(server.port) as client:
            await client.send(data)
            head = await client.head()
            assert head.startswith((b"http/1.1 4", b"http/1.1 101 ")), (data, head)
            assert b"sec-websocket-protocol" not in head
    assert (await server.state())["pid"] == pid


async def test_the_application_sees_the_headers_that_were_sent_and_no_others(
    server: Served,
) -> None:
    """A6: nothing is added by what a value holds, and nothing is lost."""
    sent = ['X-A: a:b, c; d="\\"', "X-B:", "X-A: again", "X-C: \t padded \t", "X_D: e"]
    async with server.opened("/headers", *sent) as client:
        found = json.loads((await client.frame())[1])
    pairs = [(name, value) for name, value in found["headers"] if name.startswith("x")]
    assert sorted(pairs) == [
        ("x-a", 'a:b, c; d="\\"'),
        ("x-a", "again"),
        ("x-b", ""),
        ("x-c", "padded"),
        ("x_d", "e"),
    ]


async def endless(server: Served, data: bytes) -> bytes:
    """Send a head that does not end; return the beginning of the answer."""
    async with raw_client(server.port) as client:
        sending = asyncio.create_task(client.send(data))
        try:
            return await client.head()
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        finally:
            await asyncio.wait([sending])
            sending.exception()


@pytest.mark.parametrize("name", LARGE)
async def test_a_head_that_is_too_large_is_refused_and_not_kept(server: Served, name: str) -> None:
    """A7: twenty peers at once cost less than 1 MiB each, while they send it."""
    await endless(server, LARGE[name])
    with server.growth() as growth:
        answers = await asyncio.gather(*(endless(server, LARGE[name]) for _ in range(20)))
    assert {answer[9:12] for answer in answers} <= {b"431", b"414", b"400", b""}
    assert growth.bytes < 20 * MEBIBYTE


BAIT = {
    "subprotocols": ("Sec-WebSocket-Protocol: ", "a,", "a"),
    "extensions": ("Sec-WebSocket-Extensions: ", 'a; b="\\"; ', "a"),
    "spaces": ("Sec-WebSocket-Extensions: ", " \t", "a"),
    "cookies": ("Cookie: ", 'a="\\"; ;', "a=b"),
    "origin": ("Origin: ", "http://a.", "b"),
    "connection": ("Connection: ", "x, ", "Upgrade"),
}


@pytest.mark.parametrize("name", BAIT)
async def test_bait_for_slow_parsers_costs_little_more_than_other_headers(
    server: Served, name: str
) -> None:
    """A8: counted is what the server computes; quadratic parsers would take a thousand times it."""
    size = 7_000 if server.name == "asgi" else 30_000  # websockets answers nothing above 8 KiB
    start, middle, end = BAIT[name]
    bait = start + middle * (size // len(middle)) + end
    plain = "X-A: " + "a" * size
    costs = []
    for line in (plain, bait):
        before = (await server.state())["cpu"]
        for _ in range(20):
            async with raw_client(server.port) as client:
                await client.send(handshake("/echo", line))
                await client.head()
        costs.append((await server.state())["cpu"] - before)
    assert costs[1] < 100 * costs[0]


HOSTILE_OFFERS = [
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; client_max_window_bits=16, x-webkit-deflate-frame",
    "permessage-deflate; x; x; x",
    "permessage-deflate" + "; client_max_window_bits" * 250,
    ";;;,,,===",
    '"' + "\\" * 1000,
    "a;" * 3500,
]


async def test_a_hostile_offer_of_extensions_is_declined(server: Served) -> None:
    """A9: no answer that the client did not ask for, and no error."""
    for offer in HOSTILE_OFFERS:
        async with raw_client(server.port) as client:
            await client.send(handshake("/echo", f"Sec-WebSocket-Extensions: {offer}"))
            head = await client.head()
            assert head.startswith((b"http/1.1 101 ", b"http/1.1 400 ")), (offer, head)
            assert b"sec-websocket-extensions" not in head


SPELLINGS = [
    "/private/a",
    "//private/a",
    "/private//a",
    "/./private/a",
    "/x/../private/a",
    "/%70rivate/a",
    "/%2e/private/a",
    "/private%2fa",
    "/private/%2e%2e/private/a",
    "/echo/../private/a",
    "/PRIVATE/a",
    "/private/a?@testserver/echo",
    "/private/a;x=/echo",
    "/private/a%00",
    "/private/@a",
]


async def test_no_spelling_of_a_path_gets_past_its_guard(server: Served) -> None:
    """A10: routes and their authentication see the same path."""
    for path in SPELLINGS:
        answer = await answer_to(server, handshake(path))
        assert answer.startswith((b"http/1.1 401 ", b"http/1.1 404 ", b"http/1.1 400 ")), path
    async with server.opened("/%70rivate/a", "Authorization: Bearer t-ada") as client:
        await client.send(frame(b"hello"))
        assert await client.frame() == (1, b"hello")


REFUSALS = {
    "no such path": handshake("/nowhere"),
    "a foreign origin": handshake("/echo", "Origin: http://evil.example"),
    "no credentials": handshake("/private/a"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_frames_behind_a_refused_upgrade_reach_nobody(server: Served, name: str) -> None:
    """A12: there is no tunnel; what follows is nothing, or a request like any other."""
    behind = frame(b"hello")
    if server.name != "asgi":  # of bytes that are no frame before the answer Uvicorn says "assert"
        behind += request("Host: testserver", start="GET /state HTTP/1.1")
    before = (await server.state())["seen"]
    answer = await answer_to(server, REFUSALS[name] + behind)
    assert answer.startswith(b"http/1.1 4")
    assert b"pid" not in answer
    if server.name != "rsgi":
        assert answer.lower().count(b"http/1.1 4") == 1
        assert b"\r\nconnection: close\r\n" in answer.lower()
    assert (await server.state())["seen"] == before


async def test_a_handshake_in_single_bytes_is_accepted(server: Served) -> None:
    """A14: however the network cuts it."""
    async with raw_client(server.port) as client:
        await client.send(handshake("/echo"), step=1)
        assert (await client.head()).startswith(b"http/1.1 101 ")
        await client.send(frame(b"hello"), step=1)
        assert await client.frame() == (1, b"hello")


async def test_frames_glued_to_the_handshake_are_all_answered(server: Served) -> None:
    """A14: nothing is lost and nothing changes its place."""
    frames = [f"{number}".encode() for number in range(200)]
    async with raw_client(server.port) as client:
        await client.send(handshake("/echo") + b"".join(map(frame, frames)))
        assert (await client.head()).startswith(b"http/1.1 101 ")
        assert [await client.frame() for _ in frames] == [(1, each) for each in frames]

"""Centrifugo's protocol is the same over every transport: it begins with a greeting of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from .differences import close_code, expected
from .harness import Peer, Server, closed, seen

_unread: WeakKeyDictionary[Peer, list[str]] = WeakKeyDictionary()


async def heard(peer: Peer) -> Any:
    """Return the next message; several may have come as the lines of one frame."""
    lines = _unread.setdefault(peer, [])
    if not lines:
        lines += str(await peer.receive()).split("\n")
    return json.loads(lines.pop(0))


def rpc(id: int, method: str, **data: Any) -> str:
    return json.dumps({"id": id, "rpc": {"method": method, "data": data}})


@asynccontextmanager
async def greeted(server: Server, id: str) -> AsyncIterator[Peer]:
    """A connection that has begun."""
    async with server.connect(f"/speak/centrifugo/websocket?id={id}") as peer:
        await peer.send('{"id": 1, "connect": {}}')
        said = await heard(peer)
        assert said["id"] == 1
        assert (said["connect"]["ping"], said["connect"]["pong"]) == (25, True)
        yield peer


async def test_calls_of_one_frame_are_answered_in_order(server: Server, id: str) -> None:
    async with greeted(server, id) as peer:
        calls = [rpc(2, "add", a=1, b=2), rpc(3, "total", a="x"), rpc(4, "nothing"), "{}"]
        await peer.send("\n".join([*calls, rpc(5, "reject")]))
        assert await heard(peer) == {"id": 2, "rpc": {"data": 3}}
        answers = [await heard(peer) for _ in range(3)]
        assert [each["id"] for each in answers] == [3, 4, 5]
        assert [each["error"]["code"] for each in answers] == [107, 104, 400]


async def test_answers_that_are_ready_together_share_a_frame(server: Server, id: str) -> None:
    async with greeted(server, id) as peer:
        await peer.send("\n".join([rpc(2, "add", a=1), rpc(3, "add", a=2), rpc(4, "add", a=3)]))
        lines = str(await peer.receive()).split("\n")
        assert len(lines) == expected(server, "answers that share a frame", 3)


async def test_the_first_frame_may_have_more_than_the_greeting(server: Server, id: str) -> None:
    async with server.connect(f"/speak/centrifugo/websocket?id={id}") as peer:
        await peer.send('{"id": 1, "connect": {}}\n' + rpc(2, "add", a=2))
        assert (await heard(peer))["id"] == 1
        assert await heard(peer) == {"id": 2, "rpc": {"data": 3}}


async def test_a_call_before_the_greeting_is_refused(server: Server, id: str) -> None:
    async with server.connect(f"/speak/centrifugo/websocket?id={id}") as peer:
        await peer.send(rpc(1, "add", a=1))
        assert (await heard(peer))["error"]["code"] == 101
        await ends(server, peer, 3500, "not authenticated")


async def ends(server: Server, peer: Peer, code: int, reason: str) -> None:
    if expected(server, "a message that says the close", False):
        said = {"push": {"disconnect": {"code": code, "reason": reason}}}
        assert await heard(peer) == said
    assert (await closed(peer)).code == close_code(server, code)


@pytest.mark.parametrize(("ours", "theirs"), [(4403, 3507), (1013, 3008), (4001, 4001)])
async def test_the_end_has_the_protocol_s_code(
    server: Server, id: str, ours: int, theirs: int
) -> None:
    async with greeted(server, id) as peer:
        await peer.send(rpc(2, "part", code=ours, reason="why"))
        await ends(server, peer, theirs, "why")
    assert ["disconnect", ours] in await seen(server, id, 1)


async def test_a_stream_arrives_in_order(server: Server, id: str) -> None:
    async with greeted(server, id) as peer:
        await peer.send(rpc(2, "count", to=20))
        for number in range(20):
            data = {"id": 2, "seq": number, "data": number}
            assert await heard(peer) == {"push": {"message": {"data": data}}}
        assert await heard(peer) == {"id": 2, "rpc": {"data": {"count": 20}}}


NO_COMMANDS = {
    "{": "not readable as JSON: input data was truncated",
    "[]": "expected a command: __model__: Input should be an object",
    '{"id": 4}': "expected one method, got none",
}


@pytest.mark.parametrize("line", [*NO_COMMANDS])
async def test_a_line_that_is_no_command_ends_the_connection_after_those_before_it(
    server: Server, id: str, line: str
) -> None:
    async with greeted(server, id) as peer:
        await peer.send("\n".join([rpc(2, "add", a=1, b=2), line, '{"id": 3, "ping": {}}']))
        assert await heard(peer) == {"id": 2, "rpc": {"data": 3}}
        await ends(server, peer, 3501, NO_COMMANDS[line])


async def test_a_frame_of_the_other_kind_ends_the_connection(server: Server, id: str) -> None:
    async with greeted(server, id) as peer:
        await peer.send(b"{}")
        await ends(server, peer, 3501, "expected a text frame, got a binary frame")


async def test_who_offers_protobuf_speaks_it(server: Server, id: str) -> None:
    path = f"/speak/centrifugo/websocket?id={id}"
    async with server.connect(path, subprotocols=["mine", "centrifuge-protobuf"]) as peer:
        assert peer.subprotocol == expected(server, "subprotocol", "centrifuge-protobuf")
        await peer.send(bytes.fromhex("04 0801 2200"))
        greeted = await peer.receive()
        assert isinstance(greeted, bytes)
        assert greeted[1:4] == bytes.fromhex("0801 2a")
        await peer.send(bytes.fromhex("0f 0802 6a0b 0a07") + b'{"a":1}' + bytes.fromhex("1200"))
        failed = await peer.receive()
        assert isinstance(failed, bytes)
        assert b"no message is called 'rpc'" in failed
        await peer.send("{}")
        if expected(server, "a message that says the close", False):
            told = await peer.receive()
            assert isinstance(told, bytes)
            assert b"expected a binary frame" in told
        assert (await closed(peer)).code == close_code(server, 3501)

"""Streams in a format that a dialect has beside JSON, which requests name by their media type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from centrifuge.protocol import client_pb2

from tests.unit.applications import counting
from tests.unit.dialects import official
from tests.unit.transports.exchange import Exchange, request
from wirework import App

pytestmark = pytest.mark.asyncio

BYTES = {"content-type": "application/octet-stream"}
CONNECT = {"id": 1, "connect": {}}


class ByteStream:
    """A stream in Protobuf, as its client sees it."""

    def __init__(self, app: App, first: bytes, headers: dict[str, str]) -> None:
        self.app = app
        self.exchange = Exchange(app, "POST", "/connection/http_stream", headers, first)
        self.replies: list[Any] = []
        self.is_over = False
        self.said: dict[str, Any] = {}

    async def begin(self) -> None:
        status, headers = await self.exchange.start()
        assert (status, headers["content-type"]) == (200, "application/octet-stream")
        self.said = (await self.receive())["connect"]

    async def receive(self) -> Any:
        """Return the next reply; None at the end."""
        while not (self.replies or self.is_over):
            body, more = await self.exchange.piece()
            self.replies, self.is_over = official.replies(body), not more
        return self.replies.pop(0) if self.replies else None

    async def post(self, body: bytes, headers: dict[str, str] | None = None) -> int:
        answer = await request(self.app, "POST", "/emulation", headers or BYTES, body)
        return answer.status

    async def send(self, frame: bytes) -> int:
        place = {"session": self.said["session"], "node": self.said["node"]}
        message = client_pb2.EmulationRequest(data=frame, **place)
        return await self.post(message.SerializeToString())

    async def leave(self) -> None:
        self.exchange.leave()
        await self.exchange.over()


async def opened(
    app: App, first: bytes = b"", media_type: str = "application/octet-stream"
) -> ByteStream:
    stream = ByteStream(app, first or official.command(CONNECT), {"content-type": media_type})
    await stream.begin()
    return stream


@pytest.mark.parametrize(
    "media_type",
    ["application/octet-stream", "Application/Octet-Stream; x=y"],
    ids=["plain", "odd"],
)
async def test_the_media_type_of_the_request_says_the_format(media_type: str) -> None:
    stream = await opened(counting(), media_type=media_type)
    rpc = {"method": "add", "data": {"a": 1, "b": 2}}
    assert await stream.send(official.command({"id": 2, "rpc": rpc})) == 204
    assert await stream.receive() == {"id": 2, "rpc": {"data": 3}}
    [ws] = stream.app.connections
    assert ws.subprotocol == "centrifuge-protobuf"
    await stream.leave()


async def test_the_first_request_may_bring_several_messages() -> None:
    rpc = {"method": "add", "data": {"a": 1, "b": 2}}
    first = official.command(CONNECT) + official.command({"id": 2, "rpc": rpc})
    stream = await opened(counting(), first)
    assert await stream.receive() == {"id": 2, "rpc": {"data": 3}}
    await stream.leave()


async def test_the_end_is_told_in_the_format_of_the_stream() -> None:
    stream = await opened(counting())
    await stream.send(official.command({"id": 2, "rpc": {"method": "leave"}}))
    said = [await stream.receive()]
    while said[-1] is not None:
        said.append(await stream.receive())
    assert said[-2] == {"push": {"disconnect": {"code": 3507, "reason": "go away"}}}
    await stream.leave()


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05a", b'{"session":""}'], ids=repr)
async def test_a_request_that_cannot_be_read_is_refused(body: bytes) -> None:
    stream = await opened(counting())
    assert await stream.post(body) == 400
    assert stream.app.connections[0].connection.is_open
    await stream.leave()


async def test_a_message_of_the_other_format_ends_the_connection() -> None:
    stream = await opened(counting())
    place = {"session": stream.said["session"], "node": stream.said["node"]}
    body = json.dumps({"data": '{"id":2,"ping":{}}', **place}).encode()
    assert await stream.post(body, {"content-type": "application/json"}) == 204
    told = (await stream.receive())["push"]["disconnect"]
    assert told == {"code": 3501, "reason": "expected a binary frame, got a text frame"}
    await stream.leave()

"""`broadcast`: one message to many connections, encoded once, whatever their peers do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.unit.applications import talking
from wirework import App, StateError, WebSocket, broadcast
from wirework.dialects import Raw, State, Status, Typed
from wirework.testing import TestClient, TestWebSocket


class Stamp(PurePosixPath):
    """A value that counts how often it is encoded."""

    encoded = 0

    def __str__(self) -> str:
        Stamp.encoded += 1
        return super().__str__()


class Hall:
    """An application whose connections are kept, in every style."""

    def __init__(self, **options: Any) -> None:
        self.app = App(**options)
        self.sockets: list[WebSocket] = []
        for path, dialect in (
            ("/json", Raw("json")),
            ("/text", Raw("text")),
            ("/status", Status()),
            ("/also-status", Status()),
            ("/binary-status", Status(binary=True)),
        ):
            self.app.ws(path, conn=self.join, dialect=dialect)(self.on_message)
        for path, named in (("/typed", Typed()), ("/flat", Typed(flat=True)), ("/state", State())):
            self.app.events(path, dialect=named).on_connect(self.join)
        self.app.websocket("/handler")(self.handler)

    async def on_message(self, data) -> None:  # type: ignore[no-untyped-def]
        """Take any message."""

    async def join(self, ws: WebSocket) -> None:
        """Keep the connection."""
        self.sockets.append(ws)

    async def handler(self, ws: WebSocket) -> None:
        """Hold a connection without a dialect."""
        await ws.accept()
        self.sockets.append(ws)
        async for _ in ws:
            pass

    @asynccontextmanager
    async def with_peers(self, *paths: str) -> AsyncIterator[list[TestWebSocket]]:
        """Open a connection to each path."""
        async with TestClient(self.app) as client, AsyncExitStack() as stack:
            yield [await stack.enter_async_context(client.connect(path)) for path in paths]


async def test_everybody_hears_it_in_the_dialect_of_their_route() -> None:
    hall = Hall()
    said = {
        "/json": '{"n":1}',
        "/text": '{"n":1}',
        "/status": '{"statusCode":200,"body":{"n":1}}',
        "/binary-status": b'{"statusCode":200,"body":{"n":1}}',
        "/typed": '{"type":"message","data":{"n":1}}',
        "/flat": '{"type":"message","n":1}',
        "/handler": '{"n":1}',
    }
    async with hall.with_peers(*said) as peers:
        assert await broadcast(hall.sockets, {"n": 1}) == len(said)
        assert [await peer.receive() for peer in peers] == list(said.values())


async def test_with_a_name_it_is_an_event() -> None:
    hall = Hall()
    async with hall.with_peers("/typed", "/flat", "/state") as peers:
        assert await broadcast(hall.sockets, {"n": 1}, name="tick") == 3
        assert [await peer.receive_json() for peer in peers] == [
            {"type": "tick", "data": {"n": 1}},
            {"type": "tick", "n": 1},
            {"state": "tick", "data": {"n": 1}},
        ]


async def test_it_is_encoded_once_for_each_dialect() -> None:
    hall = Hall()
    paths = ["/json"] * 3 + ["/status"] * 2 + ["/also-status"] + ["/typed"] * 4 + ["/handler"] * 2
    async with hall.with_peers(*paths) as peers:
        before = Stamp.encoded
        assert await broadcast(hall.sockets, [Stamp("/a")]) == len(paths)
        assert Stamp.encoded - before == 4  # json, status, typed, none
        for peer in peers:
            assert "/a" in str(await peer.receive())


@pytest.mark.parametrize("value", ["text", b"bytes", bytearray(b"bytes"), memoryview(b"bytes")])
async def test_a_connection_handler_hears_what_ws_send_says(value: Any) -> None:
    hall = Hall()
    async with hall.with_peers("/handler") as (peer,):
        await hall.sockets[0].send(value)
        await broadcast(hall.sockets, value)
        assert (
            await peer.receive()
            == await peer.receive()
            == (value if isinstance(value, str) else b"bytes")
        )


async def test_one_connection_may_be_left_out() -> None:
    hall = Hall()
    async with hall.with_peers("/json", "/json", "/json") as peers:
        assert await broadcast(hall.sockets, 1, skip=hall.sockets[1]) == 2
        assert await broadcast(hall.sockets, 2) == 3
        assert [await peer.receive_json() for peer in peers] == [1, 2, 1]


async def test_nobody_to_tell_is_fine() -> None:
    assert await broadcast([], 1, name="tick") == 0


async def test_the_collection_may_be_any_iterable_and_lose_members_meanwhile() -> None:
    hall = Hall(outbox_frames=4)
    async with hall.with_peers("/json", "/json") as peers:
        members = set(hall.sockets)
        for ws in hall.sockets:
            await ws.send("fill")
            await ws.send("fill")
        assert await broadcast((ws for ws in members), 1) == 2
        members.clear()
        assert [await peers[0].receive_json() for _ in range(3)] == ["fill", "fill", 1]


# --- peers --------------------------------------------------------------------------------------


async def test_those_that_are_gone_or_closing_or_not_yet_there_are_passed_over() -> None:
    hall = Hall()
    app = hall.app
    counts: list[int] = []

    async def early(ws: WebSocket) -> None:
        hall.sockets.append(ws)
        counts.append(await broadcast(hall.sockets, "early"))

    app.ws("/early", conn=early, dialect=Raw("json"))(hall.on_message)
    async with hall.with_peers("/json", "/json", "/json", "/early") as peers:
        assert counts == [3]
        await peers[0].close()
        await hall.sockets[1].close(4000)
        assert await broadcast(hall.sockets, "late") == 2
        assert await peers[2].receive_json() == "early"
        assert await peers[2].receive_json() == "late"
        assert await peers[3].receive_json() == "late"


async def test_a_slow_peer_is_closed_and_the_others_hear_everything() -> None:
    hall = Hall(outbox_frames=10)
    async with hall.with_peers("/json", "/json") as (slow, quick):
        slow.peer.stop_reading()
        reached = [await broadcast(hall.sockets, n) for n in range(30)]
        assert reached == [2] * 10 + [1] * 20
        assert [await quick.receive_json() for _ in range(30)] == list(range(30))
        slow.peer.start_reading()
        await slow.assert_closed(1013)


async def test_a_slow_peer_may_lose_the_oldest_instead() -> None:
    hall = Hall(outbox_frames=10, overflow="drop_oldest")
    async with hall.with_peers("/json") as (slow,):
        slow.peer.stop_reading()
        assert [await broadcast(hall.sockets, n) for n in range(30)] == [1] * 30
        slow.peer.start_reading()
        assert [await slow.receive_json() for _ in range(10)] == list(range(20, 30))


async def test_a_handler_that_is_slow_itself_does_not_wait_for_its_own_peer() -> None:
    app = App(outbox_frames=4)
    sockets: list[WebSocket] = []

    async def join(ws: WebSocket) -> None:
        sockets.append(ws)

    @app.ws("/", conn=join, dialect=Raw("json"))
    async def on_message(n: int) -> None:
        for number in range(n):
            await broadcast(sockets, number)

    async with talking(app) as ws:
        await ws.send_json({"n": 20})
        assert [await ws.receive_json() for _ in range(20)] == list(range(20))


# --- misuse -------------------------------------------------------------------------------------


async def test_what_one_dialect_cannot_say_nobody_hears() -> None:
    hall = Hall()
    async with hall.with_peers("/json", "/state") as (first, _):
        with pytest.raises(TypeError, match=r"use ws\.send_event"):
            await broadcast(hall.sockets, 1)
        with pytest.raises(TypeError, match="cannot encode an object of type"):
            await broadcast(hall.sockets[:1], object())
        await broadcast(hall.sockets[:1], "next")
        assert await first.receive_json() == "next"


@pytest.mark.parametrize("path", ["/json", "/status", "/handler"])
async def test_a_name_where_messages_have_none_is_a_mistake_that_nobody_hears(path: str) -> None:
    hall = Hall()
    async with hall.with_peers("/typed", path) as (first, _):
        with pytest.raises(StateError, match="have no names"):
            await broadcast(hall.sockets, 1, name="tick")
        await broadcast(hall.sockets[:1], "next")
        assert await first.receive_json() == {"type": "message", "data": "next"}


async def test_a_reserved_name_is_a_mistake() -> None:
    hall = Hall()
    async with hall.with_peers("/typed"):
        with pytest.raises(TypeError, match="reserved 'error'"):
            await broadcast(hall.sockets, 1, name="error")

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from tests.unit.applications import talking
from wirework import (
    App,
    ConnectionClosed,
    MalformedMessage,
    StateError,
    ValidationError,
    WebSocket,
    WrongFrame,
)
from wirework.testing import HandshakeRefused, TestClient


class Move(msgspec.Struct):
    x: int
    y: int = 0


def serving(handler: Callable[[WebSocket], Awaitable[Any]], **options: Any) -> App:
    """Return an application whose only endpoint is `handler`."""
    app = App(**options)

    @app.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        await handler(ws)

    return app


# --- the handshake ------------------------------------------------------------------------------


async def test_accept_answers_with_a_subprotocol_and_headers() -> None:
    async def handler(ws: WebSocket) -> None:
        assert not ws.accepted
        await ws.accept("chat.v1", {"x-room": "7"})
        assert ws.accepted
        assert ws.subprotocol == "chat.v1"

    async with talking(serving(handler), subprotocols=["chat.v2", "chat.v1"]) as ws:
        assert ws.subprotocol == "chat.v1"
        assert ws.headers["x-room"] == "7"


async def test_accept_takes_a_header_several_times() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept(headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")])

    async with TestClient(serving(handler)) as client, client.connect("/"):
        assert client.cookies == {"a": "1", "b": "2"}


@pytest.mark.parametrize(("offered", "listed"), [([], "none"), (["a", "b"], "a, b")])
async def test_a_client_that_does_not_offer_the_subprotocol_is_refused(
    offered: list[str], listed: str
) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept("chat")

    async with TestClient(serving(handler)) as client:
        with pytest.raises(HandshakeRefused) as caught:
            async with client.connect("/", subprotocols=offered):
                pass
    assert caught.value.status == 400
    assert caught.value.body == f"expected the subprotocol chat, offered: {listed}".encode()


async def test_accepting_twice_is_an_error() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        with pytest.raises(StateError, match="accepted already"):
            await ws.accept()

    async with talking(serving(handler)) as ws:
        await ws.assert_closed(1000)


async def test_refuse_answers_with_an_http_response() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.refuse(302, "elsewhere", {"location": "/login"})
        assert not ws.accepted
        assert ws.closed

    async with TestClient(serving(handler)) as client:
        with pytest.raises(HandshakeRefused, match="302: b'elsewhere'") as caught:
            await client.connect("/").__aenter__()
    assert caught.value.headers["location"] == "/login"


@pytest.mark.parametrize(("code", "status"), [(4401, 401), (1013, 503), (1000, 403)])
async def test_a_close_before_the_answer_is_a_refusal(code: int, status: int) -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.close(code, "no")

    async with TestClient(serving(handler)) as client:
        with pytest.raises(HandshakeRefused, match=f"{status}: b'no'"):
            await client.connect("/").__aenter__()


async def test_nothing_can_be_sent_or_received_before_accept() -> None:
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(StateError, match=r"send: .*call accept\(\) first"):
            await ws.send_text("early")
        with pytest.raises(StateError, match=r"receive: .*call accept\(\) first"):
            await ws.receive()
        await ws.accept()

    async with talking(serving(handler)) as ws:
        await ws.assert_closed(1000)


# --- receiving ----------------------------------------------------------------------------------


async def test_receive_tells_text_from_bytes() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        assert await ws.receive() == "text"
        assert await ws.receive() == b"bytes"
        assert await ws.receive_text() == "text"
        assert await ws.receive_bytes() == b"bytes"

    async with talking(serving(handler)) as ws:
        for _ in range(2):
            await ws.send_text("text")
            await ws.send_bytes(b"bytes")
        await ws.assert_closed(1000)


async def test_a_frame_of_the_wrong_kind_is_an_error_and_the_connection_stays_open() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        with pytest.raises(WrongFrame, match="expected a text frame, got a binary frame"):
            await ws.receive_text()
        with pytest.raises(WrongFrame, match="expected a binary frame, got a text frame"):
            await ws.receive_bytes()
        await ws.send_text("still here")

    async with talking(serving(handler)) as ws:
        await ws.send_bytes(b"x")
        await ws.send_text("x")
        assert await ws.receive_text() == "still here"


async def test_receive_json_decodes_into_the_type_from_text_and_bytes() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        assert await ws.receive_json() == {"any": [1]}
        assert await ws.receive_json(Move) == Move(1, 2)
        assert await ws.receive_json(int | str) == 5

    async with talking(serving(handler)) as ws:
        await ws.send_json({"any": [1]})
        await ws.send_bytes(b'{"x": 1, "y": 2}')
        await ws.send_text("5")
        await ws.assert_closed(1000)


async def test_json_that_is_malformed_or_does_not_fit_leaves_the_connection_open() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        with pytest.raises(MalformedMessage):
            await ws.receive_json()
        with pytest.raises(ValidationError) as caught:
            await ws.receive_json(Move)
        assert [problem["loc"] for problem in caught.value.problems] == [["x"], ["y"]]
        await ws.send_json(msgspec.to_builtins(await ws.receive_json(Move)))

    async with talking(serving(handler)) as ws:
        await ws.send_text("{")
        await ws.send_json({"y": "no"})
        await ws.send_json({"x": 1})
        assert await ws.receive_json() == {"x": 1, "y": 0}


@pytest.mark.parametrize("way", ["all", "text", "bytes", "json", "typed"])
async def test_iterating_yields_messages_until_the_peer_leaves(way: str) -> None:
    seen: list[Any] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        ways = {
            "all": ws.__aiter__,
            "text": ws.iter_text,
            "bytes": ws.iter_bytes,
            "json": ws.iter_json,
            "typed": lambda: ws.iter_json(Move),
        }
        seen.extend([message async for message in ways[way]()])
        assert ws.closed

    async with talking(serving(handler)) as ws:
        for number in (1, 2):
            data = f'{{"x": {number}}}'
            await (ws.send_bytes(data.encode()) if way == "bytes" else ws.send_text(data))
    one: dict[str, Any] = {
        "bytes": b'{"x": 1}',
        "json": {"x": 1},
        "typed": Move(1),
    }
    assert seen[0] == one.get(way, '{"x": 1}')
    assert len(seen) == 2


async def test_iterating_over_typed_json_raises_what_does_not_fit() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        with pytest.raises(ValidationError):
            await anext(ws.iter_json(Move))

    async with talking(serving(handler)) as ws:
        await ws.send_json({})
        await ws.assert_closed(1000)


# --- sending ------------------------------------------------------------------------------------


async def test_send_picks_text_bytes_or_json() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        for value in ("text", b"bytes", bytearray(b"array"), memoryview(b"view"), Move(1), None):
            await ws.send(value)

    async with talking(serving(handler)) as ws:
        frames = [await ws.receive() for _ in range(6)]
    assert frames == ["text", b"bytes", b"array", b"view", '{"x":1,"y":0}', "null"]


async def test_send_frame_and_its_kin_keep_the_kind_of_the_frame() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_frame("text")
        await ws.send_frame(b"bytes")
        await ws.send_bytes(memoryview(b"view"))
        await ws.send_json({"a": 1})

    async with talking(serving(handler)) as ws:
        frames = [await ws.receive() for _ in range(4)]
    assert frames == ["text", b"bytes", b"view", '{"a":1}']


async def test_sending_what_is_of_the_wrong_type_says_what_was_expected() -> None:
    async def handler(ws: WebSocket) -> None:
        wrong: Any = ws
        await ws.accept()
        with pytest.raises(TypeError, match="send_text: expected a str, got bytes"):
            await wrong.send_text(b"bytes")
        with pytest.raises(TypeError, match="send_bytes: expected bytes, got str"):
            await wrong.send_bytes("text")
        with pytest.raises(TypeError, match="object"):
            await ws.send_json({"deep": object()})

    async with talking(serving(handler)) as ws:
        await ws.assert_closed(1000)


async def test_sending_to_a_peer_that_has_gone_raises_its_code_and_reason() -> None:
    caught: list[ConnectionClosed] = []

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        assert [message async for message in ws] == []
        for attempt in (ws.send_text("x"), ws.send_json(1), ws.receive()):
            with pytest.raises(ConnectionClosed) as error:
                await attempt
            caught.append(error.value)

    async with talking(serving(handler)) as ws:
        await ws.close(4123, "bye")
    assert [(error.code, error.reason) for error in caught] == [(4123, "bye")] * 3


async def test_a_handlers_send_waits_for_a_slow_peer_and_a_broadcast_does_not() -> None:
    slow: list[WebSocket] = []
    is_full, is_sent = asyncio.Event(), asyncio.Event()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        slow.append(ws)
        for number in range(20):
            if ws.connection.outbox.is_congested:
                is_full.set()
            await ws.send_text(str(number))
        is_sent.set()
        await ws.drain()

    async with talking(serving(handler, outbox_frames=4)) as ws:
        ws.peer.stop_reading()
        await is_full.wait()
        await slow[0].send_text("from elsewhere")
        assert not is_sent.is_set()
        ws.peer.start_reading()
        received = [await ws.receive_text() for _ in range(21)]
    received.remove("from elsewhere")
    assert received == [str(number) for number in range(20)]


async def test_a_send_that_waits_for_room_ends_when_the_peer_leaves() -> None:
    ends: list[ConnectionClosed] = []
    is_full = asyncio.Event()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                if ws.connection.outbox.is_congested:
                    is_full.set()
                await ws.send_text("x")
        except ConnectionClosed as error:
            ends.append(error)
            raise

    async with talking(serving(handler, outbox_frames=4)) as ws:
        ws.peer.stop_reading()
        await is_full.wait()
        await ws.close(1001)
    assert [end.code for end in ends] == [1001]


# --- closing ------------------------------------------------------------------------------------


async def test_a_close_carries_code_and_reason_after_what_was_sent_before() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("last")
        await ws.close(4409, "replaced")
        await ws.close(4000)
        assert ws.closed
        assert (ws.close_code, ws.close_reason) == (4409, "replaced")

    async with talking(serving(handler)) as ws:
        assert await ws.receive_text() == "last"
        await ws.assert_closed(4409, "replaced")


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (2999, ""), (4000, "x" * 124)])
async def test_a_close_that_no_frame_can_carry_is_an_error_where_it_is_given(
    code: int, reason: str
) -> None:
    async def handler(ws: WebSocket) -> None:
        with pytest.raises(ValueError, match="close"):
            await ws.close(code, reason)
        await ws.accept()
        with pytest.raises(ValueError, match="close"):
            await ws.close(code, reason)
        assert not ws.closed

    async with talking(serving(handler)) as ws:
        await ws.assert_closed(1000)


# --- about the connection -----------------------------------------------------------------------


async def test_a_connection_has_an_id_a_place_for_state_and_no_user() -> None:
    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        ws.state.name = "anna"
        assert ws.state.name == "anna"
        assert ws.user is None
        assert ws.close_code is None
        assert ws.close_reason == ""
        assert ws.id in repr(ws)
        assert "<WebSocket / " in repr(ws)
        await ws.send_text(ws.id)

    async with talking(serving(handler)) as one, talking(serving(handler)) as other:
        assert await one.receive_text() != await other.receive_text()

"""Sessions that speak Centrifugo's protocol: its greeting, its formats, what spoils a frame."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from tests.unit.applications import Gate, counting
from tests.unit.dialects import official
from wirework import App, Bearer, FirstMessage, History, RegistrationError, WebSocket
from wirework.commands import Output
from wirework.dialects import Centrifugo, Codec, Typed
from wirework.json import JsonAdapter
from wirework.testing import TestClient, TestWebSocket
from wirework.types import Frame

pytestmark = pytest.mark.asyncio

PATH = "/connection/websocket"
PROTOBUF = ["centrifuge-protobuf"]


class Device(msgspec.Struct):
    kind: str
    build: int = 0


def greeting(**connect: Any) -> str:
    return json.dumps({"id": 1, "connect": connect})


async def say(ws: TestWebSocket, **command: Any) -> Any:
    """Send a command in Protobuf and return the reply."""
    await ws.send_bytes(official.command(command))
    return await reply(ws)


async def reply(ws: TestWebSocket) -> Any:
    """Return the next reply in Protobuf."""
    [said] = official.replies(await ws.receive_bytes())
    return said


# --- the data of connect ------------------------------------------------------------------------


def with_devices(**options: Any) -> App:
    app = App()
    live = app.events("/connection", dialect=Centrifugo(), **options)

    @live.on_ready
    async def ready(device: Device, ws: WebSocket) -> dict[str, Any]:
        return {"kind": device.kind, "build": device.build, "user": ws.user}

    return app


async def test_on_ready_takes_the_data_of_connect() -> None:
    async with TestClient(with_devices()) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting(data={"kind": "phone", "build": 7}))
        said = (await ws.receive_json())["connect"]["data"]
        assert said == {"kind": "phone", "build": 7, "user": None}


async def test_on_ready_takes_the_data_beside_the_token() -> None:
    async def verify(token: str) -> str:
        return token

    app = with_devices(auth=FirstMessage(verify))
    async with TestClient(app) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting(token="ada", data={"kind": "phone"}))
        said = (await ws.receive_json())["connect"]["data"]
        assert said == {"kind": "phone", "build": 0, "user": "ada"}


@pytest.mark.parametrize("connect", [{}, {"data": None}, {"data": {"kind": 5}}], ids=json.dumps)
async def test_data_that_does_not_fit_is_an_error_of_connect(connect: dict[str, Any]) -> None:
    async with TestClient(with_devices()) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting(**connect))
        said = await ws.receive_json()
        assert (said["id"], said["error"]["code"]) == (1, 107)


async def test_data_that_nobody_asks_for_is_passed_over() -> None:
    app = App()
    app.events("/connection", dialect=Centrifugo())
    async with TestClient(app) as client, client.connect(PATH, subprotocols=PROTOBUF) as ws:
        message = official.client_pb2.Command(id=1)
        message.connect.data = b"\xffno JSON"
        await ws.send_bytes(official.frame_of(message))
        assert (await reply(ws))["id"] == 1


async def test_on_ready_takes_no_data_where_clients_greet_with_none() -> None:
    live = App().events("/live", dialect=Typed())
    with pytest.raises(RegistrationError, match="device"):

        @live.on_ready
        async def ready(device: Device) -> None: ...


async def test_a_refused_connect_ends_its_frame_though_the_client_has_left() -> None:
    app, gate, done = App(), Gate(), list[str]()

    async def verify(token: str) -> str | None:
        await gate()
        return None if token == "wrong" else token

    live = app.events("/connection", dialect=Centrifugo(), auth=FirstMessage(verify))
    live.on("note")(lambda: done.append("note"))
    async with TestClient(app) as client, client.connect(PATH) as ws:
        call = json.dumps({"id": 2, "rpc": {"method": "note", "data": {}}})
        await ws.send_text("\n".join([greeting(token="wrong"), greeting(token="ada"), call]))
        await gate.reached.wait()
        ws.peer.close()
        gate.open.set()
    assert done == []


# --- formats ------------------------------------------------------------------------------------


def chatting() -> App:
    app = counting()
    chat = app.channel("chat", history=History())

    @chat.on_subscribe
    async def anybody() -> bool:
        return True

    @chat.on_publish
    async def anything() -> bool:
        return True

    return app


async def test_a_client_that_offers_protobuf_gets_it_agreed_and_speaks_it() -> None:
    async with TestClient(chatting()) as client:
        async with client.connect(PATH, subprotocols=["other", *PROTOBUF]) as ws:
            assert ws.subprotocol == "centrifuge-protobuf"
            assert (await say(ws, id=1, connect={}))["connect"]["pong"] is True
            asked = {"method": "add", "data": {"a": 1, "b": 2}}
            assert await say(ws, id=2, rpc=asked) == {"id": 2, "rpc": {"data": 3}}
        async with client.connect(PATH, subprotocols=["other"]) as ws:
            assert ws.subprotocol is None
            await ws.send_text(greeting())
            assert (await ws.receive_json())["id"] == 1


async def test_clients_of_both_formats_share_a_channel() -> None:
    async with (
        TestClient(chatting()) as client,
        client.connect(PATH) as first,
        client.connect(PATH, subprotocols=PROTOBUF) as second,
    ):
        await first.send_text(greeting() + '\n{"id":2,"subscribe":{"channel":"chat"}}')
        assert [(await first.receive_json())["id"] for _ in range(2)] == [1, 2]
        await say(second, id=1, connect={})
        await say(second, id=2, subscribe={"channel": "chat"})
        message = official.client_pb2.Command(id=3)
        message.publish.channel, message.publish.data = "chat", b'{"a":\n[1]}'
        await second.send_bytes(official.frame_of(message))
        told = await reply(second)
        assert told["push"]["pub"]["data"] == {"a": [1]}
        assert "\n" not in (line := await first.receive_text())
        assert json.loads(line)["push"]["pub"]["data"] == {"a": [1]}


@pytest.mark.parametrize("data", [b"\xff", b"{", b'1},"x":{', b"\x00"], ids=repr)
async def test_what_is_no_json_is_published_to_nobody(data: bytes) -> None:
    async with (
        TestClient(chatting()) as client,
        client.connect(PATH, subprotocols=PROTOBUF) as ws,
    ):
        await say(ws, id=1, connect={})
        await say(ws, id=2, subscribe={"channel": "chat"})
        for id, name in ((3, "publish"), (4, "rpc")):
            message = official.client_pb2.Command(id=id)
            asked = getattr(message, name)
            asked.data = data
            if name == "publish":
                asked.channel = "chat"
            else:
                asked.method = "add"
            await ws.send_bytes(official.frame_of(message))
            said = await reply(ws)
            assert (said["id"], said["error"]["code"]) == (id, 107)


async def test_a_client_that_may_not_come_in_is_told_so_in_its_format() -> None:
    async def nobody(token: str) -> None:
        return None

    app = App(auth_refusal="close")
    app.events("/connection", dialect=Centrifugo(), auth=Bearer(nobody))
    async with (
        TestClient(app) as client,
        client.connect(PATH, subprotocols=PROTOBUF, headers={"authorization": "Bearer t"}) as ws,
    ):
        assert ws.subprotocol == "centrifuge-protobuf"
        assert (await reply(ws))["push"]["message"]["data"]["error"]["code"] == 101


class Loud(Typed):
    """A dialect with a format of its own, in which the server shouts."""

    subprotocols = ("loud",)

    def open_as(self, subprotocol: str, json: JsonAdapter) -> Codec:
        assert subprotocol == "loud"
        return LoudCodec(self.open(json))


class LoudCodec:
    variant = "loud"

    def __init__(self, codec: Codec) -> None:
        self.decode = codec.decode
        self._encode = codec.encode

    def encode(self, output: Output) -> Frame | None:
        frame = self._encode(output)
        return None if frame is None else frame.upper()


@pytest.mark.parametrize("subprotocols", [[], ["loud"]], ids=["as it is", "loud"])
async def test_a_dialect_of_ones_own_can_have_another_format(subprotocols: list[str]) -> None:
    app = App()

    @app.events("/live", dialect=Loud()).on("add")
    async def add(a: int) -> str:
        return "x" * a

    async with TestClient(app) as client, client.connect("/live", subprotocols=subprotocols) as ws:
        await ws.send_json({"type": "add", "data": {"a": 2}})
        said = await ws.receive_text()
        assert said == (
            '{"TYPE":"ADD","DATA":"XX"}' if subprotocols else '{"type":"add","data":"xx"}'
        )


# --- frames that cannot be read -----------------------------------------------------------------


async def test_a_frame_that_is_spoilt_ends_the_connection_after_what_came_before_it() -> None:
    async with TestClient(chatting()) as client, client.connect(PATH) as ws:
        add = '{"id":2,"rpc":{"method":"add","data":{"a":1,"b":2}}}'
        await ws.send_text(f'{greeting()}\n{add}\n{{"id":3}}\n{{"id":4,"ping":{{}}}}')
        assert (await ws.receive_json())["id"] == 1
        assert await ws.receive_json() == {"id": 2, "rpc": {"data": 3}}
        await ws.assert_closed(3501, "expected one method, got none")


async def test_a_spoilt_frame_in_protobuf_does_so_too() -> None:
    async with (
        TestClient(chatting()) as client,
        client.connect(PATH, subprotocols=PROTOBUF) as ws,
    ):
        await ws.send_bytes(official.command({"id": 1, "connect": {}}) + b"\x05")
        assert (await reply(ws))["id"] == 1
        await ws.assert_closed(3501, "expected 5 bytes of a command, got 0")


async def test_a_command_before_it_may_end_the_connection_first() -> None:
    async with TestClient(chatting()) as client, client.connect(PATH) as ws:
        await ws.send_text(f'{greeting()}\n{{"id":2,"rpc":{{"method":"leave"}}}}\n[]')
        assert (await ws.receive_json())["id"] == 1
        await ws.assert_closed(3507, "go away")


async def test_nobody_has_to_greet_to_spoil_a_frame() -> None:
    async with TestClient(chatting()) as client, client.connect(PATH) as ws:
        await ws.send_text("[" * 200)
        await ws.assert_closed(3501)


# --- limits -------------------------------------------------------------------------------------


def calls(*ids: int) -> str:
    asked = [{"id": id, "rpc": {"method": "add", "data": {"a": 1, "b": id}}} for id in ids]
    return "\n".join(map(json.dumps, asked))


async def answers(ws: TestWebSocket, count: int) -> list[tuple[int, int]]:
    """Return the ids and the codes of errors of what comes; 0 for no error."""
    found = [await ws.receive_json() for _ in range(count)]
    return [(each["id"], each.get("error", {}).get("code", 0)) for each in found]


async def test_each_command_of_a_frame_counts_for_the_rate() -> None:
    app = counting(message_rate=0.001, message_burst=4)
    async with TestClient(app) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting())
        assert (await ws.receive_json())["id"] == 1
        await ws.send_text(calls(2, 3, 4, 5, 6))
        expected = [(2, 0), (3, 0), (4, 0), (5, 111), (6, 111)]
        assert await answers(ws, 5) == expected


async def test_a_frame_that_is_too_much_is_answered_for_each_of_its_commands() -> None:
    app = counting(message_rate=0.001, message_burst=1)
    async with TestClient(app) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting())
        assert (await ws.receive_json())["id"] == 1
        await ws.send_text(calls(2, 3))
        assert await answers(ws, 2) == [(2, 111), (3, 111)]
        await ws.send_text('{"send":{"data":1}}')
        assert (await ws.receive_json())["push"]["message"]["data"]["error"]["code"] == 111


class OnePerFrame:
    """A budget that has a token for each frame, and none for what else is in it."""

    limit = "message_rate"

    def charge(self, size: int, now: float) -> float:
        return 0.0 if size else 0.5


async def test_who_goes_on_with_frames_that_hold_too_much_is_sent_away() -> None:
    app = App()
    live = app.events("/connection", dialect=Centrifugo())

    @live.on_connect
    async def limit(ws: WebSocket) -> None:
        ws.connection.budget = OnePerFrame()

    async with TestClient(app) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting())
        assert (await ws.receive_json())["id"] == 1
        for id in range(2, 24, 2):
            await ws.send_text(calls(id, id + 1))
            assert await answers(ws, 2) == [(id, 104), (id + 1, 111)]
        await ws.assert_closed(3013)


async def test_many_commands_of_one_frame_wait_for_room_in_the_outbox() -> None:
    app = counting(outbox_frames=10)
    async with TestClient(app) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting())
        assert (await ws.receive_json())["id"] == 1
        asked = [{"id": id, "ping": {}} for id in range(2, 2002)]
        await ws.send_text("\n".join(map(json.dumps, asked)))
        for id in range(2, 2002):
            assert (await ws.receive_json())["id"] == id


# --- leaving ------------------------------------------------------------------------------------


async def test_who_leaves_what_it_is_not_subscribed_to_is_told_no_error() -> None:
    async with TestClient(chatting()) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting())
        assert (await ws.receive_json())["id"] == 1
        for id, channel in enumerate(("chat", "no-such-channel", "a b", ""), 2):
            asked = {"id": id, "unsubscribe": {"channel": channel}}
            await ws.send_text(json.dumps(asked))
            assert await ws.receive_json() == {"id": id, "unsubscribe": {}}


async def test_who_leaves_while_it_is_let_in_is_not_subscribed() -> None:
    app, gate, left = App(), Gate(), asyncio.Event()
    app.events("/connection", dialect=Centrifugo(), concurrency=8)
    chat = app.channel("chat")

    @chat.on_subscribe
    async def decide() -> bool:
        await gate()
        return True

    @chat.on_unsubscribe
    async def note() -> None:
        left.set()

    async with TestClient(app) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting())
        assert (await ws.receive_json())["id"] == 1
        await ws.send_text('{"id":2,"subscribe":{"channel":"chat"}}')
        await gate.reached.wait()
        await ws.send_text('{"id":3,"unsubscribe":{"channel":"chat"}}')
        assert await ws.receive_json() == {"id": 3, "unsubscribe": {}}
        gate.open.set()
        assert (await ws.receive_json())["id"] == 2
        await left.wait()
        assert await chat().subscriber_count() == 0
        await ws.send_text('{"id":4,"subscribe":{"channel":"chat"}}')
        assert (await ws.receive_json())["id"] == 4
        assert await chat().subscriber_count() == 1


async def test_history_since_a_time_that_is_lost_is_an_error() -> None:
    async with TestClient(chatting()) as client, client.connect(PATH) as ws:
        await ws.send_text(greeting() + '\n{"id":2,"subscribe":{"channel":"chat"}}')
        assert [(await ws.receive_json())["id"] for _ in range(2)] == [1, 2]
        since = {"channel": "chat", "limit": 5, "since": {"epoch": "other", "offset": 3}}
        await ws.send_text(json.dumps({"id": 3, "history": since}))
        assert (await ws.receive_json())["error"]["code"] == 112

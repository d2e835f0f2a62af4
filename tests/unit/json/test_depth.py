"""How deep JSON may be nested: counted as a parser counts it, whatever is in its strings."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.channels.talking import User, client_of, desk_app
from tests.unit.dialects import official
from wirework import App, History, MalformedMessage, Reply, ValidationError
from wirework.brokers.base import Message
from wirework.commands import Event
from wirework.dialects import Centrifugo, Htmx, NamedSockets, Typed
from wirework.dialects.shared import SharedCodec
from wirework.json import JsonAdapter, adapter_of
from wirework.json.depth import Shallow, is_deeper, plain
from wirework.publications import Publication
from wirework.testing import TestClient

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\ä,:'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\'), inner, max_size=3)
    ),
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(VALUES, st.integers(1, 6), st.booleans())
def test_depth_is_counted_as_a_parser_counts_it(value: Any, depth: int, is_bytes: bool) -> None:
    text = json.dumps(value, ensure_ascii=False)
    data = text.encode() if is_bytes else text
    assert is_deeper(data, depth) == (depth_of(value) > depth)


@pytest.mark.parametrize("end", ["", "\\"], ids=["quote", "backslash"])
@pytest.mark.parametrize("is_bytes", [False, True])
def test_a_string_without_an_end_is_looked_through_once(end: str, is_bytes: bool) -> None:
    text = "[" * 8 + '"' + '[\\"' * (512 * 1024 // 3) + end
    data = text.encode() if is_bytes else text
    assert not is_deeper(data, 8)
    assert is_deeper(data, 7)


@given(st.text('[]{}"\\a') | st.binary(), st.integers(1, 6))
def test_what_is_no_json_is_judged_without_an_error(data: str | bytes, depth: int) -> None:
    assert is_deeper(data, depth) in (True, False)


@pytest.mark.parametrize("name", ["msgspec", "orjson", "stdlib"])
def test_an_adapter_with_a_limit_refuses_what_is_deeper_and_does_all_else(name: str) -> None:
    plain: JsonAdapter = adapter_of(name)
    shallow: JsonAdapter = Shallow(plain, 3)
    assert shallow.name == name
    assert shallow.decode(b'{"a": [[7]]}') == {"a": [[7]]}
    assert shallow.decoder(list[int])("[1, 2]") == [1, 2]
    assert shallow.encode([[[[1]]]]) == b"[[[[1]]]]"
    with pytest.raises(ValidationError):
        shallow.decode(b'["x"]', list[int])
    for read in (shallow.decode, shallow.decoder(Any)):
        with pytest.raises(MalformedMessage, match="nested too deeply"):
            read("[[[[]]]]")


class Move(msgspec.Struct):
    to: Any


async def test_the_setting_counts_for_every_dialect_and_the_connection_lives_on() -> None:
    app = App(max_json_depth=4)

    @app.ws("/raw")
    async def raw(move: Move) -> Any:
        return move.to

    desk = app.events("/desk", dialect=Typed())

    @desk.on("move")
    async def move(move: Move) -> Any:
        return move.to

    async with TestClient(app) as client:
        async with client.connect("/raw") as ws:
            await ws.send_text('{"to": [[[[1]]]]}')
            assert "nested too deeply" in await ws.receive_text()
            await ws.send_text('{"to": [[[1]]]}')
            assert await ws.receive_json() == [[[1]]]
        async with client.connect("/desk") as ws:
            await ws.send_text('{"type": "move", "id": 1, "data": {"to": [[[1]]]}}')
            assert (await ws.receive_json())["code"] == "malformed"
            await ws.send_text('{"type": "move", "id": 1, "data": {"to": [[1]]}}')
            assert (await ws.receive_json())["data"] == [[1]]


# --- what the server says -------------------------------------------------------------------------

DEEP = [[[[[[1]]]]]]


class Board(msgspec.Struct):
    cells: Any


def test_the_adapter_inside_has_no_limit() -> None:
    json = adapter_of("stdlib")
    assert plain(Shallow(json, 1)) is json
    assert plain(json) is json


async def test_what_the_server_publishes_may_be_deeper() -> None:
    app = App(max_json_depth=4)
    app.channel("feed", history=History())
    board = app.channel("board", model=Board, history=History())
    async with TestClient(app):
        await app.publish("feed", DEEP)
        await board().publish({"cells": DEEP})
        assert [each.data for each in await app.channel_named("feed").history()] == [DEEP]
        assert [each.data for each in await board().history()] == [Board(DEEP)]


async def test_what_the_server_sends_to_a_user_may_be_deeper() -> None:
    app = desk_app(max_json_depth=4)
    async with TestClient(app) as client, client_of(client, "ada") as ws:
        await app.publish_to_user(User("ada"), DEEP, name="news")
        assert (await ws.receive_json())["data"] == DEEP


async def test_an_answer_with_chosen_fields_may_be_deeper() -> None:
    app = App(max_json_depth=4)

    @app.ws("/x")
    async def answer(text: str) -> Reply:
        return Reply({"a": DEEP, "b": text}, include=["a"])

    async with TestClient(app) as client, client.connect("/x") as ws:
        await ws.send_text("hi")
        assert await ws.receive_json() == {"a": DEEP}


def test_codecs_say_what_is_deeper() -> None:
    json = Shallow(adapter_of("msgspec"), 4)
    said = Publication("c", Message(json.encode(DEEP), key="moved"))
    shared = SharedCodec(Typed().open(json), Typed(), json, "c")
    assert shared.encode(said) == '{"type":"moved","data":[[[[[[1]]]]]]}'
    html = Publication("c", Message(json.encode({"html": "<b>x</b>", "more": DEEP}), is_html=True))
    assert Htmx().open(json).encode(html) == "<b>x</b>"
    event = Event({"error": DEEP, "more": 1})
    assert NamedSockets().open(json).encode(event) == '{"error":[[[[[[1]]]]]],"more":1}'


async def test_what_a_client_publishes_may_not() -> None:
    app = App(max_json_depth=4)
    app.events("/connection", dialect=Centrifugo())
    feed = app.channel("feed", history=History())

    @feed.on_subscribe
    async def anybody() -> bool:
        return True

    @feed.on_publish
    async def anything() -> bool:
        return True

    async with (
        TestClient(app) as client,
        client.connect("/connection/websocket", subprotocols=["centrifuge-protobuf"]) as ws,
    ):
        for first in ({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "feed"}}):
            await ws.send_bytes(official.command(first))
            await ws.receive_bytes()
        command = {"id": 3, "publish": {"channel": "feed", "data": DEEP}}
        await ws.send_bytes(official.command(command))
        [reply] = official.replies(await ws.receive_bytes())
        assert reply["error"]["message"] == "not readable as JSON: nested too deeply"
        assert await feed().history() == []

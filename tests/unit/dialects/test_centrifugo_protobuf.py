"""Centrifugo's protocol in Protobuf, beside what the official library makes of it."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from centrifuge.protocol import client_pb2
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects import official
from tests.unit.dialects.frames import json_values
from tests.unit.dialects.vectors import check, command_of, load, output_of
from wirework.commands import (
    Authenticate,
    Call,
    Command,
    Event,
    Failure,
    Output,
    Ping,
    Pong,
    Ready,
    Result,
    Subscribe,
    Subscribed,
)
from wirework.dialects import Centrifugo, Codec
from wirework.dialects.base import SpoiledFrame
from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter
from wirework.publications import Member, Message, Position, Publication

JSON = MsgspecAdapter()
_DATA = ("data", "conn_info", "chan_info")
NAME = "centrifuge-protobuf"


def codec(json: JsonAdapter = JSON, **options: Any) -> Codec:
    return Centrifugo(**options).open_as(NAME, json)


def of_json(*, output: bool) -> list[Any]:
    """Return the vectors of the JSON format that read frames, or say outputs."""
    found = [each for each in load("centrifugo") if ("output" in each.values[0]) is output]
    return [each for each in found if "error" not in each.values[0]]


@pytest.mark.parametrize("json", [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()])
@pytest.mark.parametrize("vector", load("centrifugo_protobuf"))
def test_the_vectors_hold_with_every_json_adapter(
    vector: dict[str, Any], json: JsonAdapter
) -> None:
    check(vector, codec(json))


# --- the same as in JSON ------------------------------------------------------------------------


def plain(command: Command) -> Any:
    """Return a command as something to compare: bodies are the same if they say the same."""
    said = msgspec.structs.asdict(command)
    if said.get("body") is not None:
        said["body"] = json.loads(said["body"])
    return type(command), said


@pytest.mark.parametrize("vector", of_json(output=False))
def test_a_command_is_what_it_is_in_json(vector: dict[str, Any]) -> None:
    lines = [line for line in vector["frame"].split("\n") if line.strip()]
    frame = b"".join(official.command(json.loads(line)) for line in lines)
    expected = [plain(command_of(each)) for each in vector["commands"]]
    assert [plain(each) for each in codec().decode(frame)] == expected


def without_nothing(said: Any) -> Any:
    """Return a reply without the values that Protobuf does not write: zero, False and ""."""
    if not isinstance(said, dict):
        return [without_nothing(each) for each in said] if isinstance(said, list) else said
    return {
        name: each if name in _DATA else without_nothing(each)
        for name, each in said.items()
        if name in _DATA or each not in (0, "")
    }


@pytest.mark.parametrize("vector", of_json(output=True))
def test_a_reply_is_what_it_is_in_json(vector: dict[str, Any]) -> None:
    one = codec(**vector.get("dialect", {}))
    for frame in vector.get("after", []):
        one.decode(official.command(json.loads(frame)))
    said = one.encode(output_of(vector["output"]))
    if vector["frame"] is None:
        assert said is None
        return
    assert isinstance(said, bytes)
    expected = [json.loads(line) for line in vector["frame"].split("\n")]
    assert [without_nothing(each) for each in official.replies(said)] == [
        without_nothing(each) for each in expected
    ]


def test_the_formats_have_variants_of_their_own() -> None:
    assert codec().variant == Centrifugo(ping_interval=5).open_as(NAME, JSON).variant
    assert codec().variant != Centrifugo().open(JSON).variant
    assert codec().variant != codec(StdlibAdapter()).variant


# --- frames -------------------------------------------------------------------------------------


def test_signs_of_life_are_one_byte() -> None:
    assert codec().encode(Ping()) == b"\x00"
    assert codec().decode(b"\x00") == [Pong()]


def test_what_comes_before_a_command_that_is_none_is_read() -> None:
    good = official.command({"id": 1, "ping": {}}) + official.command({"send": {"data": 1}})
    with pytest.raises(SpoiledFrame) as caught:
        codec().decode(good + official.command({"id": 2}) + good)
    assert caught.value.commands == [Ping(1), Call(b"1", "send")]


def test_a_frame_holds_no_end_of_commands() -> None:
    assert len(codec().decode(b"\x00" * 4096)) == 4096
    with pytest.raises(SpoiledFrame, match="at most 4096 commands in a frame") as caught:
        codec().decode(b"\x00" * 4097)
    assert len(caught.value.commands) == 4096


def test_what_is_no_json_is_for_the_function_to_refuse() -> None:
    message = client_pb2.Command(id=1, rpc=client_pb2.RPCRequest(method="a", data=b"\xff{"))
    [call] = codec().decode(official.frame_of(message))
    assert call == Call(b"\xff{", "a", 1)


@pytest.mark.parametrize(
    "output",
    [Failure(400, "\ud800", id=1), Subscribed("\ud800"), Result("\ud800", "a", 1)],
    ids=["in a message", "in the name of a channel", "in a value"],
)
def test_half_a_character_cannot_be_said_in_either_format(output: Output) -> None:
    for one in (codec(), Centrifugo().open(JSON)):
        with pytest.raises(TypeError):
            one.encode(output)


# --- properties ---------------------------------------------------------------------------------

texts = st.text()
offsets = st.integers(0, 2**53)
positions = st.builds(Position, texts, offsets)
subs = st.dictionaries(texts, st.fixed_dictionaries({"recover": st.booleans(), "epoch": texts}))


@given(id=st.integers(1, 2**32 - 1), token=texts, data=json_values, subs=subs, name=texts)
def test_a_connect_is_read_as_it_was_said(
    id: int, token: str, data: Any, subs: dict[str, Any], name: str
) -> None:
    asked = {"token": token, "data": data, "subs": subs, "name": name, "headers": {"a": "b"}}
    [found] = codec().decode(official.command({"id": id, "connect": asked}))
    assert isinstance(found, Authenticate)
    assert (found.token, found.id, json.loads(found.body)) == (token, id, data)
    known = {name: Position(each["epoch"], 0) for name, each in subs.items() if each["recover"]}
    assert found.positions == known


@given(channel=texts, token=texts, since=positions, data=json_values)
def test_a_subscribe_is_read_as_it_was_said(
    channel: str, token: str, since: Position, data: Any
) -> None:
    asked = {"channel": channel, "token": token, "data": data, "recover": True, "tf": {"op": "a"}}
    place = {"epoch": since.epoch, "offset": since.offset}
    [found] = codec().decode(official.command({"id": 1, "subscribe": {**asked, **place}}))
    assert isinstance(found, Subscribe)
    assert (found.channel, found.token, found.id, found.since) == (channel, token, 1, since)
    assert json.loads(found.body) == data


@given(limit=st.integers(-(2**31), 2**31 - 1), reverse=st.booleans())
def test_a_limit_below_zero_is_none(limit: int, reverse: bool) -> None:
    asked = {"channel": "a", "limit": limit, "reverse": reverse}
    [found] = codec().decode(official.command({"id": 1, "history": asked}))
    assert found.limit == (None if limit < 0 else limit)  # type: ignore[union-attr]
    assert found.reverse is reverse  # type: ignore[union-attr]


members = st.builds(Member, texts, texts, st.none() | json_values.map(JSON.encode))
publications = st.builds(
    lambda data, key, by, offset: Publication(
        "n", Message(JSON.encode(data), key, by), "e", offset
    ),
    json_values,
    texts,
    st.none() | members,
    offsets,
)
outputs: st.SearchStrategy[Output] = st.one_of(
    st.builds(Result, json_values, texts, st.none() | st.integers(1, 2**32 - 1)),
    st.builds(Event, json_values, texts),
    st.builds(Failure, texts | st.integers(0, 2**32 - 1), texts, json_values, texts),
    st.builds(
        Ready,
        json_values,
        st.integers(1, 99),
        texts,
        st.none() | st.floats(0, 1e12),
        st.none() | st.floats(1, 3600),
        st.lists(st.builds(Subscribed, texts, positions), max_size=3),
        texts,
        texts,
    ),
    st.builds(
        Subscribed,
        texts,
        st.none() | positions,
        st.none() | st.booleans(),
        st.lists(publications.filter(lambda each: each.offset > 0), max_size=3),
        json_values,
        st.none() | st.integers(1, 99),
        st.none() | st.floats(-10, 1e12),
    ),
    publications,
)


@given(output=outputs)
def test_an_output_says_the_same_in_both_formats(output: Output) -> None:
    text, data = Centrifugo().open(JSON).encode(output), codec().encode(output)
    assert isinstance(text, str)
    assert isinstance(data, bytes)
    expected = [without_nothing(json.loads(line)) for line in text.split("\n")]
    assert [without_nothing(each) for each in official.replies(data)] == expected


@given(data=st.binary(max_size=60))
def test_no_bytes_do_worse_than_being_malformed(data: bytes) -> None:
    try:
        commands = codec().decode(data)
    except SpoiledFrame as error:
        commands = error.commands
    assert all(isinstance(command, get_args(Command)) for command in commands)


GROUP = "a field is written in the way 3"
"""Groups, which nobody has written for long, are not passed over."""
COMMANDS = [
    {"id": 1, "connect": {"token": "t", "data": {"a": 1}, "subs": {"n": {"recover": True}}}},
    {"id": 300, "subscribe": {"channel": "n", "recover": True, "epoch": "e", "offset": 700}},
    {"id": 3, "history": {"channel": "n", "limit": -1, "since": {"epoch": "e", "offset": 1}}},
    {"id": 4, "rpc": {"method": "é", "data": [1, 2]}},
]


@given(
    said=st.sampled_from(COMMANDS),
    place=st.integers(0, 200),
    put=st.binary(max_size=3),
    dropped=st.integers(0, 2),
)
def test_what_was_changed_on_its_way_is_read_as_the_official_library_reads_it(
    said: dict[str, Any], place: int, put: bytes, dropped: int
) -> None:
    whole = official.command(said)
    sound = whole[1:] if whole[0] < 128 else whole[2:]
    place %= len(sound)
    changed = sound[:place] + put + sound[place + dropped :]
    try:
        message = client_pb2.Command.FromString(changed)
    except DecodeError:
        return  # fields that we pass over may be what it cannot read
    whole, again = official.frame_of_bytes(changed), official.frame_of(message)
    assert outcome(whole) in (outcome(again), "not readable as Protobuf: " + GROUP)


def outcome(frame: bytes) -> Any:
    """Return the commands of a frame, or why there are none."""
    try:
        return codec().decode(frame)
    except SpoiledFrame as error:
        return error.message

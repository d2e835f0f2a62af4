from __future__ import annotations

import json
import re
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.frames import frames, json_values
from tests.unit.dialects.vectors import check, load
from wirework import closecodes
from wirework.commands import (
    Authenticate,
    Call,
    Command,
    Disconnect,
    Failure,
    Gap,
    Output,
    Ping,
    Pong,
    Ready,
    Renewed,
    Result,
    Subscribe,
    Subscribed,
    Unsubscribed,
)
from wirework.dialects import Centrifugo, Codec, Dialect
from wirework.dialects.base import SpoiledFrame
from wirework.errors import MalformedMessage
from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter
from wirework.publications import Message, Position, Publication

JSON = MsgspecAdapter()
KEYS = ("id", "connect", "subscribe", "rpc", "send", "history", "refresh", "publish", "presence")


def codec() -> Codec:
    return Centrifugo().open(JSON)


def said(frame: str | bytes | None) -> Any:
    assert isinstance(frame, str)
    return JSON.decode(frame)


@pytest.mark.parametrize("json", [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()])
@pytest.mark.parametrize("vector", load("centrifugo"))
def test_the_vectors_hold_with_every_json_adapter(
    vector: dict[str, Any], json: JsonAdapter
) -> None:
    check(vector, Centrifugo(**vector.get("dialect", {})).open(json))


def test_centrifugo_is_a_dialect_of_named_messages_that_begins_with_a_greeting() -> None:
    dialect: Dialect = Centrifugo()
    assert (dialect.name, dialect.body, dialect.ping_interval) == ("centrifugo", "json", 25.0)
    assert (dialect.has_names, dialect.can_authenticate, dialect.greets) == (True, True, True)
    assert (dialect.has_statuses, dialect.one_call, dialect.ready) == (False, False, False)


def test_a_dialect_shows_its_options() -> None:
    assert repr(Centrifugo(ping_interval=5)) == "Centrifugo(ping_interval=5)"


@pytest.mark.parametrize("seconds", [0, 0.5, 3601])
def test_an_interval_that_cannot_work_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="ping_interval: expected 1 to 3600 seconds"):
        Centrifugo(ping_interval=seconds)


def test_codecs_are_of_one_variant_when_they_say_the_same() -> None:
    assert codec().variant == Centrifugo(ping_interval=5, version="2").open(JSON).variant
    assert codec().variant != Centrifugo().open(StdlibAdapter()).variant


# --- codes -------------------------------------------------------------------------------------

COMES_BACK = {closecodes.GOING_AWAY, closecodes.INTERNAL_ERROR, closecodes.RESTARTING}
COMES_BACK |= {closecodes.OVERLOADED, closecodes.TOO_MANY_MESSAGES}
OF_THE_TRANSPORT = {
    *(closecodes.PROTOCOL_ERROR, closecodes.NO_STATUS, closecodes.ABNORMAL),
    closecodes.MESSAGE_TOO_BIG,
}
"""What the server's own transports say, and no application."""


@pytest.mark.parametrize("code", [*closecodes.MEANINGS])
def test_a_client_comes_back_after_what_passes_and_after_nothing_else(code: int) -> None:
    theirs, reason = Centrifugo().wire_close(code, "why")
    assert reason == "why"
    if code in OF_THE_TRANSPORT:
        assert theirs == code
    else:
        assert (3000 <= theirs < 3500) is (code in COMES_BACK)
        assert 3000 <= theirs < 4000


def test_a_code_of_the_application_is_its_own() -> None:
    assert Centrifugo().wire_close(4500, "mine") == (4500, "mine")


# --- what the codec remembers -------------------------------------------------------------------


def test_an_id_of_a_refresh_is_forgotten_when_it_was_answered() -> None:
    one = codec()
    one.decode('{"id":2,"refresh":{"token":"t"}}')
    assert "refresh" in said(one.encode(Ready(None, 2, "c")))
    assert "connect" in said(one.encode(Ready(None, 2, "c")))


GAP = Gap("n", Position("e", 9))


def is_lost(one: Codec) -> bool:
    push = said(one.encode(GAP))["push"]
    return bool(push.get("disconnect") == {"code": 3010, "reason": "insufficient state"})


@pytest.mark.parametrize(
    "given_by",
    [Subscribed("n"), Ready(None, 1, "c", subscriptions=[Subscribed("n")])],
    ids=["a push", "the connect"],
)
def test_a_gap_in_what_the_server_subscribed_to_ends_the_connection(given_by: Output) -> None:
    # Clients do not subscribe to such a channel themselves: they get it by coming back.
    one = codec()
    one.encode(given_by)
    assert is_lost(one)
    one.encode(Unsubscribed("n", "expelled"))
    assert not is_lost(one)


def test_a_gap_in_what_the_client_subscribed_to_ends_the_subscription() -> None:
    one = codec()
    one.encode(Subscribed("n", id=1))
    assert not is_lost(one)


# --- properties ---------------------------------------------------------------------------------


@given(frame=frames(*KEYS))
def test_no_frame_does_worse_than_being_malformed(frame: str | bytes) -> None:
    try:
        commands = codec().decode(frame)
    except MalformedMessage:
        return
    assert all(isinstance(command, get_args(Command)) for command in commands)


@given(
    words=st.lists(
        st.tuples(st.integers(1, 2**32 - 1), st.text(min_size=1), json_values),
        min_size=1,
        max_size=5,
    )
)
def test_commands_of_a_frame_are_read_in_order(words: list[tuple[int, str, Any]]) -> None:
    lines = [
        JSON.encode({"id": id, "rpc": {"method": name, "data": data}}).decode()
        for id, name, data in words
    ]
    found = codec().decode("\n".join(lines))
    assert [(each.id, each.name, JSON.decode(each.body)) for each in found] == words  # type: ignore[union-attr]


@given(
    channel=st.text(),
    token=st.text(),
    epoch=st.text(),
    offset=st.integers(0, 2**53),
    data=json_values,
)
def test_a_subscribe_is_read_as_it_was_said(
    channel: str, token: str, epoch: str, offset: int, data: Any
) -> None:
    asked = {"channel": channel, "token": token, "data": data, "recover": True}
    frame = JSON.encode({"id": 1, "subscribe": {**asked, "epoch": epoch, "offset": offset}})
    [found] = codec().decode(frame.decode())
    assert isinstance(found, Subscribe)
    assert (found.channel, found.token, found.id) == (channel, token, 1)
    assert (found.since, JSON.decode(found.body)) == (Position(epoch, offset), data)


outputs = st.one_of(
    st.builds(Result, json_values, st.text(), st.none() | st.integers(1, 99)),
    st.builds(Result, json_values, st.text(), st.integers(1, 99), st.integers(0, 9)),
    st.builds(Failure, st.text() | st.integers(0, 9999), st.text(), json_values, st.text()),
    st.builds(Ready, json_values, st.integers(1, 99), st.text(), st.none() | st.floats(0, 1e9)),
    st.builds(Renewed, st.text(), st.none() | st.floats(-10, 1e9), st.integers(1, 99)),
    st.builds(
        Subscribed,
        st.text(),
        st.builds(Position, st.text(), st.integers(0, 2**53)),
        st.none() | st.booleans(),
        value=json_values,
        ttl=st.none() | st.floats(-10, 1e9),
    ),
    st.builds(Disconnect, st.integers(1000, 4999), st.text()),
    st.builds(
        lambda channel, data, key: Publication(channel, Message(JSON.encode(data), key), "e", 1),
        st.text(),
        json_values,
        st.text(),
    ),
)


@given(output=outputs)
def test_every_output_is_one_line_of_json(output: Output) -> None:
    frame = codec().encode(output)
    assert isinstance(frame, str)
    assert "\n" not in frame
    assert isinstance(said(frame), dict)


class Indented(StdlibAdapter):
    """An adapter of somebody's own, that writes many lines."""

    def encode(self, value: object) -> bytes:
        return json.dumps(JSON.decode(JSON.encode(value)), indent=1).replace("\n", "\r\n").encode()


@given(output=outputs)
def test_every_output_is_one_line_also_with_an_adapter_that_indents(output: Output) -> None:
    frame = Centrifugo().open(Indented()).encode(output)
    assert isinstance(frame, str)
    assert not {"\n", "\r"} & set(frame)
    assert said(frame).keys() == said(codec().encode(output)).keys()


def test_json_that_was_made_elsewhere_has_no_ends_of_lines_in_an_answer() -> None:
    value = {"made": msgspec.Raw(b'{"a":\r\n"\\n"}')}
    assert codec().encode(Result(value, "x", 1)) == (
        '{"id":1,"rpc":{"data":{"made":{"a":  "\\n"}}}}'
    )
    told = Publication("n", Message(b'{"a":\r\n1}'))
    assert codec().encode(told) == '{"push":{"channel":"n","pub":{"data":{"a":  1}}}}'


@pytest.mark.parametrize(
    ("said_as", "read_as"),
    [
        (r"hi \ud83d", r"hi \ufffd"),
        (r"\uDE00\u0041", r"\ufffd\u0041"),
        (r"\ud83d\ude00", r"\ud83d\ude00"),
        (r"\ude00\ud83d", r"\ufffd\ufffd"),
        (r"\ud83d\ud83d\ude00\ude00", r"\ufffd\ud83d\ude00\ufffd"),
        (r"\\ud83d\\\ud83d\"\n\udbff", r"\\ud83d\\\ufffd\"\n\ufffd"),
    ],
    ids=["the first", "the second", "both", "both around", "a whole one between", "backslashes"],
)
def test_half_a_character_is_read_as_a_sign_for_none(said_as: str, read_as: str) -> None:
    frame = f'{{"id":1,"rpc":{{"method":"\\ud83d","data":"{said_as}"}}}}'
    name = "\ufffd"
    assert codec().decode(frame) == [Call(f'"{read_as}"'.encode(), name, 1)]


HALVES = st.sampled_from([0xD800, 0xD83D, 0xDBFF, 0xDC00, 0xDE00, 0xDFFF]).map(chr)


@given(text=st.lists(HALVES | st.sampled_from([*'a\\"\n\x00', "\U0001f600"])).map("".join))
@pytest.mark.parametrize("json_", [JSON, OrjsonAdapter(), StdlibAdapter()], ids=lambda j: j.name)
def test_halves_of_characters_are_read_as_go_reads_them(json_: JsonAdapter, text: str) -> None:
    frame = json.dumps({"id": 1, "rpc": {"method": "a", "data": text}})
    [call] = Centrifugo().open(json_).decode(frame)
    assert isinstance(call, Call)
    # What has both halves is a character, wherever they come from.
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert JSON.decode(call.body) == re.sub("[\ud800-\udfff]", "\ufffd", whole)


def test_half_a_character_excuses_nothing_else() -> None:
    for frame in (r'{"id":1,"rpc":{"data":"\ud83d"}', r'{"id":1,"rpc":{"data":"\ud83"}}'):
        with pytest.raises(SpoiledFrame, match="not readable as JSON"):
            codec().decode(frame)
    with pytest.raises(SpoiledFrame, match="expected one method, got none"):
        codec().decode(r'{"id":1,"x":"\ud83d"}')


def test_what_comes_before_a_line_that_is_no_command_is_read() -> None:
    with pytest.raises(SpoiledFrame) as caught:
        codec().decode('{"id":1,"ping":{}}\n{"send":{}}\n{"id":2}\n{"id":3,"ping":{}}')
    assert caught.value.commands == [Ping(1), Call(b"{}", "send")]


def test_a_frame_holds_no_end_of_commands() -> None:
    assert len(codec().decode("{}\n" * 4096)) == 4096
    with pytest.raises(SpoiledFrame, match="at most 4096 commands in a frame") as caught:
        codec().decode("{}\n" * 4097)
    assert len(caught.value.commands) == 4096


@given(ttl=st.floats(-1e3, 1e9))
def test_a_client_brings_a_newer_token_before_the_old_one_is_over(ttl: float) -> None:
    told = said(codec().encode(Renewed("n", ttl, 1)))["sub_refresh"]
    assert told["expires"] is True
    assert told["ttl"] >= 1
    assert told["ttl"] < max(ttl, 1.01)


def test_signs_of_life_are_short() -> None:
    assert codec().encode(Ping()) == "{}"
    assert codec().decode("{}") == [Pong()]


def test_a_connect_that_nobody_authenticates_is_one_all_the_same() -> None:
    assert codec().decode('{"id":1,"connect":{}}') == [Authenticate("", 1, body=b"{}")]
    assert codec().decode('{"send":{}}') == [Call(b"{}", "send")]

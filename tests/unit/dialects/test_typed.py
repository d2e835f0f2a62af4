from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.frames import LEAVES
from tests.unit.dialects.vectors import check, load, shared_by
from wirework.commands import (
    Answer,
    Authenticate,
    Call,
    Cancel,
    Disconnect,
    Ended,
    Event,
    Failure,
    Id,
    Output,
    Ping,
    Pong,
    Ready,
    Request,
    Result,
)
from wirework.dialects import Codec, Dialect, Typed
from wirework.errors import MalformedMessage
from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter

JSON = MsgspecAdapter()
ADAPTERS = [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()]
FORMS = [Typed(), Typed(flat=True)]

with_every_adapter = pytest.mark.parametrize("json", ADAPTERS, ids=lambda json: json.name)
with_both_forms = pytest.mark.parametrize("typed", FORMS, ids=["nested", "flat"])

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=LEAVES,
)
fields = st.dictionaries(st.sampled_from(["type", "id", "seq", "ask", "data", "n"]), json_values)
ids = st.text(max_size=256) | st.integers(-(2**53), 2**53)
names = st.text(min_size=1).filter(lambda name: name not in Typed.reserved)


class Receipt(msgspec.Struct):
    id: uuid.UUID
    total: float


def open_both() -> list[Codec]:
    return [typed.open(JSON) for typed in FORMS]


def said(codec: Codec, output: Output) -> Any:
    frame = codec.encode(output)
    assert isinstance(frame, str)
    return JSON.decode(frame)


def called(codec: Codec, frame: str) -> Call:
    [call] = codec.decode(frame)
    assert isinstance(call, Call)
    return call


def text_of(value: object) -> str:
    return JSON.encode(value).decode()


@with_every_adapter
@pytest.mark.parametrize("vector", load("typed"))
def test_the_vectors_hold_with_every_json_adapter(
    vector: dict[str, Any], json: JsonAdapter
) -> None:
    check(vector, shared_by(vector, Typed(**vector.get("dialect", {})), json))


def test_typed_is_a_dialect_with_names_of_its_own() -> None:
    dialect: Dialect = Typed()
    assert (dialect.name, dialect.body) == ("typed", "json")
    assert dialect.has_names
    assert dialect.can_authenticate
    assert not dialect.has_statuses
    assert {"ping", "auth", "cancel", "answer", "end", "error", "ready"} < dialect.reserved


def test_the_options_are_told() -> None:
    assert Typed(flat=True).body == "value"
    assert (Typed().ready, Typed(ready=True).ready) == (False, True)
    assert repr(Typed(flat=True)) == "Typed(flat=True, ready=False)"


def test_one_codec_serves_all_connections_of_an_adapter() -> None:
    typed = Typed()
    codec = typed.open(JSON)
    assert typed.open(JSON) is codec
    assert typed.open(OrjsonAdapter()) is not codec


def test_codecs_that_say_the_same_have_the_same_variant() -> None:
    assert Typed().open(JSON).variant == Typed(ready=True).open(JSON).variant
    assert Typed().open(JSON).variant != Typed(flat=True).open(JSON).variant
    assert Typed().open(JSON).variant != Typed().open(MsgspecAdapter()).variant


@with_every_adapter
@with_both_forms
def test_a_value_that_is_no_json_is_a_type_error_that_says_which(
    typed: Typed, json: JsonAdapter
) -> None:
    with pytest.raises(TypeError, match=r"an object of type builtins\.object at `a` as JSON"):
        typed.open(json).encode(Result({"a": object()}, "x", 1))


@with_every_adapter
@with_both_forms
def test_a_name_that_is_no_text_for_json_is_a_type_error(typed: Typed, json: JsonAdapter) -> None:
    with pytest.raises(TypeError, match="lone surrogate"):
        typed.open(json).encode(Event(1, "\ud800"))


@with_every_adapter
def test_what_flat_merges_is_what_the_value_encodes_to(json: JsonAdapter) -> None:
    receipt = Receipt(uuid.UUID(int=1), 2.5)
    codec = Typed(flat=True).open(json)
    assert said(codec, Result(receipt, "a")) == {
        "type": "a",
        "id": "00000000-0000-0000-0000-000000000001",
        "total": 2.5,
    }
    assert said(codec, Result(receipt, "a", 7)) == {"type": "a", "id": 7, "total": 2.5}


@with_every_adapter
@pytest.mark.parametrize("raw", [b"{}", b"{ }", b'{ "n" : 1 , "type" : 2 }', b' {"n":1}', b"[ ]"])
def test_encoded_values_may_have_white_space(raw: bytes, json: JsonAdapter) -> None:
    for typed in FORMS:
        frame = typed.open(json).encode(Result(msgspec.Raw(raw), "a", 1))
        assert JSON.decode(cast(str, frame))["type"] == "a"


@with_every_adapter
@with_both_forms
@pytest.mark.parametrize("name", ["", "a"])
def test_no_depth_does_worse_than_a_type_error(typed: Typed, name: str, json: JsonAdapter) -> None:
    codec = typed.open(json)
    for value in nested(range(900, 1100)):
        try:
            frame = codec.encode(Event(value, name))
        except TypeError:
            continue
        assert isinstance(frame, str)


def nested(depths: range) -> list[object]:
    value: object = {"type": 1}
    found: list[object] = []
    for depth in range(depths.stop):
        value = {"a": value}
        if depth >= depths.start:
            found.append(value)
    return found


@with_every_adapter
@with_both_forms
@pytest.mark.parametrize("head", ['"x"', '"auth"', '"answer","ask":1', "5", '"x","id":true'])
def test_a_message_nested_too_deeply_is_malformed(
    typed: Typed, head: str, json: JsonAdapter
) -> None:
    frame = f'{{"type":{head},"data":{"[" * 100_000}{"]" * 100_000}}}'
    with pytest.raises(MalformedMessage, match="nested too deeply"):
        typed.open(json).decode(frame)


@with_every_adapter
@with_both_forms
@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"a\\ud800"}',
        '{"type":"a","data":"\\udc00"}',
        '{"type":"a","id":"\\ud800\\ud800"}',
        '{"type":"a","id":1' + "0" * 5000 + "}",
        '{"type":"a","data":NaN}',
        '{"type":"a","data":01}',
        '{"type":"a"}{',
        "\ufeff{}",
        '{"type":"\ud800"}',
        "",
    ],
    ids=ascii,
)
def test_what_is_no_json_is_malformed(typed: Typed, frame: str, json: JsonAdapter) -> None:
    with pytest.raises(MalformedMessage):
        typed.open(json).decode(frame)


def test_the_kept_beginnings_of_messages_are_bounded() -> None:
    codec = Typed().open(JSON)
    for number in range(3000):
        assert codec.encode(Event(1, f"event {number}")) == f'{{"type":"event {number}","data":1}}'
    assert len(cast(Any, codec)._heads) <= 1024


def test_long_names_are_said_and_not_kept() -> None:
    codec = Typed().open(JSON)
    name = "x" * 60_000
    assert codec.encode(Result(1, name, 1)) == f'{{"type":"{name}","id":1,"data":1}}'
    assert codec.encode(Result(1, name[:100], 1)) == f'{{"type":"{name[:100]}","id":1,"data":1}}'
    assert list(cast(Any, codec)._heads) == [name[:100]]


@given(name=names, id=st.none() | ids, value=json_values)
def test_a_call_arrives_with_its_name_its_id_and_its_data(
    name: str, id: Id | None, value: object
) -> None:
    message = {"data": value, "type": name, "id": id}
    call = called(Typed().open(JSON), text_of(message))
    assert (call.name, call.id, JSON.decode(call.body)) == (name, id, value)


@given(name=names, id=st.none() | ids, payload=fields)
def test_a_flat_call_arrives_with_its_fields(
    name: str, id: Id | None, payload: dict[str, object]
) -> None:
    call = called(Typed(flat=True).open(JSON), text_of({**payload, "type": name, "id": id}))
    others = {key: value for key, value in payload.items() if key not in ("type", "id")}
    assert (call.name, call.id, call.body) == (name, id, others)


@given(name=names, id=st.none() | ids, index=st.none() | st.integers(0), value=json_values)
def test_an_answer_says_its_name_its_id_its_number_and_its_value(
    name: str, id: Id | None, index: int | None, value: object
) -> None:
    expected = {"type": name, "id": id, "seq": None if id is None else index, "data": value}
    answer = said(Typed().open(JSON), Result(value, name, id, index))
    assert answer == without_none(expected)


@given(name=names, id=st.none() | ids, index=st.none() | st.integers(0), value=fields)
def test_a_flat_answer_is_its_value_with_the_envelope_over_it(
    name: str, id: Id | None, index: int | None, value: dict[str, object]
) -> None:
    envelope = {"type": name, "id": id, "seq": None if id is None else index}
    answer = said(Typed(flat=True).open(JSON), Result(value, name, id, index))
    assert answer == {**value, **without_none(envelope)}


@given(name=names, id=ids, value=fields)
def test_a_request_says_its_name_its_id_and_its_value(
    name: str, id: Id, value: dict[str, object]
) -> None:
    nested, flat = (said(codec, Request(value, name, id)) for codec in open_both())
    assert nested == {"type": name, "ask": id, "data": value}
    assert flat == {**value, "type": name, "ask": id}


@given(id=ids, count=st.integers(0), value=json_values)
def test_the_protocols_own_messages_say_their_parts(id: Id, count: int, value: object) -> None:
    nested, flat = open_both()
    assert said(nested, Ready(value, id)) == without_none(
        {"type": "ready", "id": id, "data": value}
    )
    ended, end = Ended("a", id, count), {"type": "end", "id": id}
    assert said(nested, ended) == {**end, "data": {"count": count}}
    assert said(flat, ended) == {**end, "count": count}
    for codec in (nested, flat):
        assert said(codec, Pong(id)) == {"type": "pong", "id": id}


@given(
    code=st.text() | st.integers(-(2**63), 2**63),
    message=st.text(),
    details=json_values,
    name=st.text(),
    id=st.none() | ids,
)
def test_a_failure_says_its_parts(
    code: str | int, message: str, details: object, name: str, id: Id | None
) -> None:
    expected = {"code": code, "message": message, "details": details, "of": name or None, "id": id}
    for codec in open_both():
        answer = said(codec, Failure(code, message, details, name, id))
        assert answer == {"type": "error", **without_none(expected)}


@given(code=st.integers(1000, 4999), reason=st.text())
def test_the_end_of_a_connection_says_its_code_and_reason(code: int, reason: str) -> None:
    for codec in open_both():
        answer = said(codec, Disconnect(code, reason))
        assert answer == {"type": "disconnect", "code": code, "reason": reason}


def without_none(parts: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in parts.items() if value is not None}


@given(token=st.text(), id=st.none() | ids)
def test_a_token_arrives_in_both_forms(token: str, id: Id | None) -> None:
    nested, flat = open_both()
    expected = [Authenticate(token, id)]
    message = {"type": "auth", "data": {"token": token}, "id": id}
    assert list(nested.decode(text_of(message))) == expected
    assert list(flat.decode(text_of({"type": "auth", "token": token, "id": id}))) == expected


@given(id=ids, value=json_values)
def test_answers_and_cancellations_arrive_in_both_forms(id: Id, value: object) -> None:
    nested, flat = open_both()
    frame = text_of({"type": "answer", "ask": id, "data": value})
    [answer] = nested.decode(frame)
    assert isinstance(answer, Answer)
    assert (answer.id, JSON.decode(answer.body), answer.failure) == (id, value, None)
    assert list(flat.decode(frame)) == [Answer(id, value)]
    for codec in (nested, flat):
        assert list(codec.decode(text_of({"type": "cancel", "id": id}))) == [Cancel(id)]
        assert list(codec.decode(text_of({"type": "ping", "id": id}))) == [Ping(id)]


words = st.sampled_from(["ping", "auth", "cancel", "answer", "error", "a", ""])
keys = st.sampled_from(["type", "data", "id", "ask", "error", "token", "code", "message"])
messages = st.dictionaries(keys, words | json_values | st.dictionaries(keys, words | json_values))


@with_both_forms
@given(data=st.data())
def test_no_frame_does_worse_than_being_malformed(typed: Typed, data: st.DataObject) -> None:
    codec = typed.open(JSON)
    frame = data.draw(st.text() | st.binary() | json_values.map(text_of) | messages.map(text_of))
    try:
        [command] = codec.decode(frame)
    except MalformedMessage:
        return
    assert type(command) in (Call, Authenticate, Ping, Cancel, Answer)

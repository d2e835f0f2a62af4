from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.frames import frames, json_values
from tests.unit.dialects.vectors import check, load
from wirework.commands import Call, Event, Failure, Output, Ping, Result
from wirework.dialects import Codec, Dialect, NamedSockets
from wirework.errors import MalformedMessage
from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter

JSON = MsgspecAdapter()


class Trouble(msgspec.Struct):
    error: str


def codec(*, after: str | None = None) -> Codec:
    opened = NamedSockets().open(JSON)
    if after is not None:
        opened.decode(after)
    return opened


@pytest.mark.parametrize("json", [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()])
@pytest.mark.parametrize("vector", load("named"))
def test_the_vectors_hold_with_every_json_adapter(
    vector: dict[str, Any], json: JsonAdapter
) -> None:
    check(vector, NamedSockets(**vector.get("dialect", {})).open(json))


def test_named_sockets_are_a_dialect_of_one_call_that_the_query_names() -> None:
    dialect: Dialect = NamedSockets()
    assert (dialect.name, dialect.body) == ("named", "value")
    assert (dialect.has_names, dialect.name_in_query, dialect.one_call) == (True, "name", True)
    assert (dialect.has_statuses, dialect.reserved) == (False, frozenset())
    assert repr(dialect) == "NamedSockets()"


def test_connections_of_one_dialect_keep_their_arguments_apart() -> None:
    dialect = NamedSockets()
    first, second = dialect.open(JSON), dialect.open(JSON)
    first.decode("{}")
    assert first.decode("5") == (Call(5),)
    with pytest.raises(MalformedMessage, match="expected a JSON object of arguments"):
        second.decode("5")


def test_codecs_are_of_one_variant_when_they_say_the_same() -> None:
    assert codec(after="{}").variant == codec().variant
    assert codec().variant != NamedSockets().open(StdlibAdapter()).variant


def test_a_value_that_is_no_json_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="cannot encode"):
        codec().encode(Result(object()))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Trouble("x"), id="struct"),
        pytest.param({"error": {"code": 1}}, id="error of any type"),
        pytest.param({"__pp": None}, id="control frame without a word"),
        pytest.param(msgspec.Raw(b' {"\\u0065rror": "x"}'), id="JSON made elsewhere"),
    ],
)
@pytest.mark.parametrize("json", [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()])
def test_what_the_page_would_take_for_a_control_frame_is_refused(
    json: JsonAdapter, value: object
) -> None:
    opened = NamedSockets().open(json)
    outputs: list[Output] = [Result(value), Event(value)]
    for output in outputs:
        with pytest.raises(TypeError, match="rename the key or wrap the value"):
            opened.encode(output)


@given(frame=frames("__pp", "error", "room"), after=st.sampled_from([None, "{}"]))
def test_no_frame_does_worse_than_being_malformed(frame: str | bytes, after: str | None) -> None:
    try:
        commands = codec(after=after).decode(frame)
    except MalformedMessage:
        return
    for command in commands:
        assert isinstance(command, Call | Ping)
        assert not isinstance(command, Call) or after or isinstance(command.body, dict)


@given(st.lists(json_values.filter(lambda value: not is_control(value)), max_size=3))
def test_what_comes_after_the_arguments_arrives_as_it_was_sent(values: list[Any]) -> None:
    opened = codec(after="{}")
    for value in values:
        assert opened.decode(JSON.encode(value).decode()) == (Call(value),)


def is_control(value: Any) -> bool:
    return isinstance(value, dict) and list(value) in (["__pp"], ["error"])


marked = st.dictionaries(st.sampled_from(["error", "__pp", "x"]), json_values)


@given(json_values | marked)
def test_every_value_is_said_bare_or_not_at_all(value: Any) -> None:
    outputs: list[Output] = [Result(value, "room"), Event(value)]
    for output in outputs:
        try:
            frame = codec().encode(output)
        except TypeError:
            assert is_control(value)
        else:
            assert not is_control(value)
            assert isinstance(frame, str)
            assert JSON.decode(frame) == value


@given(code=st.text() | st.integers(), message=st.text(min_size=1), details=json_values)
def test_every_failure_is_a_text_under_the_sole_key_error(
    code: str | int, message: str, details: Any
) -> None:
    frame = codec().encode(Failure(code, message, details))
    assert isinstance(frame, str)
    assert JSON.decode(frame) == {"error": message}

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.frames import frames, json_values
from tests.unit.dialects.vectors import check, load, shared_by
from wirework.commands import Authenticate, Call, Disconnect, Event, Failure, Ready, Result
from wirework.dialects import Codec, Dialect, State
from wirework.dialects.channels import CHANNEL_WORDS
from wirework.errors import MalformedMessage
from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter

JSON = MsgspecAdapter()

names = st.text(min_size=1)


def codec(**options: Any) -> Codec:
    return State(**options).open(JSON)


def said(frame: str | bytes | None) -> Any:
    assert isinstance(frame, str)
    return JSON.decode(frame)


@pytest.mark.parametrize("json", [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()])
@pytest.mark.parametrize("vector", load("state"))
def test_the_vectors_hold_with_every_json_adapter(
    vector: dict[str, Any], json: JsonAdapter
) -> None:
    check(vector, shared_by(vector, State(**vector.get("dialect", {})), json))


def test_state_is_a_dialect_of_values_with_names() -> None:
    dialect: Dialect = State()
    assert (dialect.name, dialect.body) == ("state", "value")
    assert (dialect.has_names, dialect.has_statuses, dialect.one_call) == (True, False, False)
    assert (dialect.can_authenticate, dialect.ready) == (True, False)
    assert dialect.reserved == {"initialised", "error"} | CHANNEL_WORDS


def test_a_dialect_shows_its_options() -> None:
    assert repr(State(sanitise=False)) == "State(sanitise=False)"


def test_codecs_are_of_one_variant_when_they_say_the_same() -> None:
    assert codec().variant == codec(sanitise=False).variant
    assert codec().variant != State().open(StdlibAdapter()).variant


def test_a_value_that_is_no_json_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"cannot encode .* at `data\.x`"):
        codec().encode(Result({"x": object()}, name="save"))


@given(frame=frames("state", "token", "data"), sanitise=st.booleans())
def test_no_frame_does_worse_than_being_malformed(frame: str | bytes, sanitise: bool) -> None:
    try:
        [command] = codec(sanitise=sanitise).decode(frame)
    except MalformedMessage:
        return
    assert isinstance(command, Call | Authenticate)
    assert command.name if isinstance(command, Call) else isinstance(command.token, str)


def test_data_that_is_nested_too_deeply_to_be_sanitised_is_malformed() -> None:
    deep = '{"a":' * 900 + "1" + "}" * 900
    with pytest.raises(MalformedMessage, match="nested too deeply"):
        codec().decode(f'{{"state":"s","data":{deep}}}')


def has_empty(value: Any) -> bool:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return not value or any(has_empty(item) for item in items)
    return value is None or value == ""


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return [leaf for item in items for leaf in leaves(item)]
    return [] if value is None or value == "" else [value]


@given(name=names, data=json_values)
def test_sanitised_data_has_nothing_empty_and_everything_else(name: str, data: Any) -> None:
    frame = JSON.encode({"state": name, "data": data}).decode()
    [call] = codec().decode(frame)
    assert isinstance(call, Call)
    assert call.body == {} or not has_empty(call.body)
    assert leaves(call.body) == leaves(data)
    assert codec(sanitise=False).decode(frame) == (Call({} if data is None else data, name),)


@given(name=names, value=json_values)
def test_every_named_value_is_said_with_its_name(name: str, value: Any) -> None:
    for output in (Result(value, name), Event(value, name)):
        message = {"state": name} if value is None else {"state": name, "data": value}
        assert said(codec().encode(output)) == message


@given(value=json_values)
def test_the_beginning_always_has_data(value: Any) -> None:
    data = {} if value is None else value
    assert said(codec().encode(Ready(value))) == {"state": "initialised", "data": data}


@given(
    code=st.text().filter(lambda code: code != "not_authenticated") | st.integers(0, 5000),
    message=st.text(min_size=1),
    details=json_values.filter(lambda details: details is not None),
    name=st.text(),
)
def test_every_failure_says_its_message_its_code_and_its_details(
    code: str | int, message: str, details: Any, name: str
) -> None:
    answer = said(codec().encode(Failure(code, message, details, name)))
    data = {"state": name, "code": code, "details": details}
    if not name:
        del data["state"]
    assert answer == {"state": "error", "error": message, "data": data}


@given(code=st.integers(1001, 4999), reason=st.text(min_size=1))
def test_every_end_but_a_good_one_is_an_error(code: int, reason: str) -> None:
    answer = said(codec().encode(Disconnect(code, reason)))
    assert answer == {"state": "error", "error": reason, "data": {"code": code}}

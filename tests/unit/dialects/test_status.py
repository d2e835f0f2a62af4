from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.frames import frames, json_values
from tests.unit.dialects.vectors import check, load
from wirework.commands import Call, Disconnect, Event, Failure, Result
from wirework.dialects import Codec, Dialect, Status
from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter

JSON = MsgspecAdapter()
OUR_WORDS = ["validation", "malformed", "wrong_frame", "internal", "not_found", "not_ready"]

codes = st.sampled_from([*OUR_WORDS, "not_authenticated"]) | st.text() | st.integers()
problems = st.fixed_dictionaries(
    {"loc": st.lists(st.text() | st.integers(0, 9)), "type": st.text(), "msg": st.text()}
)


def codec(**options: Any) -> Codec:
    return Status(**options).open(JSON)


def said(frame: str | bytes | None) -> Any:
    assert frame is not None
    return JSON.decode(frame)


@pytest.mark.parametrize("json", [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()])
@pytest.mark.parametrize("vector", load("status"))
def test_the_vectors_hold_with_every_json_adapter(
    vector: dict[str, Any], json: JsonAdapter
) -> None:
    check(vector, Status(**vector.get("dialect", {})).open(json))


def test_status_is_a_dialect_of_json_with_statuses() -> None:
    dialect: Dialect = Status()
    assert (dialect.name, dialect.body) == ("status", "json")
    assert (dialect.has_statuses, dialect.has_names, dialect.one_call) == (True, False, False)


def test_a_dialect_shows_its_options() -> None:
    assert repr(Status(binary=True)) == "Status(binary=True, error_object=False)"


def test_codecs_are_of_one_variant_when_they_say_the_same() -> None:
    assert codec().variant == codec().variant
    others = [codec(binary=True), codec(error_object=True), Status().open(StdlibAdapter())]
    assert len({codec().variant, *(other.variant for other in others)}) == 4


def test_a_value_that_is_no_json_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"cannot encode .* at `body\.x`"):
        codec().encode(Result({"x": object()}))


@given(frame=frames("statusCode", "body"))
def test_every_frame_is_one_unnamed_call(frame: str | bytes) -> None:
    assert codec().decode(frame) == (Call(frame),)


@given(
    value=json_values,
    status=st.none() | st.integers(100, 599).filter(lambda status: status != 204),
    binary=st.booleans(),
)
def test_every_value_is_said_with_its_status(
    value: object, status: int | None, binary: bool
) -> None:
    frame = codec(binary=binary).encode(Result(value, status=status))
    assert isinstance(frame, bytes if binary else str)
    assert said(frame) == {"statusCode": status or 200, "body": value}
    event = codec(binary=binary).encode(Event(value))
    assert said(event) == {"statusCode": 200, "body": value}


@given(code=codes, message=st.text(), details=json_values, with_object=st.booleans())
def test_every_failure_says_its_status_its_message_and_its_details(
    code: str | int, message: str, details: Any, with_object: bool
) -> None:
    if code == "validation" and details == []:
        details = None
    answer = said(codec(error_object=with_object).encode(Failure(code, message, details)))
    assert 100 <= answer["statusCode"] <= 599
    [problem] = answer["body"]["errorList"]
    assert problem == {"loc": ["__model__"], "type": str(code), "msg": message}
    assert answer["body"].get("details") == details
    assert answer["body"].get("errorObject") == ({"__model__": [message]} if with_object else None)


@given(st.lists(problems, min_size=1))
def test_no_problem_is_lost(found: list[dict[str, Any]]) -> None:
    failure = Failure("validation", "the message does not fit", found)
    body = said(codec(error_object=True).encode(failure))["body"]
    assert body.keys() == {"errorList", "errorObject"}
    assert body["errorList"] == [{**item, "loc": item["loc"] or ["__model__"]} for item in found]
    messages = [message for place in body["errorObject"].values() for message in place]
    assert sorted(messages) == sorted(item["msg"] for item in found)


@given(code=st.integers(1001, 4999), reason=st.text(min_size=1))
def test_every_end_but_a_good_one_is_an_error(code: int, reason: str) -> None:
    answer = said(codec().encode(Disconnect(code, reason)))
    assert 400 <= answer["statusCode"] <= 599
    assert answer["body"]["errorList"] == [{"loc": ["__model__"], "type": str(code), "msg": reason}]

from __future__ import annotations

from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.frames import json_values
from tests.unit.dialects.vectors import check, load
from wirework.commands import Call, Event, Failure, Output, Result
from wirework.dialects import Codec, Dialect, Raw
from wirework.dialects.raw import Mode
from wirework.errors import MalformedMessage
from wirework.json import MsgspecAdapter

JSON = MsgspecAdapter()
MODES: tuple[Mode, ...] = get_args(Mode)

frames = st.text() | st.binary()


def codec(mode: Mode = "auto") -> Codec:
    return Raw(mode).open(JSON)


@pytest.mark.parametrize("vector", load("raw"))
def test_the_vectors_hold(vector: dict[str, Any]) -> None:
    check(vector, Raw(**vector.get("dialect", {})).open(JSON))


def test_raw_is_a_dialect_whose_body_is_the_frame() -> None:
    dialect: Dialect = Raw()
    assert (dialect.name, dialect.body, dict(dialect.parameters)) == ("raw", "frame", {})


def test_the_handler_picks_the_mode_where_the_user_has_not() -> None:
    assert Raw().with_mode("json").mode == "json"
    assert Raw("text").with_mode("json").mode == "text"


def test_picking_a_mode_leaves_the_dialect_of_the_other_routes_as_it_is() -> None:
    shared = Raw()
    shared.with_mode("bytes")
    assert repr(shared) == "Raw('auto')"


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="expected one of auto, text, bytes, frame, json, got"):
        Raw(cast(Any, "xml"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
def test_everything_like_bytes_leaves_as_a_binary_frame(mode: Mode, value: object) -> None:
    frame = codec(mode).encode(Result(value))
    assert type(frame) is bytes
    assert frame == b"\x00\xff"


@pytest.mark.parametrize("mode", MODES)
def test_a_value_that_is_no_json_is_a_type_error(mode: Mode) -> None:
    with pytest.raises(TypeError):
        codec(mode).encode(Result(object()))


@given(mode=st.sampled_from(MODES), frame=frames)
def test_a_frame_is_one_unnamed_call_or_malformed(mode: Mode, frame: str | bytes) -> None:
    try:
        [call] = codec(mode).decode(frame)
    except MalformedMessage:
        assert mode not in ("auto", "frame")
    else:
        assert isinstance(call, Call)
        assert (call.body, call.name, call.id, call.meta) == (frame, "", None, None)


@given(mode=st.sampled_from(MODES), value=st.text() | st.binary() | json_values)
def test_every_value_leaves_as_a_frame(mode: Mode, value: object) -> None:
    outputs: list[Output] = [Result(value), Event(value)]
    for frame in map(codec(mode).encode, outputs):
        assert isinstance(frame, bytes if isinstance(value, bytes) else str)


@given(value=json_values)
def test_every_text_frame_of_json_mode_is_json(value: object) -> None:
    frame = codec("json").encode(Result(value))
    assert frame is not None
    assert JSON.decode(frame) == value


@given(message=st.text(), details=json_values)
def test_every_failure_of_json_mode_is_json(message: str, details: object) -> None:
    frame = codec("json").encode(Failure("invalid", message, details))
    assert frame is not None
    error = JSON.decode(frame)["error"]
    assert (error["code"], error["message"]) == ("invalid", message)
    assert error.get("details") == details

"""The quick way of the typed dialect says and reads what its codec does."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.test_typed import ids, json_values, names
from wirework.commands import Call, Id, Result
from wirework.dialects import Typed
from wirework.dialects.base import Quick
from wirework.errors import MalformedMessage
from wirework.json import MsgspecAdapter

JSON = MsgspecAdapter()
CODEC = Typed().open(JSON)


def quick() -> Quick:
    found = Typed().quick(JSON)
    assert found is not None
    return found


def read(frame: str, *known: str) -> Call | None:
    """Return the call of a known name that the quick way reads; None where it leaves that."""
    types = {quick().call(name, msgspec.Raw): name for name in known}
    try:
        message = quick().reader(tuple(types))(frame)
    except Exception:
        return None
    name = types.get(type(message))
    return None if name is None else Call(bytes(message.body), name, message.id)


@given(names, st.none() | ids, st.none() | json_values)
def test_every_call_is_read_as_the_codec_reads_it(name: str, id: Id | None, data: Any) -> None:
    envelope: dict[str, Any] = {"type": name}
    envelope |= {} if id is None else {"id": id}
    envelope |= {} if data is None else {"data": data}
    frame = json.dumps(envelope)
    call = read(frame, name, f"not {name}")
    assert call is not None
    assert list(CODEC.decode(frame)) == [call]


envelopes = st.dictionaries(st.sampled_from(["type", "id", "data", "x"]), json_values)
members = st.lists(st.tuples(st.sampled_from(["type", "id", "data"]), st.sampled_from("ab1")))


@st.composite
def repeated(draw: Any) -> str:
    """Return an object whose keys may come more than once."""
    said = [f'"{key}": {json.dumps(value)}' for key, value in draw(members)]
    return f"{{{', '.join(said)}}}"


@given(st.text() | json_values.map(json.dumps) | envelopes.map(json.dumps) | repeated())
def test_what_the_quick_way_reads_is_what_the_codec_reads(frame: str) -> None:
    call = read(frame, "a", "b", "1", "é")
    if call is not None:
        assert list(CODEC.decode(frame)) == [call]


@given(envelopes.map(json.dumps) | repeated())
def test_one_name_alone_is_read_as_the_codec_reads_it(frame: str) -> None:
    call = read(frame, "a")
    if call is not None:
        assert list(CODEC.decode(frame)) == [call]


@given(st.text() | repeated())
def test_what_the_codec_refuses_the_quick_way_does_not_read(frame: str) -> None:
    try:
        CODEC.decode(frame)
    except MalformedMessage:
        assert read(frame, "a", "b", "1") is None
        assert read(frame, "a") is None


@given(names, st.none() | ids, json_values.filter(lambda value: value is not None))
def test_every_answer_is_written_as_the_codec_writes_it(
    name: str, id: Id | None, value: Any
) -> None:
    said = CODEC.encode(Result(value, name, id))
    assert isinstance(said, str)
    answer, event = quick().answers(name)
    made = event(value) if id is None else answer(id, value)
    assert quick().encode(made) == said.encode()

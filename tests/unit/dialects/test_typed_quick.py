"""The quick way of the typed dialect says and reads what its codec does."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.test_typed import ids, json_values, names
from wirework.commands import Call, Id, Result
from wirework.dialects import Typed
from wirework.errors import MalformedMessage
from wirework.json import MsgspecAdapter

JSON = MsgspecAdapter()
QUICK = Typed().quick(JSON)
CODEC = Typed().open(JSON)


def read(frame: str) -> Call | None:
    """Return the call that the quick way reads; None where it leaves that to the codec."""
    assert QUICK is not None
    try:
        message = QUICK.read(frame)
    except Exception:
        return None
    return Call(bytes(message.body), message.name, message.id)


@given(names, st.none() | ids, st.none() | json_values)
def test_every_call_is_read_as_the_codec_reads_it(name: str, id: Id | None, data: Any) -> None:
    envelope: dict[str, Any] = {"type": name}
    envelope |= {} if id is None else {"id": id}
    envelope |= {} if data is None else {"data": data}
    frame = json.dumps(envelope)
    call = read(frame)
    assert call is not None
    assert list(CODEC.decode(frame)) == [call]


envelopes = st.dictionaries(st.sampled_from(["type", "id", "data", "x"]), json_values)


@given(st.text() | json_values.map(json.dumps) | envelopes.map(json.dumps))
def test_what_the_quick_way_reads_is_what_the_codec_reads(frame: str) -> None:
    call = read(frame)
    if call is None or call.name in Typed.reserved:  # no function has such a name
        return
    assert list(CODEC.decode(frame)) == [call]


@given(st.text())
def test_what_the_codec_refuses_the_quick_way_does_not_read(frame: str) -> None:
    try:
        CODEC.decode(frame)
    except MalformedMessage:
        assert read(frame) is None


@given(names, st.none() | ids, json_values.filter(lambda value: value is not None))
def test_every_answer_is_written_as_the_codec_writes_it(
    name: str, id: Id | None, value: Any
) -> None:
    assert QUICK is not None
    said = CODEC.encode(Result(value, name, id))
    assert isinstance(said, str)
    assert QUICK.write(name)(id, value) == said.encode()

"""The quick way of Centrifugo's protocol says and reads what its codec does."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.test_typed import json_values, names
from wirework.commands import Call, Result
from wirework.dialects import Centrifugo
from wirework.dialects.base import Quick
from wirework.errors import MalformedMessage
from wirework.json import MsgspecAdapter, StdlibAdapter

JSON = MsgspecAdapter()
ids = st.integers(1, 2**32 - 1)
members = st.dictionaries(st.sampled_from(["method", "data", "id"]), json_values | names)
commands = st.dictionaries(
    st.sampled_from(["rpc", "id", "send", "ping", "x"]),
    members | st.none() | st.integers(-1, 2**33),
)


def quick() -> Quick:
    found = Centrifugo().quick(JSON)
    assert found is not None
    return found


def read(frame: str, *known: str) -> Call | None:
    """Return the call of a known name that the quick way reads; None where it leaves that."""
    types = {quick().call(name, msgspec.Raw): name for name in known}
    try:
        said = quick().reader(tuple(types))(frame)
    except Exception:
        return None
    name = types.get(type(said.call))
    return None if name is None else Call(bytes(said.call.body), name, said.id)


@given(names, ids, st.none() | json_values)
def test_every_rpc_is_read_as_the_codec_reads_it(name: str, id: int, data: Any) -> None:
    rpc = {"method": name} | ({} if data is None else {"data": data})
    frame = json.dumps({"rpc": rpc, "id": id})
    call = read(frame, name, f"not {name}")
    assert call is not None
    assert list(Centrifugo().open(JSON).decode(frame)) == [call]


@given(st.text() | json_values.map(json.dumps) | commands.map(json.dumps))
def test_what_the_quick_way_reads_is_what_the_codec_reads(frame: str) -> None:
    for known in (("a",), ("a", "b", "1")):
        call = read(frame, *known)
        if call is not None:
            assert list(Centrifugo().open(JSON).decode(frame)) == [call]


@pytest.mark.parametrize(
    "command",
    [
        {"rpc": {"method": "a"}},
        {"rpc": {"method": "a"}, "id": 0},
        {"rpc": {"method": "a"}, "id": 2**32},
        {"rpc": {"method": "a"}, "id": 1, "ping": {}},
        {"rpc": {"data": 1}, "id": 1},
        {"rpc": {"method": "", "data": 1}, "id": 1},
        {"send": {"data": 1}},
        {},
    ],
    ids=json.dumps,
)
def test_whatever_is_out_of_the_ordinary_takes_the_long_way(command: Any) -> None:
    assert read(json.dumps(command), "a") is None


def test_several_commands_in_a_frame_take_the_long_way() -> None:
    frame = '{"rpc":{"method":"a"},"id":1}'
    assert read(frame, "a") is not None
    assert read(f"{frame}\n{frame}", "a") is None


@given(st.text())
def test_what_the_codec_refuses_the_quick_way_does_not_read(frame: str) -> None:
    try:
        Centrifugo().open(JSON).decode(frame)
    except MalformedMessage:
        assert read(frame, "a") is None


@given(names, ids, json_values.filter(lambda value: value is not None))
def test_every_answer_is_written_as_the_codec_writes_it(name: str, id: int, value: Any) -> None:
    said = Centrifugo().open(JSON).encode(Result(value, name, id))
    assert isinstance(said, str)
    answer, event = quick().answers(name)
    assert quick().encode(answer(id, event(value))) == said.encode()


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=repr)
def test_json_that_was_made_elsewhere_is_one_line_wherever_it_is(end: bytes) -> None:
    made = msgspec.Raw(b'{"a":' + end + b'"\\n"}')
    answer, event = quick().answers("a")
    for value in (made, {"made": made}, [1, made]):
        line = quick().encode(answer(1, event(value)))
        assert not {10, 13} & set(line)
        assert line.decode() == Centrifugo().open(JSON).encode(Result(value, "a", 1))


def test_there_is_none_with_another_json_adapter() -> None:
    assert Centrifugo().quick(StdlibAdapter()) is None

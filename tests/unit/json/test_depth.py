"""How deep JSON may be nested: counted as a parser counts it, whatever is in its strings."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework import App, MalformedMessage, ValidationError
from wirework.dialects import Typed
from wirework.json import JsonAdapter, adapter_of
from wirework.json.depth import Shallow, is_deeper
from wirework.testing import TestClient

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\ä,:'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\'), inner, max_size=3)
    ),
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(VALUES, st.integers(1, 6), st.booleans())
def test_depth_is_counted_as_a_parser_counts_it(value: Any, depth: int, is_bytes: bool) -> None:
    text = json.dumps(value, ensure_ascii=False)
    data = text.encode() if is_bytes else text
    assert is_deeper(data, depth) == (depth_of(value) > depth)


@given(st.text('[]{}"\\a') | st.binary(), st.integers(1, 6))
def test_what_is_no_json_is_judged_without_an_error(data: str | bytes, depth: int) -> None:
    assert is_deeper(data, depth) in (True, False)


@pytest.mark.parametrize("name", ["msgspec", "orjson", "stdlib"])
def test_an_adapter_with_a_limit_refuses_what_is_deeper_and_does_all_else(name: str) -> None:
    plain: JsonAdapter = adapter_of(name)
    shallow: JsonAdapter = Shallow(plain, 3)
    assert shallow.name == name
    assert shallow.decode(b'{"a": [[7]]}') == {"a": [[7]]}
    assert shallow.decoder(list[int])("[1, 2]") == [1, 2]
    assert shallow.encode([[[[1]]]]) == b"[[[[1]]]]"
    with pytest.raises(ValidationError):
        shallow.decode(b'["x"]', list[int])
    for read in (shallow.decode, shallow.decoder(Any)):
        with pytest.raises(MalformedMessage, match="nested too deeply"):
            read("[[[[]]]]")


class Move(msgspec.Struct):
    to: Any


async def test_the_setting_counts_for_every_dialect_and_the_connection_lives_on() -> None:
    app = App(max_json_depth=4)

    @app.ws("/raw")
    async def raw(move: Move) -> Any:
        return move.to

    desk = app.events("/desk", dialect=Typed())

    @desk.on("move")
    async def move(move: Move) -> Any:
        return move.to

    async with TestClient(app) as client:
        async with client.connect("/raw") as ws:
            await ws.send_text('{"to": [[[[1]]]]}')
            assert "nested too deeply" in await ws.receive_text()
            await ws.send_text('{"to": [[[1]]]}')
            assert await ws.receive_json() == [[[1]]]
        async with client.connect("/desk") as ws:
            await ws.send_text('{"type": "move", "id": 1, "data": {"to": [[[1]]]}}')
            assert (await ws.receive_json())["code"] == "malformed"
            await ws.send_text('{"type": "move", "id": 1, "data": {"to": [[1]]}}')
            assert (await ws.receive_json())["data"] == [[1]]

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import json
import uuid
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest

from wirework.json import JsonAdapter


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(str):
    """Text with a class of its own."""


class Number(int):
    """An integer with a class of its own."""


class Ratio(float):
    """A float with a class of its own."""


class Moment(dt.datetime):
    """A datetime with a class of its own."""


class Day(dt.date):
    """A date with a class of its own."""


class Clock(dt.time):
    """A time with a class of its own."""


class Span(dt.timedelta):
    """A timedelta with a class of its own."""


class Key(uuid.UUID):
    """A UUID with a class of its own."""


class Point(msgspec.Struct, tag=True):
    x: int
    at: dt.date | None = None


class Partial(msgspec.Struct):
    x: int | msgspec.UnsetType = msgspec.UNSET


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    path: Path


class Version(NamedTuple):
    major: int


@attrs.define
class Account:
    balance: Decimal


UUID = uuid.UUID(int=1)
ID = "00000000-0000-0000-0000-000000000001"
DAY = dt.date(2026, 1, 2)
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)

CASES: list[Any] = [
    (UUID, f'"{ID}"'),
    (Key(int=1), f'"{ID}"'),
    (NOON, '"2026-01-02T12:00:00Z"'),
    (dt.datetime(2026, 1, 2, 12, 0, 0, 5), '"2026-01-02T12:00:00.000005"'),
    (Moment(2026, 1, 2, 12, tzinfo=dt.UTC), '"2026-01-02T12:00:00Z"'),
    (DAY, '"2026-01-02"'),
    (Day(2026, 1, 2), '"2026-01-02"'),
    (dt.time(1, 2, 3), '"01:02:03"'),
    (Clock(1, 2, 3), '"01:02:03"'),
    (dt.timedelta(days=1, seconds=3), '"P1DT3S"'),
    (Span(seconds=3), '"PT3S"'),
    (Decimal("1.50"), '"1.50"'),
    (Colour.RED, '"red"'),
    (Colour.PAIR, "[1,2]"),
    (Level.LOW, "1"),
    (Order(UUID, Path("/a/b")), f'{{"id":"{ID}","path":"/a/b"}}'),
    (Point(1, DAY), '{"type":"Point","x":1,"at":"2026-01-02"}'),
    (Partial(), "{}"),
    (Account(Decimal("2.0")), '{"balance":"2.0"}'),
    (Version(1), "[1]"),
    ((1, (2,)), "[1,[2]]"),
    ({1}, "[1]"),
    (frozenset({"a"}), '["a"]'),
    (PurePosixPath("/a"), '"/a"'),
    (b"abc", '"YWJj"'),
    (bytearray(b"a"), '"YQ=="'),
    (2**70, str(2**70)),
    ([-(2**70)], f"[{-(2**70)}]"),
    ({1: 1}, '{"1":1}'),
    ({2**70: 1}, f'{{"{2**70}":1}}'),
    ({UUID: 1}, f'{{"{ID}":1}}'),
    ({DAY: 1}, '{"2026-01-02":1}'),
    ({NOON: 1}, '{"2026-01-02T12:00:00Z":1}'),
    ({Colour.RED: 1, Level.LOW: 2}, '{"red":1,"1":2}'),
    ({Word("a"): 1}, '{"a":1}'),
    ({"a": {UUID: [Point(1)]}}, f'{{"a":{{"{ID}":[{{"type":"Point","x":1,"at":null}}]}}}}'),
    (float("nan"), "null"),
    ([float("inf"), -float("inf")], "[null,null]"),
    ({"a": float("nan"), "b": 2**70}, f'{{"a":null,"b":{2**70}}}'),
    (1.0, "1.0"),
    (0.1, "0.1"),
    (Word("a"), '"a"'),
    (Number(3), "3"),
    (Ratio(0.5), "0.5"),
    (collections.OrderedDict(a=1), '{"a":1}'),
    ("é\u2028\x00\U0001f600", '"é\u2028\\u0000\U0001f600"'),
    pytest.param(msgspec.Raw(b'{"a":1}'), '{"a":1}', id="raw"),
    ([None, True, False], "[null,true,false]"),
]


@pytest.mark.parametrize(("value", "expected"), CASES, ids=lambda case: str(case)[:40])
def test_a_value_is_the_same_json_everywhere(
    adapter: JsonAdapter, value: Any, expected: str
) -> None:
    assert adapter.encode(value).decode() == expected


def test_deep_values_that_one_encoder_gives_up_on_are_encoded(adapter: JsonAdapter) -> None:
    value: list[Any] = []
    for _ in range(400):
        value = [value]
    assert adapter.encode(value) == b"[" * 401 + b"]" * 401


class Thing:
    """Nothing that JSON knows."""


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Thing(), r"an object of type .*Thing as JSON"),
        ({"items": [{"name": Thing()}]}, r"Thing at `items\[0\]\.name` as JSON"),
        ([Order(UUID, Thing())], r"Thing at `\[0\]\.path` as JSON"),  # type: ignore[arg-type]
        ({"a": Account(Thing())}, r"Thing at `a\.balance` as JSON"),  # type: ignore[arg-type]
        (Point(Thing()), r"Thing at `x` as JSON"),  # type: ignore[arg-type]
        ({"a": (x for x in "ab")}, r"generator at `a` as JSON"),
        ({"e": ValueError("secret")}, r"ValueError at `e` as JSON"),
        ({"a": "\ud800"}, r"lone surrogate at `a` as JSON"),
        ({"a": {"\ud800": 1}}, r"dict key of type str at `a\[key str\]` as JSON"),
        ({"a": {(1, 2): 1}}, r"dict key of type tuple at `a\[key tuple\]` as JSON"),
        ({True: 1}, r"dict key of type bool"),
        ({None: 1}, r"dict key of type NoneType"),
        ([10**5000], r"an integer of so many digits at `\[0\]` as JSON"),
        (endless(), r"contains itself"),
        (msgspec.UNSET, r"UnsetType"),
    ],
    ids=lambda case: str(case)[:30] if isinstance(case, str) else None,
)
def test_what_cannot_be_encoded_is_named_with_its_place(
    adapter: JsonAdapter, value: Any, words: str
) -> None:
    with pytest.raises(TypeError, match=f"cannot encode .*{words}") as caught:
        adapter.encode(value)
    assert "secret" not in str(caught.value)


def test_output_is_read_by_other_parsers(adapter: JsonAdapter) -> None:
    value = {"a": [1, 2.5e300, 'x\n"\\', None], "b": {"c": "é"}}
    assert json.loads(adapter.encode(value)) == value


@dataclasses.dataclass
class _Inner:
    number: int = 5


@attrs.define
class _Outer:
    inner: _Inner


def test_defaults_of_a_dataclass_within_an_attrs_object_are_encoded(adapter: JsonAdapter) -> None:
    assert adapter.encode(adapter.decode(b'{"inner":{}}', _Outer)) == b'{"inner":{"number":5}}'

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pytest
from typing_extensions import TypeAliasType

from wirework.errors import MalformedMessage, ValidationError
from wirework.json import JsonAdapter

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(msgspec.Struct):
    x: int
    y: int = 0


class Square(msgspec.Struct, tag="square", tag_field="kind"):
    side: float


class Circle(msgspec.Struct, tag="circle", tag_field="kind"):
    radius: float


class Pair(msgspec.Struct, array_like=True):
    a: int
    b: str


class Box(msgspec.Struct, Generic[T]):
    item: T


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    items: list[Point]
    note: str | None = None
    tags: set[str] = dataclasses.field(default_factory=set)


class Options(TypedDict):
    size: int
    colour: NotRequired[Colour]


class Version(NamedTuple):
    major: int
    minor: int = 0


@attrs.define
class Account:
    name: str
    balance: Decimal = Decimal(0)


class Tree(msgspec.Struct):
    children: list[Tree] = []


class Envelope(msgspec.Struct):
    body: msgspec.Raw


UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")

CASES: list[tuple[str, Any, Any]] = [
    ('{"x":1}', Point, Point(1)),
    ('{"x":1,"y":2,"z":3}', Point, Point(1, 2)),
    ("null", Point | None, None),
    ('{"kind":"circle","radius":2}', Square | Circle, Circle(2.0)),
    ('[1,"b"]', Pair, Pair(1, "b")),
    ('{"item":{"x":1}}', Box[Point], Box(Point(1))),
    ('{"firstName":"Ada"}', Renamed, Renamed("Ada")),
    (
        f'{{"id":"{UUID}","items":[{{"x":1}}],"tags":["a","a"]}}',
        Order,
        Order(UUID, [Point(1)], None, {"a"}),
    ),
    ('{"size":1,"colour":"red"}', Options, {"size": 1, "colour": Colour.RED}),
    ("[3]", Version, Version(3)),
    ('{"name":"Ada","balance":"1.50"}', Account, Account("Ada", Decimal("1.50"))),
    ('{"children":[{"children":[]}]}', Tree, Tree([Tree()])),
    ('"red"', Colour, Colour.RED),
    ("2", Level, Level.HIGH),
    ('"on"', Literal["on", "off"], "on"),
    ("1", int, 1),
    ("1", float, 1.0),
    ("true", bool, True),
    ('"a"', int | str, "a"),
    (f'"{UUID}"', uuid.UUID, UUID),
    (
        '"2026-01-02T03:04:05Z"',
        dt.datetime,
        dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    ),
    ('"2026-01-02"', dt.date, dt.date(2026, 1, 2)),
    ('"03:04:05"', dt.time, dt.time(3, 4, 5)),
    ('"PT90S"', dt.timedelta, dt.timedelta(seconds=90)),
    ("0.10", Decimal, Decimal("0.10")),
    ("1.23456789012345678901234567890", Decimal, Decimal("1.23456789012345678901234567890")),
    ("[1,2,2]", set[int], {1, 2}),
    ("[1]", frozenset[int], frozenset({1})),
    ('[1,"a"]', tuple[int, str], (1, "a")),
    ('{"1":2}', dict[int, int], {1: 2}),
    (f'{{"{UUID}":1}}', dict[uuid.UUID, int], {UUID: 1}),
    ('"YQ=="', bytes, b"a"),
    ('"/tmp"', Path, Path("/tmp")),
    ("1267650600228229401496703205376", int, 2**100),
    ("-1267650600228229401496703205376", Any, -(2**100)),
    ("[18446744073709551616]", object, [2**64]),
    ('{"a":[1,2.5,"x",null,true]}', Any, {"a": [1, 2.5, "x", None, True]}),
    ('{"a":1,"a":2}', Any, {"a": 2}),
    ('"a"', Literal["a"] | int, "a"),
    ("1.5", int | float, 1.5),
    ("1e2", dict[str, float] | float, 100.0),
    ('"\\ud83d\\ude00"', str, "\U0001f600"),
]


@pytest.mark.parametrize(("text", "type_", "expected"), CASES, ids=lambda case: str(case)[:40])
def test_json_is_decoded_into_the_type(
    adapter: JsonAdapter, text: str, type_: Any, expected: Any
) -> None:
    decode = adapter.decoder(type_)
    for found in (decode(text), decode(text.encode()), adapter.decode(text, type_)):
        assert found == expected
        assert type(found) is type(expected)


def test_a_decimal_keeps_all_its_digits(adapter: JsonAdapter) -> None:
    assert str(adapter.decode(b'{"name":"a","balance":0.10}', Account).balance) == "0.10"


def test_a_part_may_stay_undecoded(adapter: JsonAdapter) -> None:
    assert bytes(adapter.decode(b'{"body":{"a": 1}}', Envelope).body) == b'{"a": 1}'


def test_constraints_hold(adapter: JsonAdapter) -> None:
    decode = adapter.decoder(Annotated[int, msgspec.Meta(gt=0)])
    assert decode("1") == 1
    with pytest.raises(ValidationError):
        decode("0")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1,}',
        b"[1 2]",
        b"01",
        b"1.",
        b"+1",
        b"nul",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"[NaN]",
        b"'a'",
        b'"a\nb"',
        b'"\xff"',
        b'"\\ud800"',
        b'"\\udc00x"',
        b"\xef\xbb\xbf1",
        b"1e400",
        b"[-1e400]",
        b"1" * 5000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1 2",
        '"\ud800"',
        "\ufeff1",
    ],
    ids=lambda data: repr(data[:12]),
)
@pytest.mark.parametrize("type_", [Any, list[Any], Point, Order], ids=str)
def test_what_is_not_json_is_malformed(adapter: JsonAdapter, data: bytes | str, type_: Any) -> None:
    with pytest.raises(MalformedMessage, match="not readable as JSON: ") as caught:
        adapter.decode(data, type_)
    assert type(caught.value) is MalformedMessage


def test_deep_nesting_into_a_recursive_type_is_malformed(adapter: JsonAdapter) -> None:
    data = b'{"children":[' * 50_000
    with pytest.raises(MalformedMessage, match="nested too deeply"):
        adapter.decode(data, Tree)


def test_malformed_wins_over_a_wrong_type_before_it(adapter: JsonAdapter) -> None:
    with pytest.raises(MalformedMessage):
        adapter.decode(b'{"x":"a", oops}', Point)


class Nothing:
    """A class that no JSON can become."""


class Holder(msgspec.Struct):
    nothing: Nothing


@pytest.mark.parametrize(
    "type_",
    [Nothing, list[Nothing], Nothing | None, dict[str, Nothing], Holder, complex],
    ids=str,
)
def test_a_type_that_nothing_can_become_fails_at_once(adapter: JsonAdapter, type_: Any) -> None:
    name = "complex" if type_ is complex else "Nothing"
    for compile_ in (adapter.decoder, adapter.converter):
        with pytest.raises(TypeError, match=f"cannot decode JSON into .*{name}"):
            compile_(type_)


class Frozen(msgspec.Struct, frozen=True):
    x: int


@pytest.mark.parametrize(
    "type_", [set[Point], frozenset[Account], set[list[int]], set[Options]], ids=str
)
def test_a_set_of_what_cannot_be_hashed_fails_at_once(adapter: JsonAdapter, type_: Any) -> None:
    with pytest.raises(TypeError, match="items of sets must be hashable"):
        adapter.decoder(type_)


def test_a_set_of_frozen_models_is_decoded(adapter: JsonAdapter) -> None:
    assert adapter.decode('[{"x":1},{"x":1}]', set[Frozen]) == {Frozen(1)}
    assert adapter.decode("[[1,2],[1,2]]", set[tuple[int, int]]) == {(1, 2)}


class Broken(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        raise KeyError("a mistake in the program")


def test_a_mistake_in_a_validator_is_not_blamed_on_the_payload(adapter: JsonAdapter) -> None:
    with pytest.raises(KeyError):
        adapter.decode('{"x":1}', Broken)


Alias = TypeAliasType("Alias", list[Point])


def test_a_named_alias_is_decoded(adapter: JsonAdapter) -> None:
    assert adapter.decode('[{"x":1}]', Alias) == [Point(1)]


def test_something_else_than_text_is_a_mistake_of_the_program(adapter: JsonAdapter) -> None:
    with pytest.raises(TypeError):
        adapter.decode(5, Point)  # type: ignore[call-overload]


def test_builtins_are_converted_strictly(adapter: JsonAdapter) -> None:
    assert adapter.convert({"x": 1}, Point) == Point(1)
    assert adapter.convert({"1": "2026-01-02"}, dict[int, dt.date]) == {1: dt.date(2026, 1, 2)}
    with pytest.raises(ValidationError):
        adapter.convert({"x": "1"}, Point)


def test_a_type_that_cannot_be_hashed_is_decoded(adapter: JsonAdapter) -> None:
    meta = msgspec.Meta(extra_json_schema={"examples": [1]}, gt=0)
    type_ = Annotated[int, meta, ["not hashable"]]
    assert adapter.decode("1", type_) == 1

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pytest
from msgspec import Meta

from wirework.errors import Problem, ValidationError
from wirework.json import JsonAdapter


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Item(msgspec.Struct):
    name: str
    price: Annotated[int, Meta(gt=0, le=100)] = 1


class Order(msgspec.Struct, forbid_unknown_fields=True):
    id: uuid.UUID
    items: Annotated[list[Item], Meta(min_length=1)]
    colour: Colour = Colour.RED
    note: Annotated[str, Meta(min_length=2, max_length=3, pattern="^a")] | None = None


class Range(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        assert self.low != 13, "unlucky"
        if self.low > self.high:
            raise ValueError("low must not be above high")
        if self.low == 99:
            raise TypeError("secret internals")


class Ranges(msgspec.Struct):
    ranges: list[Range]
    name: str


class Square(msgspec.Struct, tag="square", tag_field="kind"):
    side: int


class Circle(msgspec.Struct, tag="circle", tag_field="kind"):
    radius: int


class One(msgspec.Struct, array_like=True, tag=1):
    value: int


class Two(msgspec.Struct, array_like=True, tag=2):
    value: str


@dataclasses.dataclass
class Person:
    name: str
    age: int = 0


class Options(TypedDict):
    size: int


class Version(NamedTuple):
    major: int
    minor: int


@attrs.define
class Account:
    name: str = attrs.field(validator=attrs.validators.in_(["Ada", "Bob"]))


def problems(adapter: JsonAdapter, data: str, type_: Any) -> list[Problem]:
    with pytest.raises(ValidationError) as caught:
        adapter.decode(data, type_)
    return caught.value.problems


def brief(found: list[Problem]) -> list[tuple[list[str | int], str]]:
    return [(problem["loc"], problem["type"]) for problem in found]


def test_every_problem_of_a_nested_model_is_listed(adapter: JsonAdapter) -> None:
    data = (
        '{"id":5,"items":[{"price":0},{"name":1,"price":101},7],"colour":"pink",'
        '"note":"bcde","more":1}'
    )
    assert problems(adapter, data, Order) == [
        {"loc": ["id"], "type": "uuid_type", "msg": "Input should be a valid UUID"},
        {"loc": ["items", 0, "name"], "type": "missing", "msg": "Field required"},
        {
            "loc": ["items", 0, "price"],
            "type": "greater_than",
            "msg": "Input should be greater than 0",
        },
        {
            "loc": ["items", 1, "name"],
            "type": "string_type",
            "msg": "Input should be a valid string",
        },
        {
            "loc": ["items", 1, "price"],
            "type": "less_than_equal",
            "msg": "Input should be less than or equal to 100",
        },
        {"loc": ["items", 2], "type": "model_type", "msg": "Input should be an object"},
        {"loc": ["colour"], "type": "enum", "msg": "Input should be 'red', 'blue' or 'green'"},
        {
            "loc": ["note"],
            "type": "string_too_long",
            "msg": "String should have at most 3 characters",
        },
        {
            "loc": ["note"],
            "type": "string_pattern_mismatch",
            "msg": "String should match pattern '^a'",
        },
        {"loc": ["more"], "type": "extra_forbidden", "msg": "Extra inputs are not permitted"},
    ]


Title = Annotated[str, Meta(title="a title")]

CASES: list[tuple[Any, str, list[tuple[list[str | int], str]]]] = [
    (None, "1", [([], "none_required")]),
    (bool, "1", [([], "bool_type")]),
    (int, '"1"', [([], "int_type")]),
    (int, "1.5", [([], "int_type")]),
    (int, "true", [([], "int_type")]),
    (float, '"1"', [([], "float_type")]),
    (str, "1", [([], "string_type")]),
    (bytes, "1", [([], "bytes_type")]),
    (bytes, '"!"', [([], "bytes_invalid_encoding")]),
    (Annotated[bytes, Meta(min_length=2)], '"YQ=="', [([], "bytes_too_short")]),
    (dt.datetime, "1", [([], "datetime_type")]),
    (dt.datetime, '"x"', [([], "datetime_parsing")]),
    (Annotated[dt.datetime, Meta(tz=True)], '"2026-01-02T03:04:05"', [([], "timezone_aware")]),
    (Annotated[dt.time, Meta(tz=False)], '"03:04:05Z"', [([], "timezone_naive")]),
    (dt.date, '"2026-02-30"', [([], "date_parsing")]),
    (dt.time, '"25:00:00"', [([], "time_parsing")]),
    (dt.timedelta, '"x"', [([], "time_delta_parsing")]),
    (dt.timedelta, "1", [([], "time_delta_type")]),
    (uuid.UUID, '"x"', [([], "uuid_parsing")]),
    (Decimal, '"x"', [([], "decimal_parsing")]),
    (Decimal, "[]", [([], "decimal_type")]),
    (Path, "1", [([], "path_type")]),
    (Literal["a", "b"], '"c"', [([], "literal_error")]),
    (Literal[1, None], "2", [([], "literal_error")]),
    (Colour, "1", [([], "enum")]),
    (Annotated[int, Meta(multiple_of=5)], "7", [([], "multiple_of")]),
    (Annotated[float, Meta(ge=1, lt=2)], "0.5", [([], "greater_than_equal")]),
    (Annotated[float, Meta(ge=1, lt=2)], "2", [([], "less_than")]),
    (list[int], "{}", [([], "list_type")]),
    (list[int], '[1,"a",null]', [([1], "int_type"), ([2], "int_type")]),
    (Annotated[list[int], Meta(max_length=1)], "[1,2]", [([], "too_long")]),
    (set[int], "1", [([], "set_type")]),
    (set[Any], "[[1]]", [([0], "set_item_not_hashable")]),
    (frozenset[str], "[1]", [([0], "string_type")]),
    (tuple[int, str], "[1]", [([1], "missing")]),
    (tuple[int, str], "[1,2,3]", [([1], "string_type"), ([], "too_long")]),
    (tuple[int, str], "1", [([], "tuple_type")]),
    (tuple[int, ...], '["a"]', [([0], "int_type")]),
    (dict[str, int], "[]", [([], "dict_type")]),
    (dict[int, int], '{"a":"b"}', [(["a", "[key]"], "int_parsing"), (["a"], "int_type")]),
    (Annotated[dict[str, int], Meta(min_length=1)], "{}", [([], "too_short")]),
    (Item, "[]", [(["__model__"], "model_type")]),
    (Person, "{}", [(["name"], "missing")]),
    (Person, "1", [(["__model__"], "dataclass_type")]),
    (Options, '{"size":null}', [(["size"], "int_type")]),
    (Options, "1", [(["__model__"], "dict_type")]),
    (Version, '["a"]', [([0], "int_type"), ([1], "missing")]),
    (Version, "{}", [(["__model__"], "named_tuple_type")]),
    (Item | None, "5", [(["__model__"], "model_type")]),
    (int | str, "[]", [([], "int_type"), ([], "string_type")]),
    (int | list[int], '["a"]', [([0], "int_type")]),
    (list[int | None], '[null,"a"]', [([1], "int_type")]),
    (Square | Circle, "{}", [(["__model__"], "union_tag_not_found")]),
    (Square | Circle, '{"kind":"star"}', [(["__model__"], "union_tag_invalid")]),
    (Square | Circle, '{"kind":"circle","radius":"a"}', [(["radius"], "int_type")]),
    (list[Square | Circle], '[{"kind":1}]', [([0], "union_tag_invalid")]),
    (Square, '{"kind":"circle"}', [(["side"], "missing"), (["kind"], "literal_error")]),
    (One | Two, "[2,5]", [([1], "string_type")]),
    (One | Two, "[3]", [(["__model__"], "union_tag_invalid")]),
    (One | Two, "[]", [(["__model__"], "union_tag_not_found")]),
    (Range, '{"low":2,"high":1}', [(["__model__"], "value_error")]),
    (Range, '{"low":13,"high":14}', [(["__model__"], "assertion_error")]),
    (
        Ranges,
        '{"ranges":[{"low":2,"high":1},{"low":"a"}],"name":1}',
        [
            (["ranges", 0, "__model__"], "value_error"),
            (["ranges", 1, "low"], "int_type"),
            (["ranges", 1, "high"], "missing"),
            (["name"], "string_type"),
        ],
    ),
    (dict[str, dict[bool, int]], '{"a":{"true":1}}', [([], "value_error")]),
    (set[tuple[int, int]], '[[1,2],["a",1]]', [([1, 0], "int_type")]),
    (set[Any], "[1,{}]", [([1], "set_item_not_hashable")]),
    (Annotated[list[Title | None], Meta(min_length=1)], '["x",5]', [([1], "string_type")]),
    (Account, '{"name":"Eve"}', [(["__model__"], "value_error")]),
]


@pytest.mark.parametrize(("type_", "data", "expected"), CASES, ids=lambda case: str(case)[:40])
def test_a_misfit_has_its_place_and_kind(
    adapter: JsonAdapter, type_: Any, data: str, expected: list[tuple[list[str | int], str]]
) -> None:
    assert brief(problems(adapter, data, type_)) == expected


def test_a_validator_speaks_its_own_words(adapter: JsonAdapter) -> None:
    (problem,) = problems(adapter, '{"low":2,"high":1}', Range)
    assert problem["msg"] == "Value error, low must not be above high"


def test_a_type_error_in_a_validator_says_nothing_of_the_program(adapter: JsonAdapter) -> None:
    (problem,) = problems(adapter, '{"low":99,"high":100}', Range)
    assert problem["loc"] == ["__model__"]
    assert "secret" not in problem["msg"]


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str


def test_places_are_named_as_on_the_wire(adapter: JsonAdapter) -> None:
    assert brief(problems(adapter, "{}", Renamed)) == [(["firstName"], "missing")]


class Odd(enum.Enum):
    ONE = "one"

    @classmethod
    def _missing_(cls, value: object) -> Odd | None:
        return cls.ONE if value == "1" else None


def test_an_enum_may_know_more_names(adapter: JsonAdapter) -> None:
    assert adapter.decode('"1"', Odd) is Odd.ONE
    assert brief(problems(adapter, '"2"', Odd)) == [([], "enum")]


def test_at_most_a_hundred_problems_are_listed(adapter: JsonAdapter) -> None:
    with pytest.raises(ValidationError) as caught:
        adapter.decode("[" + ",".join(["true"] * 1000) + "]", list[str])
    assert len(caught.value.problems) == 100

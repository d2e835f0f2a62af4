from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from wirework.errors import ValidationError
from wirework.json import JsonAdapter


class Level(enum.IntEnum):
    LOW = 1


class Size(enum.Enum):
    BIG = "big"


class Form(msgspec.Struct):
    name: str
    age: int = 18
    nick: str = "none"
    day: dt.date | None = None
    agreed: bool = False
    tags: list[str] = []


@dataclasses.dataclass
class Todo:
    title: str
    done: bool = False


CASES: list[tuple[Any, Any, Any]] = [
    ("5", int, 5),
    ("5.5", float, 5.5),
    ("on", bool, True),
    ("Off", bool, False),
    ("true", bool, True),
    ("0", bool, False),
    ("no", bool | None, False),
    ("", bool | None, None),
    ("", int | None, None),
    ("", str | None, ""),
    ("2026-01-02", dt.date, dt.date(2026, 1, 2)),
    ("2026-01-02T03:04", dt.datetime, dt.datetime(2026, 1, 2, 3, 4)),
    ("03:04", dt.time, dt.time(3, 4)),
    ("1.50", Decimal, Decimal("1.50")),
    ("1", Level, Level.LOW),
    ("2", Literal[1, 2], 2),
    ("a", list[str], ["a"]),
    (["1", "2"], list[int], [1, 2]),
    ("3", set[int], {3}),
    (["1", "on"], tuple[int, bool], (1, True)),
    ({"a": "on"}, dict[str, bool], {"a": True}),
    ("00000000-0000-0000-0000-000000000001", uuid.UUID, uuid.UUID(int=1)),
    ("5", int | str, "5"),
    ("5", Any, "5"),
    ("/a", Path, Path("/a")),
    ("on", Annotated[bool, msgspec.Meta(title="agreed")], True),
    ("", Literal["", "a"] | None, ""),
    ("", Annotated[str, msgspec.Meta(title="a")] | None, ""),
    ("", Size | None, None),
    (None, list[int] | None, None),
    ({"name": "", "age": "", "nick": "", "day": ""}, Form, Form(name="", nick="")),
    ({"name": "a", "agreed": "on", "tags": "x"}, Form, Form("a", agreed=True, tags=["x"])),
    ({"title": "t", "done": "on"}, Todo, Todo("t", True)),
    ([{"title": "t", "done": "1"}], list[Todo], [Todo("t", True)]),
]


@pytest.mark.parametrize(("value", "type_", "expected"), CASES, ids=lambda case: str(case)[:40])
def test_form_fields_are_coerced(
    adapter: JsonAdapter, value: Any, type_: Any, expected: Any
) -> None:
    found = adapter.convert(value, type_, strict=False)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        ("x", int, "int_parsing"),
        ("x", float, "float_parsing"),
        ("maybe", bool, "bool_parsing"),
        ("", int, "int_parsing"),
        ("x", dt.date, "date_parsing"),
        (["x"], tuple[int, int], "int_parsing"),
        ("x", dict[str, int], "dict_type"),
        ("x", Todo, "dataclass_type"),
        (5, list[int], "list_type"),
        (["1"], tuple[int, int], "missing"),
        ({"title": "t", "done": ""}, list[Todo], "list_type"),
    ],
)
def test_what_cannot_be_coerced_is_a_problem(
    adapter: JsonAdapter, value: Any, type_: Any, expected: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        adapter.converter(type_, strict=False)(value)
    assert caught.value.problems[0]["type"] == expected


def test_the_fields_of_the_caller_are_left_alone(adapter: JsonAdapter) -> None:
    fields = {"name": "a", "age": "", "agreed": "on"}
    adapter.convert(fields, Form, strict=False)
    assert fields == {"name": "a", "age": "", "agreed": "on"}


def test_json_is_not_coerced(adapter: JsonAdapter) -> None:
    with pytest.raises(ValidationError):
        adapter.decode('"5"', int)
    with pytest.raises(ValidationError):
        adapter.convert("on", bool)

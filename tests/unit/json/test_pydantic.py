from __future__ import annotations

import datetime as dt
import subprocess
import sys
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from wirework.errors import MalformedMessage, Problem, ValidationError
from wirework.json import JsonAdapter, readable


class Line(BaseModel):
    sku: str
    count: int = Field(gt=0, default=1)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: uuid.UUID
    lines: list[Line]
    due: dt.date | None = None

    @model_validator(mode="after")
    def has_lines(self) -> Order:
        if not self.lines:
            raise ValueError("an order needs lines")
        return self


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    at: dt.datetime
    price: Decimal


class Aliased(BaseModel):
    first_name: str = Field(alias="firstName")


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@pydantic_dataclass
class Size:
    width: int

    @field_validator("width")
    @classmethod
    def is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd")
        return value


class Parcel(msgspec.Struct):
    order: Order
    spare: list[Line] = []
    extra: Line | None = None


class Anything(BaseModel):
    value: object


ID = uuid.UUID(int=1)
ORDER = Order(id=ID, lines=[Line(sku="a")])
TEXT = f'{{"id":"{ID}","lines":[{{"sku":"a","count":1}}],"due":null}}'


@pytest.mark.parametrize(
    ("text", "type_", "expected"),
    [
        (TEXT, Order, ORDER),
        (f"[{TEXT}]", list[Order], [ORDER]),
        (f'{{"a":{TEXT}}}', dict[str, Order], {"a": ORDER}),
        ("null", Order | None, None),
        (f'{{"order":{TEXT},"spare":[{{"sku":"b"}}]}}', Parcel, Parcel(ORDER, [Line(sku="b")])),
        (
            '{"at":"2026-01-02T03:04:05Z","price":"1.50"}',
            Strict,
            Strict(at=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), price=Decimal("1.50")),
        ),
        ('{"firstName":"Ada"}', Aliased, Aliased(firstName="Ada")),
        ('{"kind":"dog","name":"Rex"}', Pet, Dog(kind="dog", name="Rex")),
        ('[{"kind":"cat","lives":9}]', list[Pet], [Cat(kind="cat", lives=9)]),
        ('{"kind":"cat","lives":9}', Cat | Dog, Cat(kind="cat", lives=9)),
        ("null", Pet | None, None),
        ('{"width":2}', Size, Size(width=2)),
        ('[{"width":2},null]', list[Size | None], [Size(width=2), None]),
        ("3", Annotated[int, Field(gt=2)], 3),
        ("1267650600228229401496703205376", Anything, None),
    ],
    ids=lambda case: str(case)[:30],
)
def test_pydantic_types_are_decoded(
    adapter: JsonAdapter, text: str, type_: Any, expected: Any
) -> None:
    wrapped = f'{{"value":{text}}}' if type_ is Anything else text
    found = adapter.decode(wrapped, type_)
    assert found == (Anything(value=2**100) if type_ is Anything else expected)


def brief(found: list[Problem]) -> list[tuple[list[str | int], str]]:
    assert all(set(problem) == {"loc", "type", "msg"} for problem in found)
    return [(problem["loc"], problem["type"]) for problem in found]


@pytest.mark.parametrize(
    ("text", "type_", "expected"),
    [
        (
            '{"id":"x","lines":[{"count":0}],"more":1}',
            Order,
            [
                (["id"], "uuid_parsing"),
                (["lines", 0, "sku"], "missing"),
                (["lines", 0, "count"], "greater_than"),
                (["more"], "extra_forbidden"),
            ],
        ),
        (f'{{"id":"{ID}","lines":[]}}', Order, [(["__model__"], "value_error")]),
        ("[]", Order, [(["__model__"], "model_type")]),
        (
            f'{{"order":{{"id":"{ID}","lines":[]}},"spare":[{{}}],"extra":5}}',
            Parcel,
            [
                (["order", "__model__"], "value_error"),
                (["spare", 0, "sku"], "missing"),
                (["extra"], "model_type"),
            ],
        ),
        ('{"kind":"cow"}', Pet, [([], "union_tag_invalid")]),
        ('[{"kind":"cat"}]', list[Pet], [([0, "cat", "lives"], "missing")]),
        ('{"width":3}', Size, [(["width"], "value_error")]),
        ('{"width":"a"}', Size, [(["width"], "int_parsing")]),
        ("1", Annotated[int, Field(gt=2)], [([], "greater_than")]),
    ],
    ids=lambda case: str(case)[:30],
)
def test_the_problems_of_pydantic_are_passed_on(
    adapter: JsonAdapter, text: str, type_: Any, expected: list[tuple[list[str | int], str]]
) -> None:
    with pytest.raises(ValidationError) as caught:
        adapter.decode(text, type_)
    assert brief(caught.value.problems) == expected


@pytest.mark.parametrize("text", ['{"value":NaN}', '{"value":', '{"value":"\\ud800"}'])
def test_a_model_does_not_read_what_is_not_json(adapter: JsonAdapter, text: str) -> None:
    with pytest.raises(MalformedMessage):
        adapter.decode(text, Anything)


def test_nesting_that_pydantic_cannot_follow_is_malformed(adapter: JsonAdapter) -> None:
    with pytest.raises(MalformedMessage, match="nested too deeply"):
        adapter.decode('{"value":' + "[" * 400 + "]" * 400 + "}", Anything)


def test_form_fields_are_coerced_by_pydantic(adapter: JsonAdapter) -> None:
    fields = {"sku": "a", "count": "5"}
    assert adapter.convert(fields, Line, strict=False) == Line(sku="a", count=5)
    with pytest.raises(ValidationError) as caught:
        adapter.convert({"count": "x"}, Line, strict=False)
    assert brief(caught.value.problems) == [(["sku"], "missing"), (["count"], "int_parsing")]


class Secret(msgspec.Struct):
    word: SecretStr


def test_pydantic_types_are_encoded_wherever_they_sit(adapter: JsonAdapter) -> None:
    assert adapter.encode(ORDER).decode() == TEXT
    assert adapter.encode([{"a": ORDER}]).decode() == f'[{{"a":{TEXT}}}]'
    parcel = f'{{"order":{TEXT},"spare":[],"extra":null}}'
    assert adapter.encode(Parcel(ORDER)).decode() == parcel
    assert adapter.encode(Aliased(firstName="Ada")) == b'{"firstName":"Ada"}'
    assert adapter.encode(Size(width=2)) == b'{"width":2}'
    assert adapter.encode(Secret(SecretStr("hush"))) == b'{"word":"**********"}'


class UncheckedUnion(msgspec.Struct):
    pet: Pet


class UncheckedBound(msgspec.Struct):
    count: Annotated[int, Field(gt=0)]


class UncheckedDataclass(msgspec.Struct):
    size: list[Size]


@pytest.mark.parametrize("type_", [UncheckedUnion, UncheckedBound, UncheckedDataclass])
def test_what_a_struct_would_leave_unchecked_is_refused_at_once(
    adapter: JsonAdapter, type_: Any
) -> None:
    with pytest.raises(TypeError):
        adapter.decoder(type_)


def test_a_type_that_neither_knows_is_refused_at_once(adapter: JsonAdapter) -> None:
    class Thing:
        """No JSON becomes this."""

    with pytest.raises(TypeError, match="Thing"):
        adapter.decoder(Annotated[Thing, Field(description="a thing")])


class Described:
    """Says to pydantic how to read it; pydantic itself may be missing."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(str)


def test_without_pydantic_its_extra_is_named(
    adapter: JsonAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(TypeError, match=r"install wirework\[pydantic\]"):
        adapter.decoder(Described)


class Texts(msgspec.Struct):
    word: SecretStr


def test_a_type_of_pydantic_in_a_struct_is_checked_at_its_field(adapter: JsonAdapter) -> None:
    assert adapter.decode('{"word":"a"}', Texts).word.get_secret_value() == "a"
    with pytest.raises(ValidationError) as caught:
        adapter.decode('{"word":1}', Texts)
    assert brief(caught.value.problems) == [(["word"], "string_type")]


def test_text_that_is_not_unicode_is_refused_by_models(adapter: JsonAdapter) -> None:
    with pytest.raises(ValidationError):
        adapter.convert({"sku": "\ud800"}, Line)


def test_readable_types_become_fields_of_a_generated_struct(adapter: JsonAdapter) -> None:
    fields = [("pet", readable(Pet)), ("size", readable(Size)), ("n", readable(int))]
    payload = msgspec.defstruct("Payload", fields)
    found = adapter.decode('{"pet":{"kind":"cat","lives":1},"size":{"width":2},"n":1}', payload)
    assert msgspec.structs.asdict(found) == {
        "pet": Cat(kind="cat", lives=1),
        "size": Size(width=2),
        "n": 1,
    }


@pytest.mark.parametrize("type_", [int, list[int], dict[str, Line], Line | None, Parcel])
def test_types_that_need_nothing_are_readable_as_they_are(type_: Any) -> None:
    assert readable(type_) is type_


def test_pydantic_and_attrs_are_not_imported_without_need() -> None:
    program = (
        "import sys, msgspec; from wirework.json import adapter_of\n"
        "class S(msgspec.Struct): a: int\n"
        "a = adapter_of('msgspec'); a.encode(a.decode('{\"a\":1}', S)); a.encode({1, 2})\n"
        "print([m for m in ('pydantic', 'attrs', 'orjson') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_the_version_of_pydantic_is_one_that_these_tests_know() -> None:
    assert pydantic.VERSION.startswith("2.")

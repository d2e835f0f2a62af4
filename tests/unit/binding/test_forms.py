from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework import ValidationError
from wirework.binding.forms import form_converter
from wirework.json import MsgspecAdapter

JSON = MsgspecAdapter()


class Size(Enum):
    S = "small"


class Order(msgspec.Struct, kw_only=True):
    name: str
    count: int
    tags: list[str]
    gift: bool
    note: str = ""
    when: date | None = None
    discount: float = 0.5
    extras: set[int] = msgspec.field(default_factory=set)
    insured: bool = True


def read(annotation: Any, form: Any) -> Any:
    return form_converter(JSON, annotation)(form)


def test_strings_become_what_the_fields_say() -> None:
    form = {
        "name": "5",
        "count": "5",
        "tags": ["a", "b"],
        "gift": "on",
        "when": "2026-01-31",
        "discount": "0.25",
        "extras": ["1", "2"],
    }
    assert read(Order, form) == Order(
        name="5",
        count=5,
        tags=["a", "b"],
        gift=True,
        when=date(2026, 1, 31),
        discount=0.25,
        extras={1, 2},
    )


def test_what_html_leaves_out_is_filled_in() -> None:
    order = read(Order, {"name": "", "count": "1"})
    assert order == Order(name="", count=1, tags=[], gift=False)
    assert order.insured


def test_one_value_for_a_list_is_a_list_of_one() -> None:
    order = read(Order, {"name": "x", "count": "1", "tags": "a", "extras": "7"})
    assert order.tags == ["a"]
    assert order.extras == {7}


def test_an_empty_field_counts_as_absent_where_it_cannot_be_text() -> None:
    order = read(Order, {"name": "x", "count": "1", "when": "", "discount": "", "gift": ""})
    assert order.when is None
    assert order.discount == 0.5
    assert order.gift is False
    with pytest.raises(ValidationError) as caught:
        read(Order, {"name": "x", "count": ""})
    assert [problem["loc"] for problem in caught.value.problems] == [["count"]]


def test_every_problem_of_a_form_is_listed() -> None:
    with pytest.raises(ValidationError) as caught:
        read(Order, {"count": "many", "discount": "x"})
    assert {problem["loc"][0] for problem in caught.value.problems} == {
        "name",
        "count",
        "discount",
    }


@dataclasses.dataclass
class DataOrder:
    count: int
    gift: bool
    tags: list[int]
    note: str = "none"
    more: list[int] = dataclasses.field(default_factory=list)


@attrs.define
class AttrsOrder:
    count: int
    gift: bool
    tags: list[int]
    note: str = "none"


class PydanticOrder(pydantic.BaseModel):
    count: int
    gift: bool
    tags: list[int]
    note: str = "none"


@pytest.mark.parametrize("model", [DataOrder, AttrsOrder, PydanticOrder])
def test_forms_fill_every_kind_of_model(model: Any) -> None:
    expected = model(count=5, gift=False, tags=[], note="")
    assert read(model, {"count": "5", "note": ""}) == expected


def test_forms_fill_pydantic_models_that_are_local_to_a_function() -> None:
    class Local(pydantic.BaseModel):
        size: Size
        gift: bool

    class Outer(pydantic.BaseModel):
        gift: bool
        local: Local | None = None

    assert read(Outer, {"local": ""}) == Outer(gift=False)


class Keys(TypedDict):
    count: int
    gift: bool
    tags: list[int]
    note: NotRequired[str]


def test_forms_fill_typed_dicts() -> None:
    assert read(Keys, {"count": "5", "tags": "1"}) == {"count": 5, "gift": False, "tags": [1]}


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "5", 5),
        (float, "5", 5.0),
        (bool, "true", True),
        (bool, "off", False),
        (str, "5", "5"),
        (int | None, "5", 5),
        (UUID, str(UUID(int=1)), UUID(int=1)),
        (Size, "small", Size.S),
        (Literal["a", "b"], "a", "a"),
        (list[int], ["1", "2"], [1, 2]),
        (dict[str, int], {"a": "1"}, {"a": 1}),
        (Annotated[int, msgspec.Meta(ge=1)], "1", 1),
        (Any, {"a": "1"}, {"a": "1"}),
    ],
)
def test_a_value_by_itself_is_coerced(annotation: Any, text: Any, value: Any) -> None:
    assert read(annotation, text) == value


def test_a_form_that_is_no_mapping_does_not_fit_a_model() -> None:
    with pytest.raises(ValidationError):
        read(Order, ["name"])


def test_the_form_itself_is_left_as_it_was() -> None:
    form = {"name": "x", "count": "1", "tags": "a", "when": ""}
    read(Order, form)
    assert form == {"name": "x", "count": "1", "tags": "a", "when": ""}


def test_a_union_of_models_is_read_without_filling_in() -> None:
    class Go(msgspec.Struct, tag="go"):
        far: int

    class Stop(msgspec.Struct, tag="stop"):
        pass

    assert read(Go | Stop, {"type": "go", "far": "5"}) == Go(5)
    assert read(Order | None, {"name": "x", "count": "1"}).tags == []


text = st.text(st.characters(exclude_categories=["Cs"]))
names = st.sampled_from([*Order.__struct_fields__, "more"]) | text


@given(st.dictionaries(names, text | st.lists(text, max_size=3)))
def test_no_dict_of_strings_crashes_a_form(form: Mapping[str, Any]) -> None:
    try:
        order = read(Order, form)
    except ValidationError as error:
        problems = error.problems
        assert problems
    else:
        assert isinstance(order, Order)


@given(
    st.builds(
        Order,
        name=text,
        count=st.integers(-(2**63), 2**63 - 1),
        tags=st.lists(text, max_size=3),
        gift=st.booleans(),
        note=text,
        when=st.none() | st.dates(),
        discount=st.floats(allow_nan=False, allow_infinity=False),
        extras=st.sets(st.integers(-(2**63), 2**63 - 1), max_size=3),
        insured=st.booleans(),
    )
)
def test_values_that_fit_arrive_equal_through_a_form(order: Order) -> None:
    form: dict[str, Any] = {
        "name": order.name,
        "count": str(order.count),
        "note": order.note,
        "when": order.when.isoformat() if order.when else "",
        "discount": repr(order.discount),
        "insured": "true" if order.insured else "false",
    }
    if order.gift:
        form["gift"] = "on"
    if order.tags:
        form["tags"] = order.tags if len(order.tags) > 1 else order.tags[0]
    if order.extras:
        form["extras"] = [str(number) for number in order.extras]
    assert read(Order, form) == order


class Loose(TypedDict):
    name: NotRequired[str]
    tags: NotRequired[list[str]]
    gift: NotRequired[bool]
    count: NotRequired[int]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"name": ""}, {"name": ""}),
        ({"tags": "a"}, {"tags": ["a"]}),
        ({"gift": ""}, {"gift": False}),
        ({"count": ""}, {}),
        ({}, {}),
    ],
    ids=["text", "list", "checkbox", "number", "nothing"],
)
def test_a_field_that_is_not_required_is_read_like_one_that_is(form: Any, expected: Any) -> None:
    assert read(Loose, form) == expected

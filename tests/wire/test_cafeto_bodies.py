"""What Cafeto's messages and answers may hold: DTOs of every kind, statuses, lists of errors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from tests.wire.serving import serving
from wirework import App, Reject, replies
from wirework.dialects import Status
from wirework.replies import Reply
from wirework.testing import TestClient

STATUSES: dict[str, int] = {
    "Ok": 200,
    "Created": 201,
    "NoContent": 204,
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "Conflict": 409,
    "InternalServerError": 500,
    "NotImplementedStatus": 501,
    "ServiceUnavailable": 503,
    "GatewayTimeout": 504,
}


async def answers(app: App, *messages: Any) -> list[Any]:
    """Return what a connection answers to each message."""
    async with TestClient(app) as client, client.connect("/") as ws:
        found = []
        for message in messages:
            await ws.send_json(message)
            found.append(await ws.receive_json())
        return found


async def errors(app: App, message: Any) -> list[Any]:
    """Return the errorList of the answer, whose status is 400, as (loc, type)."""
    (answer,) = await answers(app, message)
    assert answer["statusCode"] == 400
    found = answer["body"]["errorList"]
    assert all(entry.keys() == {"loc", "type", "msg"} for entry in found)
    return [(entry["loc"], entry["type"]) for entry in found]


def app_of(kind: Any, **options: Any) -> App:
    """Return an application that sends back what it reads as a `kind`."""
    app = App(dialect=Status(**options))

    async def on_receive(data: Any) -> Any:
        return data

    on_receive.__annotations__["data"] = kind
    app.ws("/")(on_receive)
    return app


# --- statuses -------------------------------------------------------------------------------------


async def test_all_thirteen_statuses_leave_with_their_body() -> None:
    app = App(dialect=Status())

    @app.ws("/")
    async def on_receive(name: str) -> Reply:
        make = getattr(replies, name)
        reply = make() if name == "NoContent" else make({"from": name})
        assert isinstance(reply, Reply)
        return reply

    async with serving(app) as server, server.connect("/") as peer:
        for name, status in STATUSES.items():
            await peer.send(json.dumps({"name": name}))
            body = None if status == 204 else {"from": name}
            assert json.loads(await peer.receive()) == {"statusCode": status, "body": body}


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({"include": {"a"}}, {"a": 1}),
        ({"exclude": {"a"}}, {"b": 2, "c": 3}),
        ({"include": {"a", "b"}, "exclude": {"b"}}, {"a": 1}),
    ],
    ids=["include", "exclude", "both"],
)
async def test_a_reply_says_which_fields_leave(
    options: dict[str, Any], body: dict[str, int]
) -> None:
    class Numbers(msgspec.Struct):
        a: int = 1
        b: int = 2
        c: int = 3

    app = App(dialect=Status())

    @app.ws("/")
    async def on_receive(data: dict[str, int]) -> Reply:
        return Reply(Numbers(), status=201, **options)

    assert await answers(app, {"data": {}}) == [{"statusCode": 201, "body": body}]


# --- kinds of DTOs --------------------------------------------------------------------------------


class AsStruct(msgspec.Struct):
    message: str
    count: int = 1
    tags: list[str] = []
    note: str | None = None


@dataclass
class AsDataclass:
    message: str
    count: int = 1
    tags: list[str] = field(default_factory=list)
    note: str | None = None


@attrs.define
class AsAttrs:
    message: str
    count: int = 1
    tags: list[str] = attrs.field(factory=list)
    note: str | None = None


class AsPydantic(pydantic.BaseModel):
    message: str
    count: int = pydantic.Field(default=1, strict=True)
    tags: list[str] = []
    note: str | None = None


class AsTypedDict(TypedDict):
    message: str
    count: NotRequired[int]
    tags: NotRequired[list[str]]
    note: NotRequired[str | None]


KINDS = [AsStruct, AsDataclass, AsAttrs, AsPydantic, AsTypedDict]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_a_dto_of_any_kind_is_read_validated_and_said(kind: Any) -> None:
    whole = {"message": "hi", "count": 2, "tags": ["a"], "note": "n"}
    least = {"message": "hi"}
    defaults = {} if kind is AsTypedDict else {"count": 1, "tags": [], "note": None}
    first, second = await answers(app_of(kind), whole, least)
    assert first == {"statusCode": 200, "body": whole}
    assert second == {"statusCode": 200, "body": {**least, **defaults}}
    wrong = {"count": "5", "tags": ["a", 1], "note": None}
    assert sorted(await errors(app_of(kind), wrong)) == [
        (["count"], "int_type"),
        (["message"], "missing"),
        (["tags", 1], "string_type"),
    ]


@pytest.mark.parametrize("kind", KINDS[:4], ids=lambda kind: kind.__name__)
async def test_fields_that_are_left_out_have_their_defaults(kind: Any) -> None:
    app = App(dialect=Status())

    async def on_receive(data: Any) -> Any:
        said = [data.message, data.count, [*data.tags], data.note]
        data.tags.append("of this message only")
        return said

    on_receive.__annotations__["data"] = kind
    app.ws("/")(on_receive)
    found = await answers(app, {"message": "hi"}, {"message": "hi", "note": None})
    assert [answer["body"] for answer in found] == [["hi", 1, [], None]] * 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_what_is_no_object_is_an_error_of_the_whole_model(kind: Any) -> None:
    ((loc, _),) = await errors(app_of(kind), [1])
    assert loc == ["__model__"]


class Item(msgspec.Struct):
    name: str
    price: Annotated[float, msgspec.Meta(gt=0)]


class Basket(msgspec.Struct):
    items: list[Item]
    by_shelf: dict[str, Item] = {}
    gift: Item | None = None


async def test_errors_inside_lists_objects_and_nested_dtos_say_where() -> None:
    message = {
        "items": [{"price": 1}, {"name": "tea", "price": -1}],
        "by_shelf": {"top": {"name": 5, "price": 2}},
        "gift": {},
    }
    assert await errors(app_of(Basket), message) == [
        (["items", 0, "name"], "missing"),
        (["items", 1, "price"], "greater_than"),
        (["by_shelf", "top", "name"], "string_type"),
        (["gift", "name"], "missing"),
        (["gift", "price"], "missing"),
    ]


# --- discriminated unions -------------------------------------------------------------------------


class Text(msgspec.Struct, tag="text", tag_field="kind"):
    text: str


class Move(msgspec.Struct, tag="move", tag_field="kind"):
    x: int
    y: int


class TextModel(pydantic.BaseModel):
    kind: Literal["text"]
    text: str


class MoveModel(pydantic.BaseModel):
    kind: Literal["move"]
    x: int
    y: int


UNIONS = {
    "structs": Text | Move,
    "pydantic": Annotated[TextModel | MoveModel, pydantic.Field(discriminator="kind")],
}


@pytest.mark.parametrize("union", UNIONS)
async def test_a_union_is_told_apart_by_its_tag(union: str) -> None:
    messages = [{"kind": "text", "text": "hi"}, {"kind": "move", "x": 1, "y": 2}]
    found = await answers(app_of(UNIONS[union]), *messages)
    assert [answer["body"] for answer in found] == messages


@pytest.mark.parametrize("union", UNIONS)
@pytest.mark.parametrize("message", [{"kind": "dance"}, {"kind": "move", "x": 1}, {}])
async def test_what_fits_no_member_of_a_union_is_answered(
    union: str, message: dict[str, Any]
) -> None:
    ((loc, _),) = await errors(app_of(UNIONS[union]), message)
    if message.get("kind") == "move":
        assert loc[-1] == "y"


# --- validators -----------------------------------------------------------------------------------


class Period(pydantic.BaseModel):
    first: int
    last: int = pydantic.Field(le=31)
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def _is_lower(cls, name: str) -> str:
        if name != name.lower():
            raise ValueError("lower case, please")
        return name

    @pydantic.model_validator(mode="after")
    def _is_in_order(self) -> Period:
        if self.last < self.first:
            raise ValueError("the end is before the begin")
        return self


class Plan(pydantic.BaseModel):
    periods: list[Period]


async def test_every_error_of_every_validator_is_listed() -> None:
    (answer,) = await answers(app_of(Period), {"first": "x", "last": 32, "name": "May"})
    assert [(entry["loc"], entry["type"]) for entry in answer["body"]["errorList"]] == [
        (["first"], "int_parsing"),
        (["last"], "less_than_equal"),
        (["name"], "value_error"),
    ]
    assert answer["body"]["errorList"][2]["msg"] == "Value error, lower case, please"


async def test_an_error_of_a_whole_model_is_at_model() -> None:
    period = {"first": 9, "last": 3, "name": "may"}
    (answer,) = await answers(app_of(Period), period)
    text = "Value error, the end is before the begin"
    problem = {"loc": ["__model__"], "type": "value_error", "msg": text}
    assert answer == {"statusCode": 400, "body": {"errorList": [problem]}}
    nested = await errors(app_of(Plan), {"periods": [{"first": 1, "last": 2, "name": "a"}, period]})
    assert nested[0][0][:2] == ["periods", 1]


async def test_an_error_object_has_the_messages_by_place_beside_the_list() -> None:
    app = app_of(Basket, error_object=True)
    ((answer),) = await answers(app, {"items": [{"price": -1}], "gift": 5})
    assert answer["body"]["errorObject"] == {
        "items.0.name": ["Field required"],
        "items.0.price": ["Input should be greater than 0"],
        "gift": ["Input should be an object"],
    }
    assert len(answer["body"]["errorList"]) == 3


async def test_a_rejected_message_has_its_code_and_details_and_a_status_of_its_own() -> None:
    app = App(dialect=Status())

    @app.ws("/")
    async def on_receive(code: int | str) -> None:
        raise Reject(code, "not now", {"until": "noon"})

    first, second = await answers(app, {"code": 409}, {"code": "closed"})
    assert (first["statusCode"], second["statusCode"]) == (409, 400)
    for answer, kind in ((first, "409"), (second, "closed")):
        problem = {"loc": ["__model__"], "type": kind, "msg": "not now"}
        assert answer["body"] == {"errorList": [problem], "details": {"until": "noon"}}

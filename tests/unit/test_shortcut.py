"""Which functions have a short way, and what it reads and says."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from wirework import App, Call, Depends, Validate, WebSocket
from wirework.binding.plan import Plan
from wirework.dialects import Raw, Typed
from wirework.dialects.base import Quick
from wirework.json import JsonAdapter, MsgspecAdapter, StdlibAdapter
from wirework.parameters import message_parameters
from wirework.shortcut import lane_of, shortcut_of, shortcut_to
from wirework.types import Body

JSON = MsgspecAdapter()


class Order(msgspec.Struct):
    item: str


class Louder(MsgspecAdapter):
    """An adapter that says things its own way."""


async def place(order: Order) -> str:
    return order.item


async def with_fields(item: str, count: int) -> str:
    return item * count


async def with_connection(order: Order, ws: WebSocket) -> None: ...


async def without_payload() -> None: ...


async def with_message(order: Order, message: Call) -> None: ...


async def with_data(order: Order, data) -> None: ...  # type: ignore[no-untyped-def]


async def with_dependency(order: Order, number: Annotated[int, Depends(lambda: 5)]) -> None: ...


async def with_check(item: Annotated[str, Validate(lambda item: None)]) -> None: ...


async def by_name(*, item: str) -> None: ...


def in_thread(order: Order) -> None: ...


async def stream(order: Order) -> Any:
    yield order


def plan_of(function: Any = place, body: Body = "json") -> Plan:
    binder = App()._registration.binder
    return binder.compile(function, where="here", body=body, extra=message_parameters(Typed()))


def quick() -> Quick:
    found = Typed().quick(JSON)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "function",
    [place, with_fields, with_connection, without_payload],
    ids=lambda function: function.__name__,
)
def test_a_function_of_what_is_at_hand_has_a_lane(function: Any) -> None:
    found = lane_of(quick(), "place", plan_of(function), JSON)
    assert found is not None
    _, lane = found
    assert (lane.name, lane.function) == ("place", function)


@pytest.mark.parametrize(
    "function",
    [with_message, with_data, with_dependency, with_check, by_name, in_thread, stream],
    ids=lambda function: function.__name__,
)
def test_a_function_of_what_has_to_be_made_has_none(function: Any) -> None:
    assert lane_of(quick(), "place", plan_of(function), JSON) is None


def test_a_call_is_read_by_its_name_in_one_pass() -> None:
    lanes = dict(
        found
        for name, function in (("place", place), ("fields", with_fields))
        if (found := lane_of(quick(), name, plan_of(function), JSON)) is not None
    )
    shortcut = shortcut_to(quick(), lanes)
    call = shortcut.read('{"type": "place", "id": 7, "data": {"item": "tea"}}')
    assert (shortcut.lanes[type(call)].name, call.body, call.id) == ("place", Order("tea"), 7)
    call = shortcut.read('{"data": {"item": "tea", "count": 2}, "type": "fields"}')
    assert (shortcut.lanes[type(call)].name, call.id) == ("fields", None)
    assert (call.body.item, call.body.count) == ("tea", 2)


@pytest.mark.parametrize(
    "json", [Louder(), StdlibAdapter()], ids=["derived adapter", "other adapter"]
)
def test_an_adapter_of_ones_own_is_not_passed_by(json: JsonAdapter) -> None:
    assert lane_of(quick(), "place", plan_of(), json) is None
    shortcut = shortcut_of(Raw("json"), plan_of(), json)
    assert shortcut is not None
    assert shortcut.encode == json.encode


@pytest.mark.parametrize("body", ["value", "form"])
def test_what_is_no_json_text_is_not_read_as_such(body: Any) -> None:
    assert lane_of(quick(), "place", plan_of(body=body), JSON) is None


def test_a_message_without_a_name_is_none_of_a_lane() -> None:
    assert lane_of(quick(), "", plan_of(), JSON) is None

"""Which functions have a short way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wirework import App
from wirework.binding.plan import Plan
from wirework.dialects.base import Quick
from wirework.json import JsonAdapter, MsgspecAdapter, StdlibAdapter
from wirework.shortcut import lane_of
from wirework.types import Body


class Order(msgspec.Struct):
    item: str


class Louder(MsgspecAdapter):
    """An adapter that says things its own way."""


async def place(order: Order) -> str:
    return order.item


def plan_of(body: Body) -> Plan:
    return App()._registration.binder.compile(place, where="here", body=body)


QUICK = Quick(lambda frame: frame, lambda name: lambda id, value: b"")


def test_a_function_that_takes_the_payload_has_a_lane() -> None:
    lane = lane_of(QUICK, "place", plan_of("json"), MsgspecAdapter())
    assert lane is not None
    assert lane.read(b'{"item": "tea"}') == Order("tea")


@pytest.mark.parametrize(
    "json", [Louder(), StdlibAdapter()], ids=["derived adapter", "other adapter"]
)
def test_an_adapter_of_ones_own_is_not_passed_by(json: JsonAdapter) -> None:
    assert lane_of(QUICK, "place", plan_of("json"), json) is None


@pytest.mark.parametrize("body", ["value", "form"])
def test_what_is_no_json_text_is_not_read_as_such(body: Any) -> None:
    assert lane_of(QUICK, "place", plan_of(body), MsgspecAdapter()) is None

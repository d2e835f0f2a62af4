"""A decoded dataclass has its defaults, also when it is encoded again."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from wirework.json import JsonAdapter, MsgspecAdapter, OrjsonAdapter, StdlibAdapter


@dataclass
class Inner:
    n: int
    unit: str = "m"


@dataclass
class Outer:
    name: str = "x"
    inner: Inner | None = None
    many: list[Inner] = field(default_factory=list)
    by_name: dict[str, Inner] = field(default_factory=dict)


@dataclass(slots=True)
class Slotted:
    n: int = 1


class Frame(msgspec.Struct):
    outer: Outer
    slotted: Slotted


ADAPTERS: list[JsonAdapter] = [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()]
SENT = b'{"outer":{"inner":{"n":1},"many":[{"n":2}],"by_name":{"a":{"n":3}}},"slotted":{}}'
ALL = {
    "outer": {
        "name": "x",
        "inner": {"n": 1, "unit": "m"},
        "many": [{"n": 2, "unit": "m"}],
        "by_name": {"a": {"n": 3, "unit": "m"}},
    },
    "slotted": {"n": 1},
}


@pytest.mark.parametrize("json", ADAPTERS, ids=lambda json: json.name)
def test_what_was_decoded_encodes_with_its_defaults(json: JsonAdapter) -> None:
    decoded = json.decode(SENT, Frame)
    assert json.decode(json.encode(decoded)) == ALL
    assert json.decode(json.encode(json.convert(json.decode(SENT), Frame))) == ALL


@pytest.mark.parametrize("json", ADAPTERS, ids=lambda json: json.name)
def test_a_default_of_the_class_is_not_changed_by_what_was_sent(json: JsonAdapter) -> None:
    assert json.decode(b'{"n": 1, "unit": "km"}', Inner).unit == "km"
    assert json.decode(b'{"n": 1}', Inner).unit == Inner.unit == "m"

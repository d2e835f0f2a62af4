from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import pytest

from wirework.errors import SettingsError
from wirework.json import (
    JsonAdapter,
    MsgspecAdapter,
    OrjsonAdapter,
    StdlibAdapter,
    adapter_of,
)


@pytest.mark.parametrize(
    ("name", "cls"),
    [("msgspec", MsgspecAdapter), ("orjson", OrjsonAdapter), ("stdlib", StdlibAdapter)],
)
def test_an_adapter_is_found_by_its_name(name: str, cls: type) -> None:
    found = adapter_of(name)
    assert type(found) is cls
    assert found.name == name


def test_an_adapter_is_taken_as_it_is(adapter: JsonAdapter) -> None:
    assert adapter_of(adapter) is adapter


def test_an_unknown_name_is_answered_with_the_choices() -> None:
    with pytest.raises(SettingsError, match="'msgspec', 'orjson', 'stdlib', got 'ujson'"):
        adapter_of("ujson")


def test_without_orjson_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orjson", None)
    with pytest.raises(SettingsError, match="install orjson"):
        adapter_of("orjson")


def test_many_types_are_decoded_one_after_the_other(adapter: JsonAdapter) -> None:
    for size in range(1, 1100):
        limited = Annotated[int, msgspec.Meta(lt=size)]
        assert adapter.decode(str(size - 1), limited) == size - 1

"""Defaults of dataclasses: msgspec leaves them to the class, and then does not encode them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

__all__ = ["fill_defaults", "needs_defaults"]


def needs_defaults(info: Any) -> bool:
    """Whether values of this type lack a default: plain dataclass fields that have one."""
    return isinstance(info, inspect.DataclassType) and any(
        field.default is not msgspec.NODEFAULT for field in info.fields
    )


def fill_defaults(value: Any) -> Any:
    """Give the dataclass objects in a decoded value the defaults of what was not sent."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own: dict[str, Any] = getattr(value, "__dict__", {})
        for field in dataclasses.fields(value):
            if field.default is not dataclasses.MISSING:
                own.setdefault(field.name, field.default)
    for part in _parts(value):
        fill_defaults(part)
    return value


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    elif isinstance(value, msgspec.Struct):
        yield from (getattr(value, name) for name in value.__struct_fields__)
    elif hasattr(value, "__attrs_attrs__"):
        yield from (getattr(value, field.name) for field in value.__attrs_attrs__)
    elif dataclasses.is_dataclass(value):
        yield from (getattr(value, field.name) for field in dataclasses.fields(value))

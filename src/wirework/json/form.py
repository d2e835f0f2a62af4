"""Form fields are text: bring them nearer to the type before msgspec coerces them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import inspect

__all__ = ["loosen"]

_BOOLS = {
    **dict.fromkeys(("true", "on", "yes", "y", "t", "1"), True),
    **dict.fromkeys(("false", "off", "no", "n", "f", "0"), False),
}

_DATETIME_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_TIME_LOCAL = re.compile(r"\d\d:\d\d")


def loosen(value: Any, info: Any) -> Any:
    """Return `value` with text brought nearer to the type that `info` describes.

    What HTML sends and msgspec does not take: "on" of a checkbox, times without seconds (HTML,
    section 2.3.5), one value where several are possible, "" of an empty field.
    """
    if isinstance(info, inspect.Metadata):
        info = info.type
    visit = _VISITORS.get(type(info))
    return value if visit is None else visit(value, info)


def _bool(value: Any, info: Any) -> Any:
    return _BOOLS.get(value.lower(), value) if isinstance(value, str) else value


def _datetime(value: Any, info: Any) -> Any:
    is_short = isinstance(value, str) and _DATETIME_LOCAL.fullmatch(value)
    return f"{value}:00" if is_short else value


def _time(value: Any, info: Any) -> Any:
    is_short = isinstance(value, str) and _TIME_LOCAL.fullmatch(value)
    return f"{value}:00" if is_short else value


def _array(value: Any, info: Any) -> Any:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return [loosen(item, info.item_type) for item in value]


def _tuple(value: Any, info: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != len(info.item_types):
        return value
    return [loosen(item, part) for item, part in zip(value, info.item_types, strict=True)]


def _dict(value: Any, info: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: loosen(item, info.value_type) for key, item in value.items()}


def _model(value: Any, info: Any) -> Any:
    if not isinstance(value, dict):
        return value
    loose = dict(value)
    for field in info.fields:
        name = field.encode_name
        if name not in value:
            continue
        loose[name] = loosen(value[name], field.type)
        if loose[name] == "" and not field.required and not _takes_text(field.type):
            del loose[name]
    return loose


def _union(value: Any, info: Any) -> Any:
    if value == "" and info.includes_none and not _takes_text(info):
        return None
    members = [item for item in info.types if not isinstance(item, inspect.NoneType)]
    return loosen(value, members[0]) if len(members) == 1 else value


def _takes_text(info: Any) -> bool:
    if isinstance(info, inspect.Metadata):
        return _takes_text(info.type)
    if isinstance(info, inspect.UnionType):
        return any(_takes_text(item) for item in info.types)
    if isinstance(info, inspect.LiteralType):
        return "" in info.values
    if isinstance(info, inspect.EnumType):
        return any(member.value == "" for member in info.cls)
    return isinstance(info, _TEXTS)


_TEXTS = (
    inspect.AnyType,
    inspect.StrType,
    inspect.BytesType,
    inspect.ByteArrayType,
    inspect.CustomType,
    inspect.RawType,
)

_VISITORS: dict[type, Callable[[Any, Any], Any]] = {
    inspect.BoolType: _bool,
    inspect.DateTimeType: _datetime,
    inspect.TimeType: _time,
    inspect.ListType: _array,
    inspect.VarTupleType: _array,
    inspect.SetType: _array,
    inspect.FrozenSetType: _array,
    inspect.TupleType: _tuple,
    inspect.DictType: _dict,
    inspect.StructType: _model,
    inspect.DataclassType: _model,
    inspect.TypedDictType: _model,
    inspect.UnionType: _union,
}

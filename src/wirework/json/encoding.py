"""Encoding: what msgspec cannot say by itself, and where in a value the trouble sits."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import msgspec

from .foreign import dump

__all__ = ["UNENCODABLE", "encode", "explain", "to_builtins"]

UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What encoders raise: ValueError for lone surrogates, integers too long and pydantic's own."""


def represent(value: Any) -> Any:
    """Return a value of a type that msgspec does not know as one it knows: its `enc_hook`.

    Raises:
        TypeError: nobody knows it.
    """
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "__get_pydantic_core_schema__"):
        return dump(value)
    for base, reduce in _REDUCTIONS.items():
        if isinstance(value, base) and type(value) not in (base, bool):
            return reduce(value)
    raise TypeError(type(value).__qualname__)


encode = msgspec.json.Encoder(enc_hook=represent).encode
"""Encode with msgspec; raises one of `UNENCODABLE`, which `explain` turns into words."""


def to_builtins(value: Any) -> Any:
    """Return `value` as dicts with text keys, lists, text, numbers, booleans and None."""
    return msgspec.to_builtins(value, enc_hook=represent, str_keys=True)


def explain(value: object, error: Exception) -> TypeError:
    """Return the TypeError that says what in `value` cannot be encoded, and where."""
    if isinstance(error, RecursionError):
        return TypeError("cannot encode as JSON: nested too deeply, or a value contains itself")
    path, culprit, reason = _locate("", value, error)
    where = f" at `{path.removeprefix('.')}`" if path else ""
    return TypeError(f"cannot encode {_describe(culprit, reason)}{where} as JSON")


def _locate(path: str, value: object, error: Exception) -> tuple[str, object, Exception]:
    for step, child in _children(value):
        try:
            encode(child)
        except UNENCODABLE as found:
            return _locate(path + step, child, found)
    return path, value, error


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[key {_name(key)}]", _AsKey(key) if _is_bad_key(key) else None
            yield f".{_name(key)}", item
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    else:
        for name in _field_names(value):
            yield f".{name}", getattr(value, name, None)


class _AsKey:
    """A key of a dict that JSON has no words for."""

    def __init__(self, key: object) -> None:
        self.key = key


def _is_bad_key(key: Any) -> bool:
    try:
        encode({key: None})
    except UNENCODABLE:
        return True
    return False


def _field_names(value: object) -> tuple[str, ...]:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value):
        return tuple(field.name for field in dataclasses.fields(value))
    return tuple(field.name for field in getattr(type(value), "__attrs_attrs__", ()))


def _name(key: object) -> str:
    return key if isinstance(key, str) and key.isprintable() else type(key).__qualname__


def _describe(culprit: object, reason: Exception) -> str:
    if isinstance(culprit, _AsKey):
        return f"a dict key of type {type(culprit.key).__qualname__}"
    if isinstance(culprit, str) and isinstance(reason, UnicodeError):
        return "text with a lone surrogate"
    if type(culprit) is int:
        return "an integer of so many digits"
    return f"an object of type {type(culprit).__module__}.{type(culprit).__qualname__}"


def _plain_datetime(value: datetime.datetime) -> datetime.datetime:
    return datetime.datetime.combine(
        _plain_date(value), _plain_time(value.time()), tzinfo=value.tzinfo
    )


def _plain_date(value: datetime.date) -> datetime.date:
    return datetime.date(value.year, value.month, value.day)


def _plain_time(value: datetime.time) -> datetime.time:
    return datetime.time(
        value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold
    )


def _plain_timedelta(value: datetime.timedelta) -> datetime.timedelta:
    return datetime.timedelta(value.days, value.seconds, value.microseconds)


_REDUCTIONS: dict[type, Any] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    datetime.datetime: _plain_datetime,
    datetime.date: _plain_date,
    datetime.time: _plain_time,
    datetime.timedelta: _plain_timedelta,
}
"""Subclasses that msgspec refuses are encoded as what they extend; the order matters."""

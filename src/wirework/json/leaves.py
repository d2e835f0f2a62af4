"""What can be wrong with a scalar, in pydantic's words; msgspec stays the judge."""

from __future__ import annotations

import datetime
import decimal
import math
import operator
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import inspect

__all__ = ["Fault", "check_leaf", "check_size", "is_leaf"]

Fault: TypeAlias = tuple[str, str]
"""Type and message of a problem."""


class _Kind(NamedTuple):
    target: Any
    name: str
    words: str
    is_parsed: bool = True
    """Text may hold it in JSON too, not only in forms."""


_KINDS: dict[type, _Kind] = {
    inspect.NoneType: _Kind(None, "none_required", "null", False),
    inspect.BoolType: _Kind(bool, "bool", "a valid boolean", False),
    inspect.IntType: _Kind(int, "int", "a valid integer", False),
    inspect.FloatType: _Kind(float, "float", "a valid number", False),
    inspect.StrType: _Kind(str, "string", "a valid string", False),
    inspect.BytesType: _Kind(bytes, "bytes", "base64 text"),
    inspect.ByteArrayType: _Kind(bytes, "bytes", "base64 text"),
    inspect.MemoryViewType: _Kind(bytes, "bytes", "base64 text"),
    inspect.DateTimeType: _Kind(datetime.datetime, "datetime", "a valid datetime"),
    inspect.DateType: _Kind(datetime.date, "date", "a valid date"),
    inspect.TimeType: _Kind(datetime.time, "time", "a valid time"),
    inspect.TimeDeltaType: _Kind(datetime.timedelta, "time_delta", "a valid duration"),
    inspect.UUIDType: _Kind(uuid.UUID, "uuid", "a valid UUID"),
    inspect.DecimalType: _Kind(decimal.Decimal, "decimal", "a valid decimal"),
}

_UNPARSABLE = {
    "bool": "unable to interpret input",
    "int": "unable to parse string as an integer",
    "float": "unable to parse string as a number",
    "datetime": "invalid RFC 3339 datetime",
    "date": "expected YYYY-MM-DD",
    "time": "invalid RFC 3339 time",
    "time_delta": "invalid ISO 8601 duration",
    "uuid": "invalid UUID text",
}

_BOUNDS: tuple[tuple[str, str, str, Callable[[Any, Any], bool]], ...] = (
    ("gt", "greater_than", "greater than", operator.gt),
    ("ge", "greater_than_equal", "greater than or equal to", operator.ge),
    ("lt", "less_than", "less than", operator.lt),
    ("le", "less_than_equal", "less than or equal to", operator.le),
    ("multiple_of", "multiple_of", "a multiple of", lambda value, of: math.fmod(value, of) == 0),
)


def is_leaf(info: inspect.Type) -> bool:
    """Tell whether `info` describes a scalar."""
    return type(info) in _KINDS or isinstance(info, inspect.EnumType | inspect.LiteralType)


def check_leaf(value: Any, info: Any, *, strict: bool) -> Iterator[Fault]:
    """Yield everything that is wrong with `value` as the scalar `info`."""
    if isinstance(info, inspect.EnumType | inspect.LiteralType):
        yield from _check_choice(value, info, strict)
        return
    kind = _KINDS[type(info)]
    try:
        converted = msgspec.convert(value, kind.target, strict=strict)
    except (msgspec.ValidationError, ValueError, OverflowError):
        yield _misfit(value, kind, strict)
        return
    yield from _check_limits(converted, info)


def check_size(value: Sequence[Any], info: Any, what: str, unit: str) -> Iterator[Fault]:
    """Yield what is wrong with the length of `value`; `what` is its name for people."""
    least, most = info.min_length, info.max_length
    prefix = {"character": "string_", "byte": "bytes_"}.get(unit, "")
    tail = f" after validation, not {len(value)}" if unit == "item" else ""
    if least is not None and len(value) < least:
        yield f"{prefix}too_short", f"{what} should have at least {_count(least, unit)}{tail}"
    if most is not None and len(value) > most:
        yield f"{prefix}too_long", f"{what} should have at most {_count(most, unit)}{tail}"


def _misfit(value: Any, kind: _Kind, strict: bool) -> Fault:
    words = f"Input should be {kind.words}"
    if kind.target is None:
        return kind.name, words
    if not isinstance(value, str) or kind.target is str or not (kind.is_parsed or not strict):
        return f"{kind.name}_type", words
    if kind.target is bytes:
        return "bytes_invalid_encoding", "Data should be valid base64"
    reason = _UNPARSABLE.get(kind.name)
    return f"{kind.name}_parsing", f"{words}, {reason}" if reason else words


def _check_choice(value: Any, info: Any, strict: bool) -> Iterator[Fault]:
    target: Any
    if isinstance(info, inspect.EnumType):
        target, name = info.cls, "enum"
        choices = [member.value for member in info.cls]
    else:
        target, name, choices = Literal[info.values], "literal_error", list(info.values)
    try:
        msgspec.convert(value, target, strict=strict)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError):
        yield name, f"Input should be {_either([repr(choice) for choice in choices])}"


def _check_limits(value: Any, info: Any) -> Iterator[Fault]:
    if isinstance(info, inspect.IntType | inspect.FloatType):
        for field, name, words, holds in _BOUNDS:
            bound = getattr(info, field)
            if bound is not None and not holds(value, bound):
                yield name, f"Input should be {words} {bound}"
    elif isinstance(info, inspect.StrType):
        yield from check_size(value, info, "String", "character")
        if info.pattern is not None and re.search(info.pattern, value) is None:
            yield "string_pattern_mismatch", f"String should match pattern '{info.pattern}'"
    elif isinstance(value, bytes):
        yield from check_size(value, info, "Data", "byte")
    elif isinstance(info, inspect.DateTimeType | inspect.TimeType):
        yield from _check_zone(value, info.tz)


def _check_zone(value: Any, expected: bool | None) -> Iterator[Fault]:
    if expected is True and value.tzinfo is None:
        yield "timezone_aware", "Input should have timezone info"
    if expected is False and value.tzinfo is not None:
        yield "timezone_naive", "Input should not have timezone info"


def _either(choices: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" + ("" if number == 1 else "s")

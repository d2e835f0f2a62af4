"""The converters of path parameters: `str`, `int`, `float`, `uuid` and `path`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

__all__ = ["CONVERTERS", "Converter", "has_dot_segment"]

# The lowest limit that CPython lets anybody set for the digits of an int: settings cannot change
# what matches.
_MAX_NUMBER_LENGTH: Final = 640
_DOT_SEGMENTS: Final = frozenset({".", ".."})


def has_dot_segment(path: str) -> bool:
    """Whether a segment is `.` or `..`, which whoever resolves a URL removes (RFC 3986, 5.2.4)."""
    return not _DOT_SEGMENTS.isdisjoint(path.split("/"))


def _read_str(text: str) -> str:
    if has_dot_segment(text):
        raise ValueError("dot segments do not survive in URLs")
    return text


def _read_int(text: str) -> int:
    if len(text) > _MAX_NUMBER_LENGTH:
        raise ValueError("too many digits")
    return int(text)


def _read_float(text: str) -> float:
    value = float(text) if len(text) <= _MAX_NUMBER_LENGTH else math.inf
    if math.isinf(value):
        raise ValueError("too large")
    return value


def _write_str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    text = str.__str__(value)
    text.encode()
    return text


def _write_int(value: object) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return int.__repr__(value)


def _write_float(value: object) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    text = float.__repr__(float(value))
    return f"{Decimal(text):f}" if "e" in text else text


def _write_uuid(value: object) -> str:
    if not isinstance(value, UUID):
        raise TypeError
    return str(value)


class Converter(NamedTuple):
    """One kind of path parameter: the text it takes and the value it becomes.

    `pattern` is a regular expression without capturing groups that takes linear time. `read` raises
    ValueError for text that matches it and yet has no value. `write` raises TypeError for a value
    of another type, and ValueError or ArithmeticError for one that has no text.
    """

    name: str
    type: type
    pattern: str
    read: Callable[[str], object]
    write: Callable[[object], str]


_FLOAT: Final = r"-?[0-9]+(?:\.[0-9]+)?"
_UUID: Final = "-".join(f"[0-9a-fA-F]{{{size}}}" for size in (8, 4, 4, 4, 12))
CONVERTERS: Final[Mapping[str, Converter]] = {
    converter.name: converter
    for converter in (
        Converter("str", str, "[^/]+", _read_str, _write_str),
        Converter("int", int, "-?[0-9]+", _read_int, _write_int),
        Converter("float", float, _FLOAT, _read_float, _write_float),
        Converter("uuid", UUID, _UUID, UUID, _write_uuid),
        Converter("path", str, ".*", _read_str, _write_str),
    )
}
"""Every converter by its name; `paths.PathTemplate` says what each takes."""

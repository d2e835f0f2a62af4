"""Frames that are almost right: those of the vectors with something changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from wirework.types import Frame

__all__ = ["TOKENS", "mutate"]

TOKENS = [
    *['{"type":"', '{"state":"', '{"__pp":"ping"}', '"id":', '"ask":', '"data":', '"error":'],
    *[
        '"token":',
        '"HEADERS":',
        '"headers":',
        '"type":"auth"',
        '"type":"answer"',
        '"type":"cancel"',
    ],
    *["null", "true", "false", "0", "-0", "1.0", "1e999", "-1e400", "NaN", "Infinity"],
    *["9007199254740993", "-9007199254740993", "18446744073709551616", "1" * 400],
    *['""', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', "\\", '"', "{", "}", "[", "]", ",", ":"],
    *["\ufeff", "\x00", "\u2028", "é", "😀", "[" * 300, '{"a":' * 300, "[" * 3000],
]
"""What breaks parsers, and the words of the dialects."""


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


_VALUES: list[Any] = [
    *[None, True, False, 0, -1, 1.5, 2**53, 2**53 + 1, -(2**53) - 1, 2**64, 10**400, float("nan")],
    *["", "a", "ping", "pong", "auth", "answer", "cancel", "error", "\ud800", "x" * 300],
    *[
        [],
        {},
        [[]],
        _nested(400),
        _nested(700),
        {"": None},
        {"token": "t"},
        {"type": "a", "id": 1},
        {"__pp": "ping"},
    ],
]
_KEYS = [
    *["type", "id", "ask", "data", "error", "code", "message", "token", "state", "__pp", "", "a"],
    *["HEADERS", "headers", "values", "body", "request_id", "HX-Request-ID", "\ud800"],
]


def mutate(frame: Frame, random: Random) -> Frame:
    """Return `frame` with up to four changes, of its JSON or of its text."""
    for _ in range(random.randint(1, 4)):
        frame = random.choice(_CHANGES)(frame, random)
    return frame


def _change_json(frame: Frame, random: Random) -> Frame:
    try:
        value = json.loads(frame)
        place = random.choice(_places(value))
        text = json.dumps(_changed(value, place, random))
    except (ValueError, RecursionError):
        return _change_text(frame, random)
    return text if isinstance(frame, str) else text.encode()


def _places(value: Any) -> list[tuple[Any, ...]]:
    """Return the path of everything in decoded JSON, the whole first."""
    found: list[tuple[Any, ...]] = [()]
    items = [value]
    for place, item in zip(found, items, strict=False):  # both grow meanwhile
        if isinstance(item, dict | list):
            for key in item if isinstance(item, dict) else range(len(item)):
                found.append((*place, key))
                items.append(item[key])
    return found


def _changed(value: Any, place: tuple[Any, ...], random: Random) -> Any:
    """Return decoded JSON with what is at `place` replaced, extended, left out or renamed."""
    if not place:
        return _replaced(value, random)
    copy = value.copy()
    item = copy.pop(place[0])
    what = random.randrange(6) if len(place) == 1 else -1
    if what == 0:
        return copy
    if isinstance(copy, list):
        copy.insert(place[0], _changed(item, place[1:], random))
    else:
        copy[random.choice(_KEYS) if what == 1 else place[0]] = _changed(item, place[1:], random)
    return copy


def _replaced(value: Any, random: Random) -> Any:
    what = random.randrange(6)
    if what == 0:
        return [value]
    if what == 1:
        return {random.choice(_KEYS): value}
    if isinstance(value, dict) and what < 4:
        return {**value, random.choice(_KEYS): random.choice(_VALUES)}
    return random.choice(_VALUES)


def _change_text(frame: Frame, random: Random) -> Frame:
    text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
    start = random.randint(0, len(text))
    end = min(len(text), start + random.choice([0, 0, 1, 2, 8, 100]))
    between = random.choice([*TOKENS, "", text[start:end] * 2])
    text = text[:start] + between + text[end:]
    return text if isinstance(frame, str) else text.encode()


def _change_kind(frame: Frame, random: Random) -> Frame:
    if isinstance(frame, str):
        return frame.encode()
    return frame.decode("utf-8", "replace")


def _change_bytes(frame: Frame, random: Random) -> Frame:
    data = bytearray(frame.encode() if isinstance(frame, str) else frame)
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return data.decode("utf-8", "replace") if isinstance(frame, str) else bytes(data)


_CHANGES: list[Callable[[Frame, Random], Frame]] = [
    *[_change_json] * 6,
    *[_change_text] * 3,
    *[_change_bytes] * 2,
    _change_kind,
]

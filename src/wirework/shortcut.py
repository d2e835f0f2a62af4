"""The short way of a message: for handlers that take the payload of a raw message and no more.

What it does is what the session does for every message, without the objects in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from .binding.plan import Plan
from .dialects.base import Dialect
from .dialects.raw import Raw
from .errors import Close
from .json import JsonAdapter

__all__ = ["Shortcut", "shortcut_of"]

_NOT_JSON = frozenset({bytes, bytearray, memoryview, Close})


class Shortcut(NamedTuple):
    """How one message is handled when there is nothing to do around it."""

    function: Callable[[Any], Awaitable[Any]]
    read: Callable[[Any], Any]
    """From the text of the frame to the argument; raises what the plan's payload raises."""
    encode: Callable[[Any], bytes | None]
    """From the answer to the payload of a text frame; None: it takes the long way."""


def shortcut_of(dialect: Dialect, plan: Plan, json: JsonAdapter) -> Shortcut | None:
    """Return the short way, where the dialect and the function allow it."""
    if not isinstance(dialect, Raw) or not plan.takes_only_the_payload:
        return None
    assert plan.payload is not None
    if dialect.mode == "json":
        return Shortcut(plan.function, plan.payload.read_whole, _json_encoder(json))
    if dialect.mode == "text":
        return Shortcut(plan.function, plan.payload.read_whole, _encode_text)
    return None


def _json_encoder(json: JsonAdapter) -> Callable[[Any], bytes | None]:
    encode = json.encode

    def encode_json(value: Any) -> bytes | None:
        return None if type(value) in _NOT_JSON else encode(value)

    return encode_json


def _encode_text(value: Any) -> bytes | None:
    return value.encode() if type(value) is str else None

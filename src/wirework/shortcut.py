"""The short way of a message: for functions that take its payload and no more.

What it does is what the session does for every message, without the objects in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from .binding.plan import Plan
from .commands import Id
from .dialects.base import Dialect, Quick
from .dialects.raw import Raw
from .errors import Close
from .json import JsonAdapter, MsgspecAdapter

__all__ = ["Lane", "Shortcut", "lane_of", "shortcut_of"]

_NOT_JSON = frozenset({bytes, bytearray, memoryview, Close})


class Shortcut(NamedTuple):
    """How one message is handled when there is nothing to do around it."""

    function: Callable[[Any], Awaitable[Any]]
    read: Callable[[Any], Any]
    """From the text of the frame to the argument; whatever it raises, the long way tells better."""
    encode: Callable[[Any], bytes]
    """From the answer to the payload of a text frame; on any error the long way is taken."""
    special: frozenset[type]
    """Types of answers that take the long way."""


class Lane(NamedTuple):
    """The short way of messages of one name."""

    function: Callable[[Any], Awaitable[Any]]
    read: Callable[[Any], Any]
    """From the body to the argument."""
    write: Callable[[Id | None, Any], bytes]
    """From the id of the message and the answer to the payload of a text frame."""


def lane_of(quick: Quick | None, name: str, plan: Plan, json: JsonAdapter) -> Lane | None:
    """Return the short way of messages called `name`, where dialect and function allow it."""
    if quick is None or not plan.takes_only_the_payload:
        return None
    assert plan.payload is not None
    if type(json) is not MsgspecAdapter or plan.payload.body != "json":
        return None
    read = json.bare_decoder(plan.payload.parameters[0].annotation)
    return Lane(plan.function, read, quick.write(name))


def shortcut_of(dialect: Dialect, plan: Plan, json: JsonAdapter) -> Shortcut | None:
    """Return the short way, where the dialect and the function allow it."""
    if not isinstance(dialect, Raw) or not plan.takes_only_the_payload:
        return None
    assert plan.payload is not None
    if dialect.mode == "json":
        read = plan.payload.read_whole
        encode: Callable[[Any], bytes] = json.encode
        if type(json) is MsgspecAdapter:
            read = json.bare_decoder(plan.payload.parameters[0].annotation)
            encode = json.bare_encode
        return Shortcut(plan.function, read, encode, _NOT_JSON)
    if dialect.mode == "text":
        return Shortcut(plan.function, str, str.encode, frozenset())
    return None

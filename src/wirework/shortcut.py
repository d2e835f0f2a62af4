"""The short way of messages: for functions that take nothing that has to be made or asked for.

What it does is what the session does for every message, without the objects in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from .binding.plan import Context, Plan
from .commands import Id
from .dialects.base import Dialect, Quick
from .dialects.raw import Raw
from .errors import Close
from .json import JsonAdapter, MsgspecAdapter

__all__ = ["Lane", "Shortcut", "lane_of", "shortcut_of", "shortcut_to"]

_NOT_JSON = frozenset({bytes, bytearray, memoryview, Close})
_NOT_NAMED = frozenset({msgspec.UnsetType})


class Lane(NamedTuple):
    """The short way of messages of one name."""

    name: str
    function: Callable[..., Awaitable[Any]]
    fill: Callable[[Context], Iterable[Any]] | None
    """From the context, which has the payload, to the arguments; None: the payload is the one."""
    answer: Callable[[Id, Any], Any] | None = None
    """From the id of the message and what was returned to what is encoded."""
    event: Callable[[Any], Any] | None = None
    """The same where the message has no id; None: what was returned is encoded as it is."""


class Shortcut(NamedTuple):
    """How the messages of a route are handled when there is nothing to do around them."""

    read: Callable[[str], Any]
    """From the text of the frame to the payload, or to a call, whose type tells its lane.

    Whatever it raises, the long way tells better.
    """
    lane: Lane | None
    """That of all messages, where they have no names."""
    lanes: Mapping[type, Lane]
    encode: Callable[[Any], bytes]
    """From the answer to the payload of a text frame; on any error the long way is taken."""
    special: frozenset[type]
    """Types of answers that take the long way."""
    is_nested: bool = False
    """Whether the id is beside the call, and what answers it around the event."""


def lane_of(
    quick: Quick | None, name: str, plan: Plan, json: JsonAdapter
) -> tuple[type, Lane] | None:
    """Return the type of the calls named `name`, and their lane, where everything allows it."""
    payload = plan.payload
    if quick is None or not name or payload is None or not plan.is_simple:
        return None
    if type(json) is not MsgspecAdapter or payload.body != "json":
        return None
    call = quick.call(name, payload.type if payload.parameters else None)
    return call, Lane(name, plan.function, plan.filler(), *quick.answers(name))


def shortcut_to(quick: Quick, lanes: Mapping[type, Lane]) -> Shortcut:
    """Return the short way of messages that have names."""
    read = quick.reader(tuple(lanes))
    return Shortcut(read, None, lanes, quick.encode, _NOT_NAMED, quick.is_nested)


def shortcut_of(dialect: Dialect, plan: Plan, json: JsonAdapter) -> Shortcut | None:
    """Return the short way of messages without names, where dialect and function allow it."""
    payload = plan.payload
    if not isinstance(dialect, Raw) or payload is None or not plan.is_simple:
        return None
    lane = Lane("", plan.function, plan.filler())
    if dialect.mode == "text":
        return Shortcut(str, lane, {}, str.encode, frozenset())
    if dialect.mode != "json":
        return None
    read: Callable[[str], Any] = payload.decode if payload.parameters else str
    encode: Callable[[Any], bytes] = json.encode
    if type(json) is MsgspecAdapter:
        encode = json.bare_encode
        read = json.bare_decoder(payload.type) if payload.parameters else str
    return Shortcut(read, lane, {}, encode, _NOT_JSON)

"""Type names shared by all layers."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Literal, TypeAlias

__all__ = [
    "ASGIApp",
    "Body",
    "Frame",
    "HeaderList",
    "Message",
    "Receive",
    "Scope",
    "SendMessage",
    "State",
]

Frame: TypeAlias = str | bytes
"""One complete message as it came in: str for a text frame, bytes for a binary one."""

Body: TypeAlias = Literal["json", "form", "value", "frame"]
"""What a dialect hands over as the body of a call: JSON text, a dict of form fields to coerce,
decoded JSON, or the frame itself."""

HeaderList: TypeAlias = Sequence[tuple[str, str]]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
SendMessage: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, SendMessage], Awaitable[None]]


class State(enum.IntEnum):
    """Where a connection stands; it only moves forward."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3

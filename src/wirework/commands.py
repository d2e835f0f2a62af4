"""What a client asks (commands) and what the server says (outputs), free of any wire format."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

__all__ = ["Call", "Command", "Event", "Failure", "Output", "Result"]


class Call(msgspec.Struct, frozen=True, gc=False):
    """One message for a handler.

    `body` is not decoded yet: a whole frame or a slice of JSON for dialects whose `body` is
    "json", a dict of fields for "form". `meta` is what the dialect tells beside it (for HTMX
    the HX-* headers), `id` is the client's, returned with the answer.
    """

    body: Any
    name: str = ""
    id: int | str | None = None
    meta: Any = None


class Result(msgspec.Struct, frozen=True, gc=False):
    """A value that a handler returned or yielded."""

    value: Any
    name: str = ""
    id: int | str | None = None


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An error answer to one message; the connection stays open."""

    code: str | int
    message: str
    details: Any = None
    name: str = ""
    id: int | str | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """A message that nobody asked for: `send(...)`, or a named event from the server."""

    value: Any
    name: str = ""


Command: TypeAlias = Call
Output: TypeAlias = Result | Failure | Event

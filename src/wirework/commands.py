"""What a client asks (commands) and what the server says (outputs), free of any wire format."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

__all__ = [
    "Answer",
    "Authenticate",
    "Call",
    "Cancel",
    "Command",
    "Disconnect",
    "Ended",
    "Event",
    "Failure",
    "Id",
    "Output",
    "Ping",
    "Pong",
    "Ready",
    "Request",
    "Result",
]

Id: TypeAlias = int | str
"""What tells messages of one connection apart; chosen by whoever expects an answer."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """One message for a handler.

    `body` is not decoded yet; what it is, `Dialect.body` says. `name` is that of the event, `meta`
    is what the dialect tells beside it (for HTMX the HX-* headers), `id` is the client's, returned
    with the answer.
    """

    body: Any
    name: str = ""
    id: Id | None = None
    meta: Any = None


class Authenticate(msgspec.Struct, frozen=True, gc=False):
    """The client says who it is; an empty token says that it has none."""

    token: str
    id: Id | None = None


class Ping(msgspec.Struct, frozen=True, gc=False):
    """The client asks for a sign of life, in a message of the dialect."""

    id: Id | None = None


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """The client wants no more of what answers its call `id`."""

    id: Id


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The client's answer to a `Request`: a body as in `Call`, or a failure."""

    id: Id
    body: Any = None
    failure: Failure | None = None


class Result(msgspec.Struct, frozen=True, gc=False):
    """A value that a handler returned or yielded.

    `index` counts the values of a stream from 0, and is None for a lone answer. `status` is an HTTP
    status, where the handler gave one.
    """

    value: Any
    name: str = ""
    id: Id | None = None
    index: int | None = None
    status: int | None = None


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A stream of `count` values is complete, or was cancelled."""

    name: str
    id: Id | None
    count: int


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An error answer to one message; the connection stays open.

    `code` is a word of ours ("validation", "malformed", "wrong_frame", "internal", "not_found",
    "not_authenticated", "not_ready") or what `Reject` was given; `details` is any JSON value, for
    "validation" the list of problems.
    """

    code: str | int
    message: str
    details: Any = None
    name: str = ""
    id: Id | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """A message that nobody asked for: `send(...)`, or a named event from the server."""

    value: Any
    name: str = ""


class Request(msgspec.Struct, frozen=True, gc=False):
    """The server asks the client something, and waits for an `Answer` with this id."""

    value: Any
    name: str
    id: Id


class Ready(msgspec.Struct, frozen=True, gc=False):
    """The session has begun: the client is who it says, or nobody asked. `value` is for it."""

    value: Any = None
    id: Id | None = None


class Pong(msgspec.Struct, frozen=True, gc=False):
    """The answer to a `Ping`."""

    id: Id | None = None


class Disconnect(msgspec.Struct, frozen=True, gc=False):
    """The connection ends with this code and reason, on transports that cannot carry them."""

    code: int
    reason: str = ""


Command: TypeAlias = Call | Authenticate | Ping | Cancel | Answer
Output: TypeAlias = Result | Ended | Failure | Event | Request | Ready | Pong | Disconnect

"""What a client asks (commands) and what the server says (outputs), free of any wire format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from .publications import Member, Position, Publication

__all__ = [
    "Answer",
    "Authenticate",
    "Call",
    "Cancel",
    "ChannelCommand",
    "ChannelOutput",
    "Command",
    "Disconnect",
    "Ended",
    "Event",
    "Failure",
    "Gap",
    "HistoryPage",
    "Id",
    "Joined",
    "Left",
    "Output",
    "Ping",
    "Pong",
    "PresenceList",
    "Publish",
    "ReadHistory",
    "ReadPresence",
    "Ready",
    "Receipt",
    "Renew",
    "Renewed",
    "Request",
    "Result",
    "Subscribe",
    "Subscribed",
    "Unsubscribe",
    "Unsubscribed",
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


class Authenticate(msgspec.Struct, frozen=True):
    """The client says who it is; an empty token says that it has none.

    `positions`: where it stands in channels that the server subscribes it to. `body` is for
    `on_ready`, not decoded yet.
    """

    token: str
    id: Id | None = None
    positions: Mapping[str, Position] = {}
    body: Any = None


class Ping(msgspec.Struct, frozen=True, gc=False):
    """Either side asks for a sign of life, in a message of the dialect."""

    id: Id | None = None


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """The client wants no more of what answers its call `id`."""

    id: Id


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The client's answer to a `Request`: a body as in `Call`, or a failure."""

    id: Id
    body: Any = None
    failure: Failure | None = None


class Subscribe(msgspec.Struct, frozen=True, gc=False):
    """The client wants what is published in a channel: from now on, or all since a position.

    `body` is for the function that decides, not decoded yet.
    """

    channel: str
    since: Position | None = None
    body: Any = b"{}"
    id: Id | None = None
    token: str = ""
    """Says that it may, in dialects that carry such a token."""
    must_recover: bool = False
    """Not to be subscribed where something since `since` is lost."""


class Unsubscribe(msgspec.Struct, frozen=True, gc=False):
    """The client wants no more of a channel."""

    channel: str
    id: Id | None = None


class Renew(msgspec.Struct, frozen=True, gc=False):
    """The client brings a newer token for a channel that it is subscribed to."""

    channel: str
    token: str
    id: Id | None = None


class Publish(msgspec.Struct, frozen=True, gc=False):
    """The client publishes in a channel; `body` is not decoded yet.

    `idempotency`: a message with the same one is the same message, sent again.
    """

    channel: str
    body: Any
    id: Id | None = None
    idempotency: str = ""


class ReadHistory(msgspec.Struct, frozen=True, gc=False):
    """The client asks for publications of a channel that it is subscribed to."""

    channel: str
    since: Position | None = None
    limit: int | None = None
    reverse: bool = False
    id: Id | None = None


class ReadPresence(msgspec.Struct, frozen=True, gc=False):
    """The client asks who is in a channel that it is subscribed to, or only how many."""

    channel: str
    id: Id | None = None
    counts_only: bool = False


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


class Ready(msgspec.Struct, frozen=True):
    """The session has begun: the client is who it says, or nobody asked. `value` is for it.

    `connection` is the id of the connection, `ttl` are the seconds for which the credentials are
    good (None: for ever), `ping` those between two signs of life that the server asks for, and
    `subscriptions` the channels that the server has subscribed it to. `session` and `node` say
    where its messages go, where the connection carries only the server's; else they are empty.
    """

    value: Any = None
    id: Id | None = None
    connection: str = ""
    ttl: float | None = None
    ping: float | None = None
    subscriptions: Sequence[Subscribed] = ()
    session: str = ""
    node: str = ""


class Pong(msgspec.Struct, frozen=True, gc=False):
    """The answer to a `Ping`, of either side."""

    id: Id | None = None


class Subscribed(msgspec.Struct, frozen=True, gc=False):
    """The client is subscribed, on its own wish (with its `id`) or on the server's.

    `recovered` says whether `publications` are all that it has missed since the position that it
    gave; None: it gave none. `position` is where it stands now; None: the channel keeps nothing.
    `value` is what the deciding function returned for it, `ttl` the seconds for which its token is
    good (None: for ever, or there is none).
    """

    channel: str
    position: Position | None = None
    recovered: bool | None = None
    publications: Sequence[Publication] = ()
    value: Any = None
    id: Id | None = None
    ttl: float | None = None


class Renewed(msgspec.Struct, frozen=True, gc=False):
    """The newer token of a subscription is good, for `ttl` seconds (None: for ever)."""

    channel: str
    ttl: float | None = None
    id: Id | None = None


class Unsubscribed(msgspec.Struct, frozen=True, gc=False):
    """The client gets no more of a channel; `code` and `reason` where the server ended it."""

    channel: str
    code: str = ""
    reason: str = ""
    id: Id | None = None


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What the client wanted to publish was published; `position` where the channel keeps it."""

    channel: str
    position: Position | None = None
    id: Id | None = None


class HistoryPage(msgspec.Struct, frozen=True, gc=False):
    """Publications that the client has asked for; `position` is the channel's newest."""

    channel: str
    publications: Sequence[Publication]
    position: Position
    id: Id | None = None


class PresenceList(msgspec.Struct, frozen=True, gc=False):
    """Who is in a channel: connections and users in numbers, and one by one if the channel tells.

    `version` grows with every `Joined` and `Left`: one of a version that is not higher is in it.
    """

    channel: str
    connections: int
    users: int
    members: Sequence[Member] | None
    version: int
    id: Id | None = None


class Joined(msgspec.Struct, frozen=True, gc=False):
    """Somebody has come into a channel: the first connection of a user."""

    channel: str
    member: Member
    version: int


class Left(msgspec.Struct, frozen=True, gc=False):
    """Somebody has left a channel: the last connection of a user."""

    channel: str
    member: Member
    version: int


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Publications are missing before `position`, and cannot be had any more."""

    channel: str
    position: Position


class Disconnect(msgspec.Struct, frozen=True, gc=False):
    """The connection ends with this code and reason, on transports that cannot carry them."""

    code: int
    reason: str = ""


ChannelCommand: TypeAlias = Subscribe | Renew | Unsubscribe | Publish | ReadHistory | ReadPresence
ChannelOutput: TypeAlias = (
    Publication
    | Subscribed
    | Unsubscribed
    | Receipt
    | HistoryPage
    | PresenceList
    | Joined
    | Left
    | Gap
)
Command: TypeAlias = Call | Authenticate | Ping | Pong | Cancel | Answer | ChannelCommand
Output: TypeAlias = (
    Result
    | Ended
    | Failure
    | Event
    | Request
    | Ready
    | Ping
    | Pong
    | Disconnect
    | Renewed
    | ChannelOutput
)

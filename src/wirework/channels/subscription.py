"""A connection's place in a channel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..commands import Gap, Output
from ..connection import Connection
from ..errors import ConnectionClosed, StateError
from ..outbox import TEXT, Outgoing
from ..publications import Member, Position, Publication
from ..websocket import WebSocket, outgoing

if TYPE_CHECKING:
    from .expiry import Expiry
    from .topic import Topic

__all__ = ["Subscription", "frame_of", "variant_of"]


class Subscription:
    """A connection that gets what is published in a channel.

    It is live, or it holds: then publications wait in `held` until it is told that it is
    subscribed. Or it is behind: its outbox is more than half full, and it catches up from history.
    """

    __slots__ = (
        "announced",
        "connection",
        "expiry",
        "falls",
        "held",
        "is_by_server",
        "is_gapped",
        "member",
        "on_end",
        "pending",
        "position",
        "presence_version",
        "since",
        "topic",
        "variant",
        "visit",
        "ws",
    )

    def __init__(self, topic: Topic, ws: WebSocket, member: Member, *, is_by_server: bool) -> None:
        self.topic: Topic | None = topic
        """None when it has ended."""
        self.ws = ws
        self.connection: Connection = ws.connection
        self.variant = variant_of(ws)
        self.member = member
        self.is_by_server = is_by_server
        self.held: deque[Publication] | None = deque()
        """What has come since it was begun; None: it is live, or behind."""
        self.position = Position()
        """Up to where it has got everything, while it holds or is behind."""
        self.falls = 0
        """How often its outbox has given up what it was told: `position` went back."""
        self.since = topic.sequence
        """The topic's count when it went live: what came before is not for it."""
        self.is_gapped = False
        """Whether it was told that something is missing."""
        self.pending: dict[str, Publication] | None = None
        """The newest of each key that waits until its outbox has room."""
        self.visit: Any = None
        """What the channel's functions are called with, for a client that asked."""
        self.expiry: Expiry | None = None
        """When its token is not good any more; None: it needs none, or it is good for ever."""
        self.on_end: Callable[[Subscription], None] | None = None
        """Called when it has ended, in whatever way."""
        self.presence_version = 0
        """Joins and leaves up to this one it has been told in a list."""
        self.announced: list[tuple[int, Output]] | None = None
        """Joins and leaves that wait for a list that is being read; None: none is."""

    def announce(self, output: Output, version: int) -> None:
        """Tell the client who has come or gone, unless it has been told in a list."""
        if self.announced is not None:
            self.announced.append((version, output))
        elif version > self.presence_version:
            self.say(output)

    def announce_waiting(self, version: int | None) -> None:
        """Tell the client who came and went while a list was read that knows up to `version`.

        None: there is no list.
        """
        waiting, self.announced = self.announced or (), None
        if version is not None:
            self.presence_version = version
        for each, output in waiting:
            self.announce(output, each)

    def say(self, output: Output, before: Position | None = None) -> None:
        """Tell the client, where its dialect has words for it and its connection has not ended.

        `before` is where it stands if its outbox gives that up; of a publication it is known.
        """
        self.is_gapped |= isinstance(output, Gap)
        frame = self.frame(output, before)
        if frame is not None:
            with suppress(ConnectionClosed, StateError):
                self.connection.push(frame)

    def frame(self, output: Output, before: Position | None = None) -> Outgoing | None:
        """Return the frame for this client alone that tells it; see `say`."""
        frame = frame_of(self.ws, output)
        if frame is not None and self.topic is not None:
            if isinstance(output, Publication):
                frame.origin = self.topic.origin(output)
            elif before is not None and self.topic.rules.keep is not None:
                frame.origin = (self.topic.name, before)
        return frame


def variant_of(ws: WebSocket) -> Hashable:
    """Return what connections have in common that are told of a publication in the same bytes."""
    return None if ws.codec is None else ws.codec.variant


def frame_of(ws: WebSocket, output: Output) -> Outgoing | None:
    """Return the frame that tells `ws` of `output`; None: it has no words for it.

    A connection handler's has words for publications only: their data, as text.
    """
    if ws.codec is not None:
        frame = ws.codec.encode(output)
        return None if frame is None else outgoing(frame)
    if isinstance(output, Publication):
        return Outgoing(TEXT, output.message.data)
    return None

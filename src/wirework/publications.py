"""What goes through channels: messages, their positions, and who is there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .errors import WireworkError

__all__ = ["Member", "Message", "MissedPublications", "Position", "Publication"]


class Position(msgspec.Struct, frozen=True):
    """Where a subscriber stands in a channel's history.

    Offsets count a channel's publications from 1 without a hole, within one epoch. A new epoch
    begins when the broker has lost what it kept: positions of another epoch say nothing.
    """

    epoch: str = ""
    offset: int = 0


class Member(msgspec.Struct, frozen=True):
    """A connection that is present in a channel, or has published there.

    Args:
        connection: its id, unique among all workers.
        user: the key of its user as text; "" for nobody.
        info: what `on_subscribe` or the token for the channel say for others to see, as JSON;
            None: nothing.
        about: what authentication says of the connection for others to see, likewise.
    """

    connection: str
    user: str = ""
    info: bytes | None = None
    about: bytes | None = None

    @property
    def key(self) -> str:
        """What tells members apart: the user, or the connection of nobody in particular."""
        return f"u:{self.user}" if self.user else f"c:{self.connection}"


class Message(msgspec.Struct, frozen=True):
    """What is published.

    Args:
        data: JSON, encoded.
        key: in a channel that keeps the latest, which of its values this is. Default "".
        by: the client that published it; None: the server.
        exclude: ids of connections that do not get it.
        at: Unix time in milliseconds.
        is_html: `data` is an object with the HTML that the server made of it, and where it goes.
            Never what a client has said.
    """

    data: bytes
    key: str = ""
    by: Member | None = None
    exclude: Sequence[str] = ()
    at: int = 0
    is_html: bool = False


class Publication(msgspec.Struct, frozen=True):
    """A message in a channel; `offset` is 0 and `epoch` "" where the channel keeps nothing."""

    channel: str
    message: Message
    epoch: str = ""
    offset: int = 0

    @property
    def position(self) -> Position:
        """Where a subscriber stands that has got it."""
        return Position(self.epoch, self.offset)


class MissedPublications(WireworkError):
    """Publications are lost to the server's own code that reads a channel: it was too slow.

    `position` is where the channel goes on after them (`consume(since=position)`); None where it
    keeps no history.
    """

    def __init__(self, channel: str, position: Position | None) -> None:
        super().__init__(channel, position)
        self.channel = channel
        self.position = position

    def __str__(self) -> str:
        if self.position is None:
            return f"{self.channel!r} keeps no history, and its reader is 1,000 publications late"
        return f"{self.channel!r} lacks publications up to offset {self.position.offset}"

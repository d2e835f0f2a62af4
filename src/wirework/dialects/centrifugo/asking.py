"""What clients ask: the protocol's commands, in whatever format, as commands of ours."""

from __future__ import annotations

from typing import Final

import msgspec

from ...commands import (
    Authenticate,
    Call,
    Command,
    Ping,
    Pong,
    Publish,
    ReadHistory,
    ReadPresence,
    Renew,
    Subscribe,
    Unsubscribe,
)
from ...errors import MalformedMessage
from ...publications import Position

__all__ = ["MAX_COMMANDS", "TOO_MANY", "Asked", "command_of"]

MAX_COMMANDS: Final = 4096
"""Commands in one frame: they may be so short that a frame of the allowed size had a million."""
TOO_MANY: Final = f"expected at most {MAX_COMMANDS} commands in a frame, got more"
_MAX_ID: Final = 2**32 - 1
_MAX_OFFSET: Final = 2**53

_OBJECT: Final = msgspec.Raw(b"{}")
_NULL: Final = msgspec.Raw(b"null")


class Since(msgspec.Struct, frozen=True):
    """A position."""

    offset: int = 0
    epoch: str = ""


class Sub(msgspec.Struct, frozen=True):
    """Where the client stands in a channel of the server's choice."""

    recover: bool = False
    offset: int = 0
    epoch: str = ""


class Connect(msgspec.Struct, frozen=True):
    """The first command."""

    token: str = ""
    data: msgspec.Raw = _OBJECT
    subs: dict[str, Sub] = {}

    def command(self, id: int) -> Command:
        """Return what it means."""
        positions = {name: _position(sub) for name, sub in self.subs.items() if sub.recover}
        return Authenticate(self.token, id, positions, bytes(self.data))


class Refresh(msgspec.Struct, frozen=True):
    """A newer token."""

    token: str = ""

    def command(self, id: int) -> Command:
        """Return what it means."""
        return Authenticate(self.token, id, body=b"{}")


_REJECT_UNRECOVERED: Final = 2
"""The bit of `flag` that asks for an error instead of a subscription with a hole."""


class SubscribeTo(msgspec.Struct, frozen=True):
    """`subscribe`."""

    channel: str = ""
    token: str = ""
    data: msgspec.Raw = _OBJECT
    recover: bool = False
    offset: int = 0
    epoch: str = ""
    flag: int = 0

    def command(self, id: int) -> Command:
        """Return what it means."""
        since = _position(self) if self.recover else None
        must_recover = bool(self.flag & _REJECT_UNRECOVERED)
        return Subscribe(self.channel, since, bytes(self.data), id, self.token, must_recover)


class SubRefresh(msgspec.Struct, frozen=True):
    """A newer token for a channel."""

    channel: str = ""
    token: str = ""

    def command(self, id: int) -> Command:
        """Return what it means."""
        return Renew(self.channel, self.token, id)


class UnsubscribeFrom(msgspec.Struct, frozen=True):
    """`unsubscribe`."""

    channel: str = ""

    def command(self, id: int) -> Command:
        """Return what it means."""
        return Unsubscribe(self.channel, id)


class PublishTo(msgspec.Struct, frozen=True):
    """`publish`."""

    channel: str = ""
    data: msgspec.Raw = _NULL

    def command(self, id: int) -> Command:
        """Return what it means."""
        return Publish(self.channel, bytes(self.data), id)


class Presence(msgspec.Struct, frozen=True):
    """Who is there."""

    channel: str = ""

    def command(self, id: int) -> Command:
        """Return what it means."""
        return ReadPresence(self.channel, id)


class PresenceStats(msgspec.Struct, frozen=True):
    """How many are there."""

    channel: str = ""

    def command(self, id: int) -> Command:
        """Return what it means."""
        return ReadPresence(self.channel, id, counts_only=True)


class History(msgspec.Struct, frozen=True):
    """What was published."""

    channel: str = ""
    limit: int = 0
    since: Since | None = None
    reverse: bool = False

    def command(self, id: int) -> Command:
        """Return what it means."""
        position = None if self.since is None else _position(self.since)
        limit = None if self.limit < 0 else self.limit
        return ReadHistory(self.channel, position, limit, self.reverse, id)


class Life(msgspec.Struct, frozen=True):
    """`ping`."""

    def command(self, id: int) -> Command:
        """Return what it means."""
        return Ping(id)


class Send(msgspec.Struct, frozen=True):
    """A call without an answer."""

    data: msgspec.Raw = _OBJECT

    def command(self, id: int) -> Command:
        """Return what it means."""
        return Call(bytes(self.data), "send")


class Rpc(msgspec.Struct, frozen=True):
    """A call."""

    data: msgspec.Raw = _OBJECT
    method: str = ""

    def command(self, id: int) -> Command:
        """Return what it means."""
        return Call(bytes(self.data), self.method or "rpc", id)


class Asked(msgspec.Struct, frozen=True):
    """A command of the protocol: one of its fields, and an id."""

    id: int = 0
    connect: Connect | None = None
    subscribe: SubscribeTo | None = None
    unsubscribe: UnsubscribeFrom | None = None
    publish: PublishTo | None = None
    presence: Presence | None = None
    presence_stats: PresenceStats | None = None
    history: History | None = None
    ping: Life | None = None
    send: Send | None = None
    rpc: Rpc | None = None
    refresh: Refresh | None = None
    sub_refresh: SubRefresh | None = None


_METHODS: Final = tuple(name for name in Asked.__struct_fields__ if name != "id")


def command_of(asked: Asked) -> Command:
    """Return what the client asks.

    Raises:
        MalformedMessage: it asks for nothing, for several things, or cannot be answered.
    """
    given = [name for name in _METHODS if getattr(asked, name) is not None]
    if not given and not asked.id:
        return Pong()
    if len(given) != 1:
        raise MalformedMessage(f"expected one method, got {', '.join(given) or 'none'}")
    method = given[0]
    if not 0 <= asked.id <= _MAX_ID or (asked.id == 0 and method != "send"):
        raise MalformedMessage(f"id: expected 1 to {_MAX_ID}, got {asked.id}")
    command: Command = getattr(asked, method).command(asked.id)
    return command


def _position(said: Since | Sub | SubscribeTo) -> Position:
    if not 0 <= said.offset <= _MAX_OFFSET:
        raise MalformedMessage(f"offset: expected 0 to {_MAX_OFFSET}, got {said.offset}")
    return Position(said.epoch, said.offset)

"""How dialects of JSON objects say what concerns channels: the bodies of their messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from ..commands import (
    ChannelCommand,
    ChannelOutput,
    Gap,
    HistoryPage,
    Id,
    Joined,
    Left,
    PresenceList,
    Publish,
    ReadHistory,
    ReadPresence,
    Receipt,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from ..errors import MalformedMessage, ValidationError
from ..json import JsonAdapter
from ..publications import Member, Position, Publication

__all__ = ["CALLED", "CHANNEL_WORDS", "SAID", "ChannelWords"]

_OFFSET: Final = 2**53 - 1
"""The largest offset: JSON's numbers are exact up to here in every language."""


class _Position(msgspec.Struct, frozen=True):
    epoch: Annotated[str, msgspec.Meta(max_length=64)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=_OFFSET)]


class _Named(msgspec.Struct, frozen=True):
    channel: str


class _Subscribe(msgspec.Struct, frozen=True):
    channel: str
    since: _Position | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Publish(msgspec.Struct, frozen=True):
    channel: str
    data: msgspec.Raw
    idempotency_key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class _History(msgspec.Struct, frozen=True):
    channel: str
    since: _Position | None = None
    limit: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    reverse: bool = False


CALLED: Final[dict[str, type]] = {
    "subscribe": _Subscribe,
    "unsubscribe": _Named,
    "publish": _Publish,
    "history": _History,
    "presence": _Named,
}
"""What clients ask, and how the body looks."""

SAID: Final[dict[type, str]] = {
    Subscribed: "subscribed",
    Unsubscribed: "unsubscribed",
    Receipt: "published",
    HistoryPage: "history",
    PresenceList: "presence",
    Publication: "publication",
    Joined: "joined",
    Left: "left",
    Gap: "gap",
}
"""What the server says."""


PREFIX: Final = "channel."
CHANNEL_WORDS: Final = frozenset({f"{PREFIX}{word}" for word in (*CALLED, *SAID.values())})
"""Their names, where messages have names."""


class ChannelWords:
    """Reads and writes the bodies, with an application's adapter."""

    def __init__(self, json: JsonAdapter) -> None:
        self._json = json
        self._readers = {name: json.decoder(kind) for name, kind in CALLED.items()}

    def command(self, name: str, body: bytes, id: Id | None) -> ChannelCommand:
        """Return what a client asks.

        Raises:
            MalformedMessage: the body is not as it must be.
        """
        try:
            asked: Any = self._readers[name](body)
        except ValidationError as error:
            raise MalformedMessage(f"data: {error}") from None
        if name == "subscribe":
            return Subscribe(asked.channel, _position(asked.since), bytes(asked.data), id)
        if name == "publish":
            return Publish(asked.channel, bytes(asked.data), id, asked.idempotency_key)
        if name == "history":
            since = _position(asked.since)
            return ReadHistory(asked.channel, since, asked.limit, asked.reverse, id)
        return (Unsubscribe if name == "unsubscribe" else ReadPresence)(asked.channel, id)

    def named_command(self, name: str, body: bytes, id: Id | None) -> ChannelCommand:
        """Return what a client asks by one of `CHANNEL_WORDS`.

        Raises:
            MalformedMessage: it is a word of the server, or the body is not as it must be.
        """
        word = name.removeprefix(PREFIX)
        try:
            if word not in CALLED:
                raise MalformedMessage(f"expected no word of the server, got {name!r}")
            return self.command(word, body, id)
        except MalformedMessage as error:
            error.id = id
            raise

    def named(self, output: ChannelOutput) -> tuple[str, str]:
        """Return the name and the body of the message that tells `output`."""
        return f"{PREFIX}{SAID[type(output)]}", self.body(output)

    def body(self, output: ChannelOutput) -> str:
        """Return the JSON object that tells `output`."""
        return self._object({"channel": self._text(output.channel), **self._parts(output)})

    def _parts(self, output: ChannelOutput) -> dict[str, str]:
        if isinstance(output, Publication):
            return self._publication(output)
        if isinstance(output, Subscribed):
            return self._subscribed(output)
        if isinstance(output, Joined | Left):
            return {"member": self._member(output.member), "version": str(output.version)}
        if isinstance(output, PresenceList):
            return self._presence(output)
        parts: dict[str, str] = {}
        if isinstance(output, HistoryPage):
            parts["publications"] = self._publications(output.publications)
        if isinstance(output, Unsubscribed):
            given = {"code": output.code, "reason": output.reason}
            return {name: self._text(text) for name, text in given.items() if text}
        if output.position is not None:
            parts["position"] = self._position(output.position)
        return parts

    def _subscribed(self, output: Subscribed) -> dict[str, str]:
        parts: dict[str, str] = {}
        if output.position is not None:
            parts["position"] = self._position(output.position)
        if output.recovered is not None:
            parts["recovered"] = "true" if output.recovered else "false"
        if output.publications:
            parts["publications"] = self._publications(output.publications)
        if output.value is not None:
            parts["data"] = self._text(output.value)
        return parts

    def _presence(self, output: PresenceList) -> dict[str, str]:
        parts = {"connections": str(output.connections), "users": str(output.users)}
        if output.members is not None:
            members = ",".join([self._member(each) for each in output.members])
            parts["members"] = f"[{members}]"
            parts["version"] = str(output.version)
        return parts

    def _publications(self, publications: Sequence[Publication]) -> str:
        return "[" + ",".join([self._object(self._publication(p)) for p in publications]) + "]"

    def _publication(self, publication: Publication) -> dict[str, str]:
        message = publication.message
        parts = {"data": message.data.decode()}
        if publication.offset:
            parts["position"] = self._position(publication.position)
        if message.key:
            parts["key"] = self._text(message.key)
        if message.by is not None:
            parts["by"] = self._member(message.by)
        if message.at:
            parts["at"] = str(message.at)
        return parts

    def _member(self, member: Member) -> str:
        parts = {"connection": self._text(member.connection)}
        if member.user:
            parts["user"] = self._text(member.user)
        if member.info is not None:
            parts["info"] = member.info.decode()
        return self._object(parts)

    def _position(self, position: Position) -> str:
        return f'{{"epoch":{self._text(position.epoch)},"offset":{position.offset}}}'

    def _object(self, parts: dict[str, str]) -> str:
        return "{" + ",".join([f'"{name}":{text}' for name, text in parts.items()]) + "}"

    def _text(self, value: object) -> str:
        return self._json.encode(value).decode()


def _position(said: _Position | None) -> Position | None:
    return None if said is None else Position(said.epoch, said.offset)

"""The protocol in Protobuf: binary frames of commands and replies, each behind its size.

The numbers are those of `client.proto` in github.com/centrifugal/protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ...commands import Command, Output, Pong
from ...errors import MalformedMessage
from ...json import JsonAdapter
from ...types import Frame
from ..base import Posted, SpoiledFrame
from . import asking
from .asking import MAX_COMMANDS, TOO_MANY, Asked, command_of
from .telling import Teller
from .wire import Fields, Many, Message, Table, read, read_number, with_size, write

__all__ = ["ProtobufCodec", "read_post"]


class ProtobufCodec(Teller):
    """One connection that speaks Protobuf; see `Teller` for its arguments."""

    __slots__ = ("variant",)

    def __init__(
        self, version: str, wire_close: Callable[[int, str], tuple[int, str]], json: JsonAdapter
    ) -> None:
        super().__init__(version, wire_close, json)
        self.variant = ("centrifugo protobuf", json)

    def decode(self, frame: Frame) -> Sequence[Command]:
        """Return the commands of a frame; see `Codec.decode`."""
        if not isinstance(frame, bytes):
            raise SpoiledFrame("expected a binary frame, got a text frame")
        commands: list[Command] = []
        at, end = 0, len(frame)
        while at < end:
            if len(commands) == MAX_COMMANDS:
                raise SpoiledFrame(TOO_MANY, commands)
            try:
                size, at = read_number(frame, at, end)
                if size > end - at:
                    raise MalformedMessage(f"expected {size} bytes of a command, got {end - at}")
                commands.append(self._command(frame, at, at + size))
            except MalformedMessage as error:
                raise SpoiledFrame(error.message, commands) from None
            at += size
        return commands

    def _command(self, frame: bytes, start: int, end: int) -> Command:
        if start == end:
            return Pong()
        asked: Asked = read(_COMMAND, frame, start, end)
        command = command_of(asked)
        self.note(asked)
        return command

    def encode(self, output: Output) -> Frame | None:
        """Return the reply that says `output`, or the replies; see `Codec.encode`."""
        dump = self.json.encode
        said = [with_size(write(_REPLY, each, dump)) for each in self.replies(output)]
        return b"".join(said) or None


def read_post(body: bytes) -> Posted:
    """Return what a request with a message of a stream has; see `Format.read`."""
    posted: Posted = read(_EMULATION, body)
    return posted


# --- commands -----------------------------------------------------------------------------------

_CHANNEL: Final[Fields] = {"channel": (1, "text")}
_TOKEN: Final[Fields] = {"channel": (1, "text"), "token": (2, "text")}
_EMULATION: Final = Message(
    {"node": (1, "text"), "session": (2, "text"), "data": (3, "bytes")}, Posted
)
_SINCE: Final = Message({"offset": (1, "uint"), "epoch": (2, "text")}, asking.Since)
_PLACE: Final[Fields] = {"recover": (3, "bool"), "epoch": (6, "text"), "offset": (7, "uint")}
_SUB: Final = Message(_PLACE, asking.Sub)
_COMMAND: Final = Message(
    {
        "id": (1, "uint"),
        "connect": (
            4,
            Message(
                {"token": (1, "text"), "data": (2, "data"), "subs": (3, Table.of(_SUB))},
                asking.Connect,
            ),
        ),
        "subscribe": (
            5,
            Message(
                {**_TOKEN, **_PLACE, "data": (8, "data"), "flag": (14, "int")}, asking.SubscribeTo
            ),
        ),
        "unsubscribe": (6, Message(_CHANNEL, asking.UnsubscribeFrom)),
        "publish": (7, Message({**_CHANNEL, "data": (2, "data")}, asking.PublishTo)),
        "presence": (8, Message(_CHANNEL, asking.Presence)),
        "presence_stats": (9, Message(_CHANNEL, asking.PresenceStats)),
        "history": (
            10,
            Message(
                {**_CHANNEL, "limit": (7, "int"), "since": (8, _SINCE), "reverse": (9, "bool")},
                asking.History,
            ),
        ),
        "ping": (11, Message({}, asking.Life)),
        "send": (12, Message({"data": (1, "data")}, asking.Send)),
        "rpc": (13, Message({"data": (1, "data"), "method": (2, "text")}, asking.Rpc)),
        "refresh": (14, Message({"token": (1, "text")}, asking.Refresh)),
        "sub_refresh": (15, Message(_TOKEN, asking.SubRefresh)),
    },
    Asked,
)

# --- replies ------------------------------------------------------------------------------------

_NOTHING: Final = Message({})
_DATA: Final = Message({"data": (1, "data")})
_EXPIRY: Final[Fields] = {"expires": (1, "bool"), "ttl": (2, "uint")}
_INFO: Final = Message(
    {
        "user": (1, "text"),
        "client": (2, "text"),
        "conn_info": (3, "data"),
        "chan_info": (4, "data"),
    }
)
_ABOUT: Final = Message({"info": (1, _INFO)})
_PUBLICATION: Final = Message(
    {
        "data": (4, "data"),
        "info": (5, _INFO),
        "offset": (6, "uint"),
        "tags": (7, Table.of("text")),
    }
)
_SUBSCRIBED: Final = Message(
    {
        **_EXPIRY,
        "recoverable": (3, "bool"),
        "epoch": (6, "text"),
        "publications": (7, Many(_PUBLICATION)),
        "recovered": (8, "bool"),
        "offset": (9, "uint"),
        "positioned": (10, "bool"),
        "data": (11, "data"),
        "was_recovering": (12, "bool"),
    }
)
_CONNECTED: Final[Fields] = {
    "client": (1, "text"),
    "version": (2, "text"),
    "expires": (3, "bool"),
    "ttl": (4, "uint"),
}
_PUSH: Final = Message(
    {
        "channel": (2, "text"),
        "pub": (4, _PUBLICATION),
        "join": (5, _ABOUT),
        "leave": (6, _ABOUT),
        "unsubscribe": (7, Message({"code": (2, "uint"), "reason": (3, "text")})),
        "message": (8, _DATA),
        "subscribe": (
            9,
            Message(
                {
                    "recoverable": (1, "bool"),
                    "epoch": (4, "text"),
                    "offset": (5, "uint"),
                    "positioned": (6, "bool"),
                    "data": (7, "data"),
                }
            ),
        ),
        "disconnect": (11, Message({"code": (1, "uint"), "reason": (2, "text")})),
    }
)
_REPLY: Final = Message(
    {
        "id": (1, "uint"),
        "error": (
            2,
            Message({"code": (1, "uint"), "message": (2, "text"), "temporary": (3, "bool")}),
        ),
        "push": (4, _PUSH),
        "connect": (
            5,
            Message(
                {
                    **_CONNECTED,
                    "data": (5, "data"),
                    "subs": (6, Table.of(_SUBSCRIBED)),
                    "ping": (7, "uint"),
                    "pong": (8, "bool"),
                    "session": (9, "text"),
                    "node": (10, "text"),
                }
            ),
        ),
        "subscribe": (6, _SUBSCRIBED),
        "unsubscribe": (7, _NOTHING),
        "publish": (8, _NOTHING),
        "presence": (9, Message({"presence": (1, Table.of(_INFO))})),
        "presence_stats": (
            10,
            Message({"num_clients": (1, "uint"), "num_users": (2, "uint")}),
        ),
        "history": (
            11,
            Message(
                {
                    "publications": (1, Many(_PUBLICATION)),
                    "epoch": (2, "text"),
                    "offset": (3, "uint"),
                }
            ),
        ),
        "ping": (12, _NOTHING),
        "rpc": (13, _DATA),
        "refresh": (14, Message(_CONNECTED)),
        "sub_refresh": (15, Message(_EXPIRY)),
    }
)

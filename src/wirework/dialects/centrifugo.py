"""Centrifugo's client protocol, version 2 in JSON, so that its SDKs work with us.

What every message looks like and which codes its clients act on is written down in
`docs/dialects/centrifugo.md`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from .. import closecodes
from ..commands import (
    Authenticate,
    Call,
    Command,
    Disconnect,
    Ended,
    Event,
    Failure,
    Gap,
    HistoryPage,
    Id,
    Joined,
    Left,
    Output,
    Ping,
    Pong,
    PresenceList,
    Publish,
    ReadHistory,
    ReadPresence,
    Ready,
    Receipt,
    Renew,
    Renewed,
    Result,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from ..errors import MalformedMessage, ValidationError, WrongFrame
from ..json import JsonAdapter
from ..publications import Member, Position, Publication
from ..types import Body, Frame
from .base import Codec, Dialect, Endpoints

__all__ = ["Centrifugo"]

_MAX_ID: Final = 2**32 - 1
_MAX_OFFSET: Final = 2**53
_MAX_WAITING: Final = 1024
"""Answers that one connection may be waiting for whose kind has to be remembered."""


class Centrifugo(Dialect):
    """Centrifugo's client protocol in JSON: centrifuge-js, -go, -python.

    An `rpc` is a call of the function of its method, or of "rpc" without one, and a `send` is one
    of the function called "send".
    The token of `connect` is for `auth=`. Answers, publications and errors are the protocol's.

    Args:
        ping_interval: seconds between two pings of the server, which clients answer and by whose
            absence they notice that it is gone. Default 25.
        version: what clients are told as the server's version. Default "".
    """

    name: ClassVar[str] = "centrifugo"
    body: Body = "json"
    has_names: ClassVar[bool] = True
    can_authenticate: ClassVar[bool] = True
    greets: ClassVar[bool] = True
    endpoints: ClassVar[Endpoints] = Endpoints(
        "/websocket", "/http_stream", "/sse", "cf_connect", "/emulation"
    )

    def __init__(self, *, ping_interval: float = 25.0, version: str = "") -> None:
        if not 1 <= ping_interval <= 3600:
            raise ValueError(f"ping_interval: expected 1 to 3600 seconds, got {ping_interval!r}")
        self.ping_interval = ping_interval
        self.version = version

    def __repr__(self) -> str:
        return f"Centrifugo(ping_interval={self.ping_interval})"

    def open(self, json: JsonAdapter) -> Codec:
        """Return the codec of one new connection."""
        return _Codec(self, json)

    def wire_close(self, code: int, reason: str) -> tuple[int, str]:
        """Return the disconnect code of the protocol: from 3500 on clients do not come back."""
        if code == closecodes.NOT_AUTHENTICATED and reason == closecodes.EXPIRED_REASON:
            return 3005, "connection expired"
        return _CLOSES.get(code, code), reason


_CLOSES: Final = {
    closecodes.NORMAL: 3503,
    closecodes.GOING_AWAY: 3001,
    closecodes.WRONG_KIND: 3501,
    closecodes.INVALID_DATA: 3501,
    closecodes.POLICY: 3501,
    closecodes.INTERNAL_ERROR: 3004,
    closecodes.RESTARTING: 3001,
    closecodes.OVERLOADED: 3008,
    closecodes.MALFORMED: 3501,
    closecodes.NOT_AUTHENTICATED: 3500,
    closecodes.FORBIDDEN: 3507,
    closecodes.NOT_FOUND: 3508,
    closecodes.TIMED_OUT: 3502,
    closecodes.REPLACED: 3503,
    closecodes.TOO_MANY_MESSAGES: 3013,
}
"""Ours -> the protocol's disconnect codes."""

_ERRORS: Final[dict[str | int, tuple[int, bool]]] = {
    "internal": (100, True),
    "timed_out": (100, True),
    "unavailable": (100, True),
    "not_authenticated": (101, False),
    "unknown_channel": (102, False),
    "forbidden": (103, False),
    "not_found": (104, False),
    "subscribed": (105, False),
    "too_many_channels": (106, False),
    "full": (106, False),
    "validation": (107, False),
    "malformed": (107, False),
    "wrong_frame": (107, False),
    "bad_channel": (107, False),
    "not_subscribed": (103, False),
    "not_ready": (107, False),
    "no_history": (108, False),
    "no_presence": (108, False),
    "expired": (109, False),
    "rate_limited": (111, True),
    "unrecoverable": (112, False),
}
"""Our words -> the protocol's error codes, and whether to try again."""
_OWN_ERROR: Final = 400
"""The code of an application's own errors, whose words are in the message."""

_UNSUBSCRIBED: Final = {"unsubscribed": 2000, "expelled": 2000, "expired": 2501, "gap": 2500}
"""Why the server ends a subscription; from 2500 on clients subscribe anew."""


class _Since(msgspec.Struct, frozen=True):
    offset: int = 0
    epoch: str = ""


class _Sub(msgspec.Struct, frozen=True):
    recover: bool = False
    offset: int = 0
    epoch: str = ""


class _Connect(msgspec.Struct, frozen=True):
    token: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    subs: dict[str, _Sub] = {}


class _Subscribe(msgspec.Struct, frozen=True):
    channel: str
    token: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    recover: bool = False
    offset: int = 0
    epoch: str = ""


class _Channel(msgspec.Struct, frozen=True):
    channel: str
    token: str = ""


class _Publish(msgspec.Struct, frozen=True):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _History(msgspec.Struct, frozen=True):
    channel: str
    limit: int = 0
    since: _Since | None = None
    reverse: bool = False


class _Rpc(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"{}")
    method: str = ""


class _Send(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Refresh(msgspec.Struct, frozen=True):
    token: str


class _Empty(msgspec.Struct, frozen=True):
    pass


class _Command(msgspec.Struct, frozen=True):
    id: int = 0
    connect: _Connect | None = None
    subscribe: _Subscribe | None = None
    unsubscribe: _Channel | None = None
    publish: _Publish | None = None
    presence: _Channel | None = None
    presence_stats: _Channel | None = None
    history: _History | None = None
    ping: _Empty | None = None
    send: _Send | None = None
    rpc: _Rpc | None = None
    refresh: _Refresh | None = None
    sub_refresh: _Channel | None = None


_METHODS: Final = tuple(name for name in _Command.__struct_fields__ if name != "id")


class _Codec:
    def __init__(self, dialect: Centrifugo, json: JsonAdapter) -> None:
        self._version = dialect.version
        self._wire_close = dialect.wire_close
        self._json = json
        self._read = json.decoder(_Command)
        self.variant = ("centrifugo", json)
        self._refreshes: set[Id] = set()
        """Ids of `refresh`, which are answered otherwise than `connect`."""
        self._given: set[str] = set()
        """Channels that the server has subscribed the client to."""

    # --- in -------------------------------------------------------------------------------------

    def decode(self, frame: Frame) -> Sequence[Command]:
        if not isinstance(frame, str):
            raise WrongFrame("text", "binary")
        return [self._command(line) for line in frame.split("\n") if line and not line.isspace()]

    def _command(self, line: str) -> Command:
        if line == "{}":
            return Pong()
        try:
            said: _Command = self._read(line)
        except ValidationError as error:
            raise MalformedMessage(f"expected a command: {error}") from None
        given = [name for name in _METHODS if getattr(said, name) is not None]
        if not given and not said.id:
            return Pong()
        if len(given) != 1:
            raise MalformedMessage(f"expected one method, got {', '.join(given) or 'none'}")
        method = given[0]
        if not 0 <= said.id <= _MAX_ID or (said.id == 0 and method != "send"):
            raise MalformedMessage(f"id: expected 1 to {_MAX_ID}, got {said.id}")
        found: Command = getattr(self, f"_{method}")(getattr(said, method), said.id)
        return found

    def _connect(self, asked: _Connect, id: Id) -> Command:
        positions = {name: _position(sub) for name, sub in asked.subs.items() if sub.recover}
        return Authenticate(asked.token, id, positions)

    def _refresh(self, asked: _Refresh, id: Id) -> Command:
        if len(self._refreshes) < _MAX_WAITING:
            self._refreshes.add(id)
        return Authenticate(asked.token, id)

    def _subscribe(self, asked: _Subscribe, id: Id) -> Command:
        since = _position(asked) if asked.recover else None
        return Subscribe(asked.channel, since, bytes(asked.data), id, asked.token)

    def _sub_refresh(self, asked: _Channel, id: Id) -> Command:
        return Renew(asked.channel, asked.token, id)

    def _unsubscribe(self, asked: _Channel, id: Id) -> Command:
        return Unsubscribe(asked.channel, id)

    def _publish(self, asked: _Publish, id: Id) -> Command:
        return Publish(asked.channel, bytes(asked.data), id)

    def _presence(self, asked: _Channel, id: Id) -> Command:
        return ReadPresence(asked.channel, id)

    def _presence_stats(self, asked: _Channel, id: Id) -> Command:
        return ReadPresence(asked.channel, id, counts_only=True)

    def _history(self, asked: _History, id: Id) -> Command:
        since = asked.since
        position = None if since is None else _position(since)
        limit = None if asked.limit < 0 else asked.limit
        return ReadHistory(asked.channel, position, limit, asked.reverse, id)

    def _ping(self, asked: _Empty, id: Id) -> Command:
        return Ping(id)

    def _send(self, asked: _Send, id: Id) -> Command:
        return Call(bytes(asked.data), "send")

    def _rpc(self, asked: _Rpc, id: Id) -> Command:
        return Call(bytes(asked.data), asked.method or "rpc", id)

    # --- out ------------------------------------------------------------------------------------

    def encode(self, output: Output) -> Frame | None:
        if isinstance(output, Publication):
            publication = self._publication(output)
            return f'{{"push":{{"channel":{self._text(output.channel)},"pub":{publication}}}}}'
        if isinstance(output, Result):
            return self._result(output)
        said = self._said(output)
        return None if said is None else self._text(said)

    def _result(self, output: Result) -> str:
        value = self._text(output.value)
        if output.id is None:
            return f'{{"push":{{"message":{{"data":{value}}}}}}}'
        if output.index is None:
            return f'{{"id":{output.id},"rpc":{{"data":{value}}}}}'
        part = f'{{"id":{output.id},"seq":{output.index},"data":{value}}}'
        return f'{{"push":{{"message":{{"data":{part}}}}}}}'

    def _said(self, output: Output) -> dict[str, Any] | None:
        if isinstance(output, Ping):
            return {}
        if isinstance(output, Failure):
            return self._failure(output)
        if isinstance(output, Event):
            data = {"type": output.name, "data": output.value} if output.name else output.value
            return {"push": {"message": {"data": data}}}
        if isinstance(output, Ended):
            return {"id": output.id, "rpc": {"data": {"count": output.count}}}
        if isinstance(output, Ready):
            return self._ready(output)
        if isinstance(output, Pong):
            return {"id": output.id, "ping": {}}
        if isinstance(output, Disconnect):
            code, reason = self._wire_close(output.code, output.reason)
            code = 3501 if code == closecodes.MESSAGE_TOO_BIG else code
            return {"push": {"disconnect": {"code": code, "reason": reason}}}
        return self._about_channel(output)

    def _about_channel(self, output: Output) -> dict[str, Any] | None:
        if isinstance(output, Subscribed):
            said = self._subscribed(output)
            if output.id is None:
                self._given.add(output.channel)
                return _push(output.channel, "subscribe", said)
            return {"id": output.id, "subscribe": said}
        if isinstance(output, Unsubscribed):
            self._given.discard(output.channel)
            if output.id is not None:
                return {"id": output.id, "unsubscribe": {}}
            code = _UNSUBSCRIBED.get(output.code, 2000)
            reason = output.reason or output.code
            return _push(output.channel, "unsubscribe", {"code": code, "reason": reason})
        if isinstance(output, Gap):
            return self._gap(output)
        if isinstance(output, Joined):
            return _push(output.channel, "join", {"info": self._member(output.member)})
        if isinstance(output, Left):
            return _push(output.channel, "leave", {"info": self._member(output.member)})
        if isinstance(output, Receipt):
            return {"id": output.id, "publish": {}}
        if isinstance(output, PresenceList):
            return self._presence_list(output)
        if isinstance(output, HistoryPage):
            return {"id": output.id, "history": self._page(output)}
        if isinstance(output, Renewed):
            renewed = {} if output.ttl is None else _expiry(output.ttl)
            return {"id": output.id, "sub_refresh": renewed}
        return None

    def _gap(self, output: Gap) -> dict[str, Any]:
        """Have the client ask for the channel anew; what it was given it gets by coming back."""
        if output.channel in self._given:
            lost = {"code": 3010, "reason": "insufficient state"}
            return {"push": {"disconnect": lost}}
        return _push(output.channel, "unsubscribe", {"code": 2500, "reason": "insufficient state"})

    def _failure(self, failure: Failure) -> dict[str, Any]:
        code, is_temporary = _ERRORS.get(failure.code, (_OWN_ERROR, False))
        if isinstance(failure.code, int):
            code = failure.code
        message = failure.message
        is_own = code == _OWN_ERROR and not isinstance(failure.code, int)
        if failure.details is not None or is_own:
            words = {"code": failure.code, "message": failure.message, "details": failure.details}
            message = self._text({name: word for name, word in words.items() if word is not None})
        error: dict[str, Any] = {"code": code, "message": message}
        if is_temporary:
            error["temporary"] = True
        if failure.id is None:
            return {"push": {"message": {"data": {"error": error}}}}
        self._refreshes.discard(failure.id)
        return {"id": failure.id, "error": error}

    def _ready(self, output: Ready) -> dict[str, Any]:
        said: dict[str, Any] = {"client": output.connection, "version": self._version}
        if output.ttl is not None:
            said |= _expiry(output.ttl)
        if output.id in self._refreshes:
            self._refreshes.discard(output.id or 0)
            return {"id": output.id, "refresh": said}
        if output.value is not None:
            said["data"] = output.value
        if output.session:
            said |= {"session": output.session, "node": output.node}
        if output.ping is not None:
            said |= {"ping": math.ceil(output.ping), "pong": True}
        if output.subscriptions:
            self._given.update(each.channel for each in output.subscriptions)
            said["subs"] = {each.channel: self._subscribed(each) for each in output.subscriptions}
        return {"id": output.id, "connect": said}

    def _subscribed(self, output: Subscribed) -> dict[str, Any]:
        said: dict[str, Any] = {}
        publications = output.publications
        if output.position is not None:
            position = output.position
            if output.recovered and publications:
                # The client counts on from here with each publication that follows.
                first = publications[0]
                position = Position(first.epoch, first.offset - 1)
            said |= {"recoverable": True, "positioned": True, "epoch": position.epoch}
            said["offset"] = position.offset
        if output.recovered is not None:
            said |= {"was_recovering": True, "recovered": output.recovered}
        if publications:
            said["publications"] = [
                msgspec.Raw(self._publication(p).encode()) for p in publications
            ]
        if output.value is not None:
            said["data"] = output.value
        if output.ttl is not None:
            said |= _expiry(output.ttl)
        return said

    def _publication(self, publication: Publication) -> str:
        message = publication.message
        parts = [f'"data":{message.data.decode()}']
        if message.by is not None:
            parts.append(f'"info":{self._text(self._member(message.by))}')
        if publication.offset:
            parts.append(f'"offset":{publication.offset}')
        if message.key:
            parts.append(f'"tags":{self._text({"key": message.key})}')
        return "{" + ",".join(parts) + "}"

    def _member(self, member: Member) -> dict[str, Any]:
        said: dict[str, Any] = {"client": member.connection, "user": member.user}
        if member.info is not None:
            said["chan_info"] = msgspec.Raw(member.info)
        return said

    def _presence_list(self, output: PresenceList) -> dict[str, Any]:
        if output.members is None:
            numbers = {"num_clients": output.connections, "num_users": output.users}
            return {"id": output.id, "presence_stats": numbers}
        present = {member.connection: self._member(member) for member in output.members}
        return {"id": output.id, "presence": {"presence": present}}

    def _page(self, output: HistoryPage) -> dict[str, Any]:
        found = [msgspec.Raw(self._publication(each).encode()) for each in output.publications]
        position = output.position
        return {"publications": found, "epoch": position.epoch, "offset": position.offset}

    def _text(self, value: object) -> str:
        return self._json.encode(value).decode()


def _position(said: _Since | _Sub | _Subscribe) -> Position:
    if not 0 <= said.offset <= _MAX_OFFSET:
        raise MalformedMessage(f"offset: expected 0 to {_MAX_OFFSET}, got {said.offset}")
    return Position(said.epoch, said.offset)


def _expiry(ttl: float) -> dict[str, Any]:
    """Return when clients are to bring a newer token: before the old one is over, not just then."""
    return {"expires": True, "ttl": max(1, math.floor(ttl - min(10.0, ttl / 4)))}


def _push(channel: str, kind: str, said: dict[str, Any]) -> dict[str, Any]:
    return {"push": {"channel": channel, kind: said}}

"""What the server says: our outputs as the protocol's replies, in whatever format.

A reply is a dict with the protocol's words. Below `data`, `conn_info` and `chan_info` is any value,
or `msgspec.Raw` where that is JSON already.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from ... import closecodes
from ...commands import (
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
    Ready,
    Receipt,
    Renewed,
    Result,
    Subscribed,
    Unsubscribed,
)
from ...json import JsonAdapter
from ...publications import Member, Position, Publication
from .asking import Asked
from .codes import ERRORS, OWN_ERROR, UNSUBSCRIBED

__all__ = ["Reply", "Teller", "member_of", "publication_of"]

Reply: TypeAlias = dict[str, Any]

_MAX_WAITING: Final = 1024
"""Answers that one connection may be waiting for whose kind has to be remembered."""
_MAX_TTL: Final = 2**31 - 1
_PUSHED: Final[tuple[str, ...]] = ("recoverable", "positioned", "epoch", "offset", "data")
"""What a client is told of a subscription that it did not ask for."""


class Teller:
    """The words for one connection's outputs, with what has to be remembered for them.

    Args:
        version: what clients are told as the server's.
        wire_close: from our close code and reason to the protocol's.
        json: of the application.
    """

    __slots__ = ("_given", "_refreshes", "_version", "_wire_close", "json")

    def __init__(
        self,
        version: str,
        wire_close: Callable[[int, str], tuple[int, str]],
        json: JsonAdapter,
    ) -> None:
        self.json = json
        self._version = version
        self._wire_close = wire_close
        self._refreshes: set[Id] = set()
        """Ids of `refresh`, which are answered otherwise than `connect`."""
        self._given: set[str] = set()
        """Channels that the server has subscribed the client to."""

    def note(self, asked: Asked) -> None:
        """Remember what is to be answered in words that depend on the command."""
        if asked.refresh is not None and len(self._refreshes) < _MAX_WAITING:
            self._refreshes.add(asked.id)

    def replies(self, output: Output) -> list[Reply]:
        """Return what says `output`, usually one reply; none: there are no words for it."""
        reply = self._reply(output)
        if reply is None:
            return []
        if isinstance(output, Subscribed) and output.id is None:
            # The protocol's push says where the client stands, not what it has missed.
            missed = map(self.publication, output.publications)
            return [reply, *(_push(output.channel, "pub", each) for each in missed)]
        return [reply]

    def _reply(self, output: Output) -> Reply | None:
        if isinstance(output, Publication):
            return _push(output.channel, "pub", publication_of(output))
        if isinstance(output, Result):
            return _result(output)
        if isinstance(output, Ping):
            return {}
        if isinstance(output, Failure):
            return self._failure(output)
        if isinstance(output, Event):
            value = output.value
            return _message({"type": output.name, "data": value} if output.name else value)
        if isinstance(output, Ended):
            return {"id": output.id, "rpc": {"data": {"count": output.count}}}
        if isinstance(output, Ready):
            return self._ready(output)
        if isinstance(output, Pong):
            return {"id": output.id, "ping": {}}
        if isinstance(output, Disconnect):
            return self._disconnect(output)
        return self._about_channel(output)

    def _about_channel(self, output: Output) -> Reply | None:
        if isinstance(output, Subscribed):
            said = self._subscribed(output)
            if output.id is None:
                self._given.add(output.channel)
                told = {name: said[name] for name in _PUSHED if name in said}
                return _push(output.channel, "subscribe", told)
            return {"id": output.id, "subscribe": said}
        if isinstance(output, Unsubscribed):
            return self._unsubscribed(output)
        if isinstance(output, Gap):
            return self._gap(output)
        if isinstance(output, Joined):
            return _push(output.channel, "join", {"info": member_of(output.member)})
        if isinstance(output, Left):
            return _push(output.channel, "leave", {"info": member_of(output.member)})
        if isinstance(output, Receipt):
            return {"id": output.id, "publish": {}}
        if isinstance(output, PresenceList):
            return _presence(output)
        if isinstance(output, HistoryPage):
            return {"id": output.id, "history": self._page(output)}
        if isinstance(output, Renewed):
            renewed = {} if output.ttl is None else _expiry(output.ttl)
            return {"id": output.id, "sub_refresh": renewed}
        return None

    def publication(self, publication: Publication) -> Any:
        """Return the words for one of several publications."""
        return publication_of(publication)

    # --- the connection -------------------------------------------------------------------------

    def _ready(self, output: Ready) -> Reply:
        said: Reply = {"client": output.connection, "version": self._version}
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

    def _failure(self, failure: Failure) -> Reply:
        code, is_temporary = ERRORS.get(failure.code, (OWN_ERROR, False))
        if isinstance(failure.code, int):
            code = failure.code
        message = failure.message
        is_own = code == OWN_ERROR and not isinstance(failure.code, int)
        if failure.details is not None or is_own:
            words = {"code": failure.code, "message": failure.message, "details": failure.details}
            given = {name: word for name, word in words.items() if word is not None}
            message = self.json.encode(given).decode()
        error: Reply = {"code": code, "message": message}
        if is_temporary:
            error["temporary"] = True
        if failure.id is None:
            return _message({"error": error})
        self._refreshes.discard(failure.id)
        return {"id": failure.id, "error": error}

    def _disconnect(self, output: Disconnect) -> Reply:
        code, reason = self._wire_close(output.code, output.reason)
        code = 3501 if code == closecodes.MESSAGE_TOO_BIG else code
        return {"push": {"disconnect": {"code": code, "reason": reason}}}

    # --- channels -------------------------------------------------------------------------------

    def _subscribed(self, output: Subscribed) -> Reply:
        said: Reply = {}
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
            said["publications"] = [self.publication(each) for each in publications]
        if output.value is not None:
            said["data"] = output.value
        if output.ttl is not None:
            said |= _expiry(output.ttl)
        return said

    def _unsubscribed(self, output: Unsubscribed) -> Reply:
        self._given.discard(output.channel)
        if output.id is not None:
            return {"id": output.id, "unsubscribe": {}}
        code = UNSUBSCRIBED.get(output.code, 2000)
        reason = output.reason or output.code
        return _push(output.channel, "unsubscribe", {"code": code, "reason": reason})

    def _gap(self, output: Gap) -> Reply:
        """Have the client ask for the channel anew; what it was given it gets by coming back."""
        if output.channel in self._given:
            lost = {"code": 3010, "reason": "insufficient state"}
            return {"push": {"disconnect": lost}}
        return _push(output.channel, "unsubscribe", {"code": 2500, "reason": "insufficient state"})

    def _page(self, output: HistoryPage) -> Reply:
        found = [self.publication(each) for each in output.publications]
        position = output.position
        return {"publications": found, "epoch": position.epoch, "offset": position.offset}


def publication_of(publication: Publication) -> Reply:
    """Return the words for a publication."""
    message = publication.message
    said: Reply = {"data": msgspec.Raw(message.data)}
    if message.by is not None:
        said["info"] = member_of(message.by)
    if publication.offset:
        said["offset"] = publication.offset
    if message.key:
        said["tags"] = {"key": message.key}
    return said


def member_of(member: Member) -> Reply:
    """Return the words for somebody in a channel."""
    said: Reply = {"client": member.connection, "user": member.user}
    if member.about is not None:
        said["conn_info"] = msgspec.Raw(member.about)
    if member.info is not None:
        said["chan_info"] = msgspec.Raw(member.info)
    return said


def _result(output: Result) -> Reply:
    if output.id is None:
        return _message(output.value)
    if output.index is None:
        return {"id": output.id, "rpc": {"data": output.value}}
    return _message({"id": output.id, "seq": output.index, "data": output.value})


def _presence(output: PresenceList) -> Reply:
    if output.members is None:
        numbers = {"num_clients": output.connections, "num_users": output.users}
        return {"id": output.id, "presence_stats": numbers}
    present = {member.connection: member_of(member) for member in output.members}
    return {"id": output.id, "presence": {"presence": present}}


def _expiry(ttl: float) -> Reply:
    """Return when clients are to bring a newer token: before the old one is over, not just then."""
    seconds = math.floor(ttl - min(10.0, ttl / 4))
    return {"expires": True, "ttl": min(max(1, seconds), _MAX_TTL)}


def _message(data: Any) -> Reply:
    return {"push": {"message": {"data": data}}}


def _push(channel: str, kind: str, said: Reply) -> Reply:
    return {"push": {"channel": channel, kind: said}}

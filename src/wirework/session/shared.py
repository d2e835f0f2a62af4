"""A session that several connections share: what a function returns reaches all of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from msgspec.structs import replace

from .. import closecodes
from ..channels.channel import NamedChannel
from ..channels.hub import AlreadySubscribed
from ..channels.subscription import Subscription
from ..dialects.base import Dialect
from ..dialects.shared import SharedCodec
from ..errors import BrokerUnavailable, ConnectionClosed, Reject, ValidationError
from ..publications import Member, Message
from ..types import Frame
from ..websocket import WebSocket, outgoing

__all__ = ["SharedSession", "Update", "unavailable"]


class Update(NamedTuple):
    """What a function has returned, for everybody.

    `answer` is for the client that has sent the call, where it waits for an answer.
    """

    message: Message
    answer: Frame | None


class SharedSession:
    """The session that a connection shares with others: a channel.

    Args:
        ws: the connection.
        dialect: of its route.
        channel: what the `shared` hook returned.

    Raises:
        Reject: it returned None or False.
        TypeError: it returned no channel.
    """

    __slots__ = ("_channel", "_member", "_ws")

    def __init__(self, ws: WebSocket, dialect: Dialect, channel: Any) -> None:
        if channel is None or channel is False:
            raise Reject("forbidden", "You may not do this.")
        if not isinstance(channel, NamedChannel):
            raise TypeError(f"shared: expected a channel such as chat(room='42'), got {channel!r}")
        self._channel: NamedChannel[Any] = channel
        self._ws = ws
        self._member: Member = channel.family.host.member_of(ws)
        assert ws.codec is not None
        ws.codec = SharedCodec(ws.codec, dialect, channel.family.host.json, channel.name)
        mine = channel.family.host.hub.subscriptions(ws.connection).get(channel.name)
        if mine is not None and mine.topic is not None:  # by a hook that ran before
            mine.topic.regroup(mine)

    async def enter(self, greeting: Frame | None) -> None:
        """Tell the client the greeting, if there is one, what is kept, then all that comes.

        Raises:
            Reject: channels are out of order.
        """
        hub, family = self._channel.family.host.hub, self._channel.family
        name, ws = self._channel.name, self._ws
        frame = None if greeting is None else outgoing(greeting)
        try:
            mine = await hub.subscribe(
                name, family.rules, ws, self._member, is_by_server=True, greeting=frame
            )
        except AlreadySubscribed:  # by one of the other hooks
            mine = hub.subscriptions(ws.connection)[name]
            if greeting is not None:
                with suppress(ConnectionClosed):
                    await ws.send_frame(greeting)
        except ConnectionClosed:  # what it had sent is handled all the same
            return
        except BrokerUnavailable:
            raise unavailable() from None
        if mine.topic is None:
            self._on_end(mine)
        else:
            mine.on_end = self._on_end

    def _on_end(self, subscription: Subscription) -> None:
        """End the connection of somebody who was sent away: it is of no use without its session."""
        if not self._ws.connection.is_ended:
            self._ws.end(closecodes.FORBIDDEN, "expelled")

    def update(self, name: str, value: Any, answer: Frame | None) -> Update:
        """Return what tells everybody the state `name`.

        Raises:
            TypeError: the value cannot be published.
        """
        try:
            message = self._channel.message(value, key=name)
        except ValidationError as error:  # not the client's mistake
            raise TypeError(
                f"{self._channel!r}: {name!r} does not fit its model: {error}"
            ) from None
        return Update(replace(message, by=self._member), answer)

    async def publish(self, update: Update) -> None:
        """Tell everybody.

        Raises:
            Reject: channels are out of order.
        """
        try:
            await self._channel.publish_message(update.message, "")
        except BrokerUnavailable:
            raise unavailable() from None


def unavailable() -> Reject:
    """Return what a client is told while the broker is away."""
    return Reject("unavailable", "channels are out of order, try again")

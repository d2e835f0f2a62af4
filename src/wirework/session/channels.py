"""What a client asks of channels: it may what the functions of the channel allow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ..binding.depends import Store
from ..binding.plan import Context, Plan
from ..channels.admission import Admission, admission
from ..channels.channel import NamedChannel
from ..channels.content import encoded, is_html, key_of
from ..channels.directory import Visit
from ..channels.expiry import Expiry
from ..channels.hub import AlreadySubscribed
from ..channels.names import check_name
from ..channels.options import Allow, Post
from ..channels.subscription import Subscription
from ..commands import (
    Call,
    ChannelCommand,
    HistoryPage,
    Output,
    PresenceList,
    Publish,
    ReadHistory,
    ReadPresence,
    Receipt,
    Renew,
    Renewed,
    Subscribe,
    Unsubscribe,
    Unsubscribed,
)
from ..dialects.shared import SharedCodec
from ..errors import BrokerUnavailable, NoSuchChannel, Reject
from ..handlers import call_plan, is_own_end, report
from ..publications import Message
from ..websocket import WebSocket
from .endpoint import MessageEndpoint
from .shared import unavailable

if TYPE_CHECKING:
    from ..channels.directory import Channels

__all__ = ["Visits"]

logger = logging.getLogger("wirework")

_FORBIDDEN = "You may not do this."


class Speaker(Protocol):
    """The session, as far as it is asked here."""

    ws: WebSocket
    lasting: Store
    endpoint: MessageEndpoint

    def push(self, output: Output) -> bool:
        """Say `output` without waiting for room."""


class Visits:
    """The channels of one connection: each command is judged by itself.

    Args:
        session: of the connection.
        channels: of the application.
        limit: channels that the connection may be subscribed to at a time.
    """

    __slots__ = (
        "_arriving",
        "_channels",
        "_farewells",
        "_gone",
        "_limit",
        "_session",
        "_unwanted",
    )

    def __init__(self, session: Speaker, channels: Channels, limit: int) -> None:
        self._session = session
        self._channels = channels
        self._limit = limit
        self._arriving: set[str] = set()
        """Names that are being subscribed to."""
        self._unwanted: set[str] = set()
        """Those of them that the client has left meanwhile."""
        self._gone: list[Subscription] = []
        """Those that ended with the connection, and that nobody was told of."""
        self._farewells: set[asyncio.Task[None]] = set()

    async def do(self, command: ChannelCommand) -> None:
        """Do what the client asks and answer it.

        Raises:
            Reject: it may not, or cannot.
        """
        if isinstance(command, Unsubscribe) and self._session.endpoint.dialect.greets:
            self._leave(command)
            return
        check_name(command.channel)
        try:
            await self._do(command)
        except NoSuchChannel:
            raise Reject("unknown_channel", "there is no such channel") from None
        except BrokerUnavailable as error:
            logger.warning("%s: %s", command.channel, error.reason)
            raise unavailable() from None

    async def _do(self, command: ChannelCommand) -> None:
        if isinstance(command, Subscribe):
            await self._subscribe(command)
        elif isinstance(command, Unsubscribe):
            await self._unsubscribe(command)
        elif isinstance(command, Renew):
            await self._renew(command)
        elif isinstance(command, Publish):
            await self._publish(command)
        elif isinstance(command, ReadHistory):
            await self._history(command)
        else:
            await self._presence(command)

    # --- subscriptions --------------------------------------------------------------------------

    async def _subscribe(self, command: Subscribe) -> None:
        name, ws, hub = command.channel, self._session.ws, self._channels.hub
        channel, parameters = self._channels.find(name)
        mine = hub.subscriptions(ws.connection)
        if name in mine and mine[name].is_gapped and self._session.endpoint.dialect.greets:
            hub.leave(mine[name])  # told of a gap, such a client subscribes anew
        if name in mine or name in self._arriving:
            raise AlreadySubscribed
        if len(mine.keys() | self._arriving) >= self._limit:
            raise Reject("too_many_channels", f"at most {self._limit} at a time")
        self._arriving.add(name)
        try:
            token = await self._read_token(channel, command.token)
            allowed = await self._admit(channel, Visit(channel, parameters), command)
            said = token.info if allowed.info is None else allowed.info
            info = None if said is None else self._channels.json.encode(said)
            async with self._room(channel):
                subscription = await hub.subscribe(
                    name,
                    channel.family.rules,
                    ws,
                    self._channels.member_of(ws, info),
                    since=command.since,
                    must_recover=command.must_recover,
                    value=allowed.data,
                    id=command.id,
                    ttl=_ttl(token),
                )
        finally:
            self._arriving.discard(name)
            is_unwanted = name in self._unwanted
            self._unwanted.discard(name)
        subscription.visit = Visit(channel, parameters)
        subscription.on_end = self._on_end
        if is_unwanted and subscription.topic is not None:
            hub.leave(subscription)
        elif subscription.topic is None:
            self._on_end(subscription)
        else:
            self._expire(subscription, token)

    async def _read_token(self, channel: NamedChannel[Any], token: str) -> Admission:
        """Return what the token says, where the channel asks for one; else nothing."""
        judge = channel.family.token
        if judge is None:
            return Admission(None, None)
        member = self._channels.member_of(self._session.ws)
        return await admission(judge, token, channel.name, member)

    def _expire(self, subscription: Subscription, token: Admission) -> None:
        """Have a subscription end when its token is not good any more."""
        if subscription.expiry is not None:
            subscription.expiry.stop()
        at = token.expires_at
        subscription.expiry = None if at is None else Expiry(subscription, at, self._end_expired)

    def _end_expired(self, subscription: Subscription) -> None:
        self._channels.hub.expel_one(subscription, "expired", "subscription expired")

    async def _renew(self, command: Renew) -> None:
        subscription = self._subscription(command.channel)
        channel, _ = self._channels.find(command.channel)
        if channel.family.token is None:
            raise Reject("malformed", "subscriptions to this channel do not expire")
        try:
            token = await self._read_token(channel, command.token)
        except Reject as refusal:
            if refusal.code == "expired":  # it may subscribe anew, with a newer one
                self._end_expired(subscription)
            raise
        if subscription.topic is not None:
            self._expire(subscription, token)
        self._session.push(Renewed(command.channel, _ttl(token), command.id))

    async def _admit(self, channel: NamedChannel[Any], visit: Visit, command: Subscribe) -> Allow:
        result: Any = True
        if channel.family.token is None or channel.family.may_subscribe is not None:
            result = await self._ask(channel.family.may_subscribe, visit, command.body)
        if isinstance(result, Allow):
            return result
        return Allow(None if result is True else result)

    @asynccontextmanager
    async def _room(self, channel: NamedChannel[Any]) -> AsyncIterator[None]:
        """Let one after the other come in where there is a limit, so that each is counted."""
        limit, hub = channel.family.max_subscribers, self._channels.hub
        if limit is None:
            yield
            return
        async with hub.turn(channel.name):
            here = hub.local_count(channel.name)
            if max(here, await channel.subscriber_count()) >= limit:
                raise Reject("full", f"at most {limit} at a time")
            yield

    async def _unsubscribe(self, command: Unsubscribe) -> None:
        subscription = self._subscription(command.channel)
        codec = self._session.ws.codec
        if isinstance(codec, SharedCodec) and codec.channel == command.channel:
            raise Reject("forbidden", "close the connection to leave its session")
        self._channels.hub.leave(subscription)
        self._session.push(Unsubscribed(command.channel, id=command.id))

    def _leave(self, command: Unsubscribe) -> None:
        """End a subscription, also one that is not there yet, or no more: there is no error.

        Such clients take an error for a reason to connect anew, with all their subscriptions.
        """
        name = command.channel
        subscription = self._channels.hub.subscriptions(self._session.ws.connection).get(name)
        if name in self._arriving:
            self._unwanted.add(name)
        elif subscription is not None:
            self._channels.hub.leave(subscription)
        self._session.push(Unsubscribed(name, id=command.id))

    def _on_end(self, subscription: Subscription) -> None:
        if subscription.expiry is not None:
            subscription.expiry.stop()
        if subscription.connection.is_ended:
            self._gone.append(subscription)
            return
        farewell = asyncio.get_running_loop().create_task(self._say_goodbye(subscription))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def leave_all(self) -> None:
        """End every subscription: the connection has ended. Returns when all hooks have run."""
        self._channels.hub.leave_all(self._session.ws.connection)
        gone, self._gone = self._gone, []
        for subscription in gone:
            await self._say_goodbye(subscription)
        if self._farewells:
            await asyncio.gather(*self._farewells)

    async def _say_goodbye(self, subscription: Subscription) -> None:
        """Run `on_unsubscribe`; its errors end nothing."""
        visit = subscription.visit
        plan = None if visit is None else visit.channel.family.unsubscribed
        if plan is None:
            return
        try:
            await self._run(plan, visit, b"{}")
        except Exception as error:
            if not is_own_end(self._session.ws, error):
                report(self._session.ws, error, plan.where)

    # --- publications ---------------------------------------------------------------------------

    async def _publish(self, command: Publish) -> None:
        subscription = self._subscription(command.channel)
        channel, parameters = self._channels.find(command.channel)
        family, ws = channel.family, self._session.ws
        visit = Visit(channel, parameters)
        result = await self._ask(family.may_publish, visit, command.body)
        if subscription.topic is None:
            raise Reject("not_subscribed", "the subscription has ended meanwhile")
        post = result if isinstance(result, Post) else Post(result, key_of(result))
        if post.data is True:
            family.decode(command.body)
        data = bytes(command.body) if post.data is True else encoded(post.data, self._channels.json)
        message = Message(
            data,
            post.key,
            subscription.member,
            () if post.to_sender else (ws.id,),
            round(time.time() * 1000),
            is_html(post.data),
        )
        sender, key = subscription.member.key, command.idempotency
        # With its length, so that nobody's sender and key are those of somebody else.
        once = f"{len(sender)} {sender} {key}" if key else ""
        position = await channel.publish_message(message, once)
        self._session.push(Receipt(command.channel, position, command.id))

    async def _history(self, command: ReadHistory) -> None:
        self._subscription(command.channel)
        channel, _ = self._channels.find(command.channel)
        if channel.family.rules.keep is None:
            raise Reject("no_history", "this channel keeps no history")
        since = command.since
        page = await channel.read(command.limit, since, reverse=command.reverse)
        if since is not None and since.epoch and since.epoch != page.top.epoch:
            raise Reject("unrecoverable", "what was published since this position is lost")
        self._session.push(HistoryPage(command.channel, page.publications, page.top, command.id))

    async def _presence(self, command: ReadPresence) -> None:
        subscription = self._subscription(command.channel)
        channel, _ = self._channels.find(command.channel)
        presence, broker = channel.family.rules.presence, self._channels.hub.broker
        if presence is None:
            raise Reject("no_presence", "this channel does not tell who is there")
        if command.counts_only or not presence.members:
            connections, users = await broker.count(command.channel)
            numbers = PresenceList(command.channel, connections, users, None, 0, command.id)
            self._session.push(numbers)
        else:
            await self._list_members(subscription, command)

    async def _list_members(self, subscription: Subscription, command: ReadPresence) -> None:
        """Tell who is there; whoever comes and goes while that is read is told after it."""
        name = command.channel
        subscription.announced = subscription.announced or []
        version = None
        try:
            roll = await self._channels.hub.members(name)
            users, version = len({member.key for member in roll.members}), roll.version
            self._session.push(
                PresenceList(name, len(roll.members), users, roll.members, version, command.id)
            )
        finally:
            subscription.announce_waiting(version)

    # --- within ---------------------------------------------------------------------------------

    def _subscription(self, name: str) -> Subscription:
        found = self._channels.hub.subscriptions(self._session.ws.connection).get(name)
        if found is None or found.held is not None:
            raise Reject("not_subscribed", "subscribe to it first")
        return found

    async def _ask(self, plan: Plan | None, visit: Visit, body: Any) -> Any:
        """Return what the deciding function says; no function is a no."""
        result = None if plan is None else await self._run(plan, visit, body)
        if result is None or result is False:
            raise Reject("forbidden", _FORBIDDEN)
        return result

    async def _run(self, plan: Plan, visit: Visit | None, body: Any) -> Any:
        session = self._session
        call = Call(body, meta=visit)
        async with Context(session.ws, session.ws.handshake, session.lasting, call) as context:
            return await call_plan(plan, context)


def _ttl(token: Admission) -> float | None:
    """Return the seconds for which a token is good."""
    return None if token.expires_at is None else token.expires_at - time.time()

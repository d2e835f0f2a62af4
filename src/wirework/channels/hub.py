"""The hub: which connections of this process get what is published in which channel.

It subscribes to a channel while somebody here is subscribed, tells everybody in the channel's
order, and reads from history what was missed: nobody is told of a publication twice, or not at all
while it can be had.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from msgspec.structs import replace

from ..brokers.base import Broker, Page
from ..commands import Id, Joined, Left, Output, Subscribed, Unsubscribed
from ..connection import Connection
from ..errors import BrokerUnavailable, ConnectionClosed, Reject
from ..outbox import Outgoing
from ..publications import Member, Message, Position, Publication
from ..websocket import WebSocket
from .attendance import Attendance
from .backlog import Backlog
from .consumer import Consumer
from .recovery import Recovery, is_for
from .rules import Rules
from .subscription import Subscription, frame_of
from .topic import Topic

__all__ = ["AlreadySubscribed", "Hub", "Stats"]

logger = logging.getLogger("wirework")


class AlreadySubscribed(Reject):
    """A connection is subscribed to a channel once."""

    def __init__(self) -> None:
        super().__init__("subscribed", "this connection is subscribed to it already")


class Stats(NamedTuple):
    """What a hub holds and has done."""

    channels: int
    subscriptions: int
    dropped: int
    gaps: int
    is_degraded: bool


class Hub:
    """Channels of one process.

    Args:
        broker: carries publications.
        history_limit: publications that are read at once.
        presence_grace: seconds after which a user who left counts as gone.
        check_interval: seconds in which every channel with history is compared with the broker.
        on_control: takes what workers tell each other outside of channels.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        history_limit: int = 300,
        presence_grace: float = 15.0,
        check_interval: float = 30.0,
        on_control: Callable[[bytes], None] | None = None,
    ) -> None:
        self.broker = broker
        self.history_limit = history_limit
        self.attendance = Attendance(broker, presence_grace)
        self.is_degraded = False
        """Whether the broker is away."""
        self._check_interval = check_interval
        self._on_control = on_control
        self._topics: dict[str, Topic] = {}
        self._by_connection: dict[Connection, dict[str, Subscription]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._recovery = Recovery(broker, history_limit, self.leave, self._spawn)
        self._starting: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turns: dict[Backlog, Iterator[None]] = {}
        """Channels with many subscriptions that have something to tell."""
        self._turner: asyncio.Task[None] | None = None
        self._dropped = 0

    # --- its life -------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Let it be started again after `stop`."""
        self._is_stopped = False

    async def start(self) -> None:
        """Start the broker, once.

        Raises:
            BrokerUnavailable: it cannot be reached, or `stop` was called.
        """
        if self._is_stopped:
            raise BrokerUnavailable("the application has stopped")
        starting = self._starting
        if starting is None:
            starting = self._starting = asyncio.get_running_loop().create_task(self._start())
        try:
            await asyncio.shield(starting)
        except Exception:
            if self._starting is starting:
                self._starting = None
            raise

    async def _start(self) -> None:
        await self.broker.start(self)
        if self.broker.is_shared:
            try:
                await self.broker.subscribe(CONTROL)
            except BaseException:
                await self.broker.stop()
                raise
        self._spawn(self._look_after())

    async def stop(self) -> None:
        """End every subscription and the broker's part in this process."""
        self._is_stopped = True
        starting, self._starting = self._starting, None
        if starting is None:
            return
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        for connection in list(self._by_connection):
            self.leave_all(connection)
        for topic in self._topics.values():
            for consumer in topic.consumers:
                consumer.end()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._topics.clear()
        self._turns.clear()
        await self.attendance.stop()
        await self.broker.stop()

    @property
    def stats(self) -> Stats:
        """What it holds now."""
        topics = self._topics.values()
        return Stats(
            len(topics),
            sum(map(len, topics)),
            self._dropped + sum(topic.dropped for topic in topics),
            self._recovery.gaps,
            self.is_degraded,
        )

    # --- subscriptions --------------------------------------------------------------------------

    async def subscribe(
        self,
        name: str,
        rules: Rules,
        ws: WebSocket,
        member: Member,
        *,
        since: Position | None = None,
        must_recover: bool = False,
        is_by_server: bool = False,
        value: Any = None,
        id: Id | None = None,
        ttl: float | None = None,
        greeting: Outgoing | None = None,
    ) -> Subscription:
        """Subscribe a connection: tell it so, then what it has missed, then all that comes.

        `value`, `id` and `ttl` are for the client, beside what it has missed. `greeting` is a frame
        that it gets right before all that.

        Raises:
            AlreadySubscribed: the connection is, or another task is about to do it.
            BrokerUnavailable: the broker is away, and nobody here is subscribed yet, or there is
                something to be read from its history.
            ConnectionClosed: the connection has ended meanwhile.
            Reject: the subscription was ended meanwhile; or something since `since` is lost, and
                the client must not miss it ("unrecoverable").
        """
        if name in self.subscriptions(ws.connection):
            raise AlreadySubscribed
        async with self._claimed(name, rules) as topic:
            if name in self.subscriptions(ws.connection):
                raise AlreadySubscribed
            subscription = Subscription(topic, ws, member, is_by_server=is_by_server)
            mine = self._by_connection.setdefault(ws.connection, {})
            topic.add(subscription)
            mine[name] = subscription
        try:
            if rules.presence is not None:
                await self.attendance.join(name, member)
            page, recovered = await self._recovery.missed(name, rules, since)
            if ws.connection.is_ended:
                raise ws.connection.closed_error()
            if must_recover and since is not None and not recovered:
                raise Reject("unrecoverable", "what was missed is lost")
            if subscription.topic is None:
                raise Reject("unsubscribed", "the subscription was ended before it began")
            if greeting is not None:
                ws.connection.push(greeting)
            self._go_live(subscription, page, Subscribed(name, None, recovered, (), value, id, ttl))
        except BaseException:
            self.leave(subscription)
            raise
        return subscription

    def _go_live(self, subscription: Subscription, page: Page | None, output: Subscribed) -> None:
        topic = subscription.topic
        assert topic is not None
        held, subscription.held = subscription.held or (), None
        told: list[Publication] = []
        if page is not None:
            told = [each for each in page.publications if is_for(subscription, each)]
            subscription.position = page.top
        if topic.rules.keep is not None:
            output = replace(output, position=subscription.position)
        if _is_told(subscription, replace(output, publications=told)):
            told = []
        waiting = deque([*told, *self._recovery.merged(topic, subscription, held)])
        while waiting:
            if isinstance(waiting[0], Publication) and not topic.has_room_for(subscription):
                topic.fall_behind_with(subscription, waiting)
                self.catch_up(topic, subscription)
                return
            subscription.say(waiting.popleft())
        topic.go_live(subscription)

    def leave(self, subscription: Subscription) -> None:
        """End a subscription; its member is gone after the grace."""
        topic = subscription.topic
        if topic is None:
            return
        topic.remove(subscription)
        mine = self._by_connection.get(subscription.connection)
        if mine is not None and mine.get(topic.name) is subscription:
            del mine[topic.name]
            if not mine:
                del self._by_connection[subscription.connection]
        if topic.rules.presence is not None:
            self.attendance.leave(topic.name, subscription.member, topic.rules.presence.grace)
        self._close_if_empty(topic)
        if subscription.on_end is not None:
            subscription.on_end(subscription)

    def leave_all(self, connection: Connection) -> None:
        """End every subscription of a connection."""
        for subscription in list(self._by_connection.get(connection, {}).values()):
            self.leave(subscription)

    def subscriptions(self, connection: Connection) -> dict[str, Subscription]:
        """Return the subscriptions of a connection, by channel."""
        return self._by_connection.get(connection, {})

    def local_count(self, name: str) -> int:
        """Return how many connections of this process are subscribed, or about to be."""
        topic = self._topics.get(name)
        return 0 if topic is None else len(topic) + topic.claims - len(topic.consumers)

    def turn(self, name: str) -> asyncio.Lock:
        """Return what lets one after the other subscribe to a channel, for who counts them."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    def topic(self, name: str) -> Topic | None:
        """Return the channel, if anybody of this process is subscribed to it."""
        return self._topics.get(name)

    def expel(self, name: str, keys: set[str] | None, code: str, reason: str) -> int:
        """End the subscriptions to `name` of users (None: of all), and tell them why."""
        topic = self._topics.get(name)
        found = [each for each in topic or () if keys is None or each.member.key in keys]
        for subscription in found:
            self.expel_one(subscription, code, reason)
        return len(found)

    def expel_one(self, subscription: Subscription, code: str, reason: str) -> None:
        """End a subscription, and tell its client why."""
        if subscription.topic is not None:
            subscription.say(Unsubscribed(subscription.topic.name, code, reason))
            self.leave(subscription)

    async def tell_workers(self, data: bytes) -> None:
        """Have every worker, this one too, take what concerns all of them.

        Raises:
            BrokerUnavailable: it is unknown whether others were told.
        """
        await self.start()
        if self.broker.is_shared:
            await self.broker.publish(CONTROL, Message(data))
        elif self._on_control is not None:
            self._on_control(data)

    async def breathe(self, name: str) -> None:
        """Let transports write where a channel was told to outboxes that are half full."""
        topic = self._topics.get(name)
        if topic is not None and topic.is_congested:
            topic.is_congested = False
            await asyncio.sleep(0)

    @asynccontextmanager
    async def consume(self, name: str, rules: Rules) -> AsyncIterator[Consumer]:
        """Give the server's own code what is published in `name` while the block runs."""
        consumer = Consumer()
        async with self._claimed(name, rules) as topic:
            topic.consumers[consumer] = None
        try:
            yield consumer
        finally:
            topic.consumers.pop(consumer, None)
            self._close_if_empty(topic)

    # --- topics ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def _claimed(self, name: str, rules: Rules) -> AsyncIterator[Topic]:
        """Open the channel, which is then open for the block."""
        await self.start()
        topic = await self._opened(name, rules)
        try:
            yield topic
        finally:
            topic.claims -= 1
            self._close_if_empty(topic)

    async def _opened(self, name: str, rules: Rules) -> Topic:
        while True:
            topic = self._topics.get(name)
            if topic is None:
                topic = Topic(name, rules, self)
                self._topics[name] = topic
                topic.opening = self._spawn(self._open(topic))
            if topic.closing is not None:
                await asyncio.wait((topic.closing,))
                continue
            topic.claims += 1
            try:
                assert topic.opening is not None
                await asyncio.wait((topic.opening,))
                if topic.opening.cancelled():
                    raise BrokerUnavailable("the application stops")
                topic.opening.result()
            except BaseException:
                topic.claims -= 1
                self._close_if_empty(topic)
                raise
            return topic

    async def _open(self, topic: Topic) -> None:
        try:
            await self.broker.subscribe(topic.name)
            keep = topic.rules.keep
            if keep is not None:
                topic.position = (await self.broker.read(topic.name, keep, limit=0)).top
        except BaseException:
            await self._let_go(topic)
            raise
        for publication in topic.release():
            topic.tell(publication)
        if topic.held is not None:
            self._backfill(topic)

    def _close_if_empty(self, topic: Topic) -> None:
        if not topic.is_empty or topic.closing is not None or self._starting is None:
            return
        if self._topics.get(topic.name) is topic:
            topic.closing = self._spawn(self._close(topic))

    async def _close(self, topic: Topic) -> None:
        if topic.backfill is not None:
            topic.backfill.cancel()
        try:
            if topic.opening is not None:
                await asyncio.gather(topic.opening, return_exceptions=True)
        finally:
            if self._topics.get(topic.name) is topic:
                await self._let_go(topic)

    async def _let_go(self, topic: Topic) -> None:
        """Have the broker tell no more of a channel; who comes meanwhile waits for `closing`."""
        if topic.closing is None:
            topic.closing = asyncio.current_task()
        try:
            with suppress(BrokerUnavailable):
                await self.broker.unsubscribe(topic.name)
        finally:
            self._dropped += topic.dropped
            self._topics.pop(topic.name, None)

    # --- what the broker tells ------------------------------------------------------------------

    def on_publication(self, publication: Publication) -> None:
        """Tell everybody, in order; see `Receiver`."""
        topic = self._topics.get(publication.channel)
        if topic is None:
            if publication.channel == CONTROL and self._on_control is not None:
                self._on_control(publication.message.data)
            return
        if topic.accept(publication):
            topic.tell(publication)
        elif topic.held is not None and topic.opening is not None and topic.opening.done():
            self._backfill(topic)

    def on_joined(self, channel: str, member: Member, version: int) -> None:
        """Tell those who want to know; see `Receiver`."""
        self._announce(channel, Joined(channel, member, version), member, version)

    def on_left(self, channel: str, member: Member, version: int) -> None:
        """Tell those who want to know; see `Receiver`."""
        self._announce(channel, Left(channel, member, version), member, version)

    def _announce(self, channel: str, output: Output, member: Member, version: int) -> None:
        topic = self._topics.get(channel)
        presence = None if topic is None else topic.rules.presence
        if topic is not None and presence is not None and presence.announce:
            topic.announce(output, member.key, version)

    def on_degraded(self) -> None:
        """Note that publications may be missed from now on; see `Receiver`."""
        self.is_degraded = True
        logger.warning("the broker is away: channels go on when it is back")

    def on_restored(self) -> None:
        """Read what was missed; see `Receiver`."""
        self.is_degraded = False
        logger.warning("the broker is back")
        for topic in self._topics.values():
            if topic.rules.keep is not None and topic.held is None:
                topic.hold()
                self._backfill(topic)

    # --- what takes time ------------------------------------------------------------------------

    def catch_up(self, topic: Topic, subscription: Subscription) -> None:
        """Tell a subscription that is behind what it has missed, when its outbox has room."""
        self._spawn(self._recovery.catch_up(topic, subscription))

    def _backfill(self, topic: Topic) -> None:
        if topic.backfill is None or topic.backfill.done():
            topic.backfill = self._spawn(self._recovery.fill(topic))

    def tell_in_turns(self, backlog: Backlog) -> None:
        """Have a channel with many subscriptions take turns with the others."""
        self._turns[backlog] = backlog.steps()
        if self._turner is None or self._turner.done():
            self._turner = self._spawn(self._take_turns())

    async def _take_turns(self) -> None:
        while self._turns:
            for backlog, steps in list(self._turns.items()):
                if next(steps, _OVER) is _OVER and self._turns.get(backlog) is steps:
                    del self._turns[backlog]
                await asyncio.sleep(0)

    async def _look_after(self) -> None:
        """Compare channels with the broker now and then: a silent loss shows in the position."""
        while True:
            await asyncio.sleep(self._check_interval * random.uniform(0.75, 1.25))
            if not self.is_degraded:
                try:
                    await self._look_at_all()
                except Exception:
                    logger.exception("channels could not be compared with the broker")

    async def _look_at_all(self) -> None:
        topics = [each for each in self._topics.values() if each.closing is None]
        for topic in topics:
            is_behind = await self._recovery.is_behind(topic)
            if is_behind and self._topics.get(topic.name) is topic:
                topic.hold()
                self._backfill(topic)
        present = [each.name for each in topics if each.rules.presence is not None]
        with suppress(BrokerUnavailable):
            await self.broker.sweep(present)

    # --- tasks ----------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, (BrokerUnavailable, ConnectionClosed)):
            logger.error("a task of the hub failed", exc_info=error)


CONTROL: Final = "$wirework"
"""The channel on which workers tell each other what concerns all of them."""


_OVER: Final = object()


def _is_told(subscription: Subscription, output: Subscribed) -> bool:
    """Tell the client that it is subscribed, now or with `Ready`; False: its dialect cannot."""
    conversation = subscription.ws.conversation
    if conversation is not None and conversation.collects(output):
        return True
    frame = frame_of(subscription.ws, output)
    if frame is not None:
        subscription.connection.push(frame)
    return frame is not None

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
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from msgspec.structs import replace

from ..brokers.base import Broker, Page, Roll
from ..commands import Gap, Id, Joined, Left, Subscribed, Unsubscribed
from ..connection import Connection
from ..errors import BrokerUnavailable, ConnectionClosed, Reject
from ..outbox import Outgoing
from ..publications import Member, Message, Position, Publication
from ..websocket import WebSocket
from .attendance import Attendance
from .backlog import Backlog
from .consumer import Consumer
from .past import MOST_TOLD, Past
from .recovery import Recovery
from .roll_call import RollCall
from .rules import Rules
from .subscription import Subscription
from .topic import Topic

__all__ = ["AlreadySubscribed", "Hub", "Stats"]

logger = logging.getLogger("wirework")


class AlreadySubscribed(Reject):
    """A connection is subscribed to a channel once."""

    def __init__(self) -> None:
        super().__init__("subscribed", "this connection is subscribed to it already")


class Stats(NamedTuple):
    """What a hub holds and has done.

    Args:
        channels: that somebody of this process is subscribed to.
        subscriptions: to all of them, also of the server's own code.
        dropped: publications that slow subscribers did not get.
        gaps: holes that could not be filled.
        is_degraded: whether the broker is away.
        received: publications that came from the broker, this process' own ones too.
        published: publications of this process.
        losses: how often the broker has gone away.
    """

    channels: int
    subscriptions: int
    dropped: int
    gaps: int
    is_degraded: bool
    received: int
    published: int
    losses: int


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
        self.is_started = False
        """Whether the broker was reached, and `stop` was not called since."""
        self.is_degraded = False
        """Whether the broker is away."""
        self.also_compared: Callable[[], Coroutine[Any, Any, None]] | None = None
        """Runs when the broker is back, and whenever channels are compared with it."""
        self._check_interval = check_interval
        self._on_control = on_control
        self._topics: dict[str, Topic] = {}
        self._by_connection: dict[Connection, dict[str, Subscription]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._recovery = Recovery(broker, history_limit, self.leave, self._spawn)
        self._roll_call = RollCall(broker, self._spawn)
        self._starting: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turns: dict[Backlog, Iterator[None]] = {}
        """Channels with many subscriptions that have something to tell."""
        self._turner: asyncio.Task[None] | None = None
        self.on_changed: Callable[[], None] | None = None
        """Called when the broker was reached, has gone or is back, and at the end."""
        self._subscriptions = self._dropped = self._received = self._published = self._losses = 0

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
        self.is_started = True
        self._has_changed()

    async def stop(self) -> None:
        """End every subscription and the broker's part in this process."""
        self._is_stopped = True
        self.is_started = False
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
        self._dropped += sum(topic.dropped for topic in self._topics.values())
        self._topics.clear()
        self._turns.clear()
        await self.attendance.stop()
        await self.broker.stop()
        self._has_changed()

    @property
    def stats(self) -> Stats:
        """What it holds now."""
        topics = self._topics.values()
        return Stats(
            len(topics),
            self._subscriptions,
            self._dropped + sum(topic.dropped for topic in topics),
            self._recovery.gaps,
            self.is_degraded,
            self._received,
            self._published,
            self._losses,
        )

    @property
    def is_away(self) -> bool:
        """Whether the broker that was reached is away now, as far as is known."""
        return self.is_started and (self.is_degraded or not self.broker.is_available)

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
            self._subscriptions += 1
            mine[name] = subscription
            if rules.keep is not None:
                ws.connection.outbox.on_loss = partial(self._on_loss, ws.connection)
        try:
            if rules.presence is not None:
                await self.attendance.join(name, member)
                await self._roll_call.begin(topic)
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
        past = Past.of(subscription, page, MOST_TOLD if topic.has_room_for(subscription) else 0)
        before = subscription.position = past.position
        if topic.rules.keep is not None:
            output = replace(output, position=past.position)
        is_told = _is_told(subscription, replace(output, publications=past.told), past.before)
        waiting: deque[Publication | Gap] = deque(() if is_told else past.told)
        later: Sequence[Publication | Gap] = past.rest
        if not past.is_cut or topic.rules.mode == "latest":
            later = [*later, *self._recovery.merged(topic, subscription, held)]
        if not past.is_cut:
            waiting.extend(later)
        while waiting and subscription not in topic.behind:
            if isinstance(waiting[0], Publication) and not topic.has_room_for(subscription):
                topic.fall_behind_with(subscription, [*waiting, *(later if past.is_cut else ())])
                self.catch_up(topic, subscription)
                return
            subscription.say(waiting[0], before)
            before = waiting.popleft().position
        if past.is_cut and subscription not in topic.behind:
            topic.fall_behind_with(subscription, later, past.position)
            self.catch_up(topic, subscription)
        elif subscription not in topic.behind:
            topic.go_live(subscription)

    def _on_loss(self, connection: Connection, lost: Mapping[str, Position]) -> None:
        """The outbox of a connection has given up what channels with history have told it."""
        for name, position in lost.items():
            subscription = self.subscriptions(connection).get(name)
            if subscription is None or subscription.held is not None:
                continue
            topic = subscription.topic
            assert topic is not None
            is_behind = subscription in topic.behind
            topic.fall_back(subscription, position)
            if not is_behind:
                self.catch_up(topic, subscription)

    def leave(self, subscription: Subscription) -> None:
        """End a subscription; its member is gone after the grace."""
        topic = subscription.topic
        if topic is None:
            return
        topic.remove(subscription)
        self._subscriptions -= 1
        mine = self._by_connection.get(subscription.connection)
        if mine is not None and mine.get(topic.name) is subscription:
            del mine[topic.name]
            if not mine:
                del self._by_connection[subscription.connection]
                subscription.connection.outbox.on_loss = None
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

    async def members(self, name: str) -> Roll:
        """Return who is present; subscribers here are told what they had not heard of that.

        Raises:
            BrokerUnavailable: it cannot be read.
        """
        return await self._roll_call.members(name, self._topics.get(name))

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
        """Count a publication of this process, and let transports write where it was told.

        That is where an outbox is more than half full.
        """
        self._published += 1
        topic = self._topics.get(name)
        if topic is not None and topic.is_congested:
            topic.is_congested = False
            await asyncio.sleep(0)

    @asynccontextmanager
    async def consume(
        self, name: str, rules: Rules, since: Position | None = None
    ) -> AsyncIterator[Consumer]:
        """Give the server's own code what is published in `name` while the block runs.

        `since`: first what was published after it, in a channel with history.
        """
        async with self._claimed(name, rules) as topic:
            consumer = Consumer(topic, self._recovery, since)
            topic.consumers[consumer] = None
            self._subscriptions += 1
        try:
            yield consumer
        finally:
            topic.consumers.pop(consumer, None)
            self._subscriptions -= 1
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
        self._received += 1
        if topic.accept(publication):
            topic.tell(publication)
        elif topic.held is not None and topic.opening is not None and topic.opening.done():
            self._backfill(topic)

    def on_joined(self, channel: str, member: Member, version: int) -> None:
        """Tell those who want to know; see `Receiver`."""
        topic = self._topics.get(channel)
        if topic is not None:
            self._roll_call.tell(topic, Joined(channel, member, version))

    def on_left(self, channel: str, member: Member, version: int) -> None:
        """Tell those who want to know; see `Receiver`."""
        topic = self._topics.get(channel)
        if topic is not None:
            self._roll_call.tell(topic, Left(channel, member, version))

    def on_degraded(self) -> None:
        """Note that publications may be missed from now on; see `Receiver`."""
        self.is_degraded = True
        self._losses += 1
        self._has_changed()
        logger.warning("the broker is away: channels go on when it is back")

    def on_restored(self) -> None:
        """Read what was missed; see `Receiver`."""
        self.is_degraded = False
        self._has_changed()
        logger.warning("the broker is back")
        if self.also_compared is not None:
            self._spawn(self.also_compared())
        for topic in self._topics.values():
            if topic.rules.keep is not None and topic.held is None:
                topic.hold()
                self._backfill(topic)
        self._roll_call.check_soon(self._topics.values())

    def _has_changed(self) -> None:
        if self.on_changed is not None:
            self.on_changed()

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
                    if self.also_compared is not None:
                        await self.also_compared()
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
        for topic in topics:
            await self._roll_call.check(topic)

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


def _is_told(subscription: Subscription, output: Subscribed, before: Position) -> bool:
    """Tell the client that it is subscribed, now or with `Ready`; False: its dialect cannot."""
    conversation = subscription.ws.conversation
    if conversation is not None and conversation.collects(output):
        return True
    frame = subscription.frame(output, before)
    if frame is not None:
        subscription.connection.push(frame)
    return frame is not None

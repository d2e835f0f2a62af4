"""What was missed: read from history, in order, without a hole, or told as a gap."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from ..brokers.base import Broker, Keep, Page
from ..commands import Gap
from ..errors import BrokerUnavailable
from ..publications import Position, Publication
from .reader import Reader
from .rules import Rules
from .subscription import Subscription
from .topic import Topic

__all__ = ["Recovery", "is_for", "start_of"]

logger = logging.getLogger("wirework")

_READERS: Final = 32
"""Channels whose history is read at the same time, when the broker is back."""

_PAUSE: float = 0.1
_MAX_PAUSE: Final = 5.0
"""Seconds until a broker that is away is asked again: at first, and at most."""


class Recovery:
    """Reads what topics and subscriptions have missed.

    Args:
        broker: keeps history.
        limit: publications that are read at once.
        leave: ends the subscription of a connection that has ended.
        spawn: runs what nobody waits for.
    """

    def __init__(
        self,
        broker: Broker,
        limit: int,
        leave: Callable[[Subscription], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._broker = broker
        self._limit = limit
        self._leave = leave
        self._reader = Reader(broker, limit, spawn)
        self._readers = asyncio.Semaphore(_READERS)
        self.gaps = 0
        """Holes that could not be filled."""

    # --- new subscriptions ----------------------------------------------------------------------

    async def missed(
        self, name: str, rules: Rules, since: Position | None
    ) -> tuple[Page | None, bool | None]:
        """Return what a new subscriber is told of the past, and whether it misses nothing.

        Of a long past that is the first page; the others follow by `catch_up`.
        """
        keep = rules.keep
        if keep is None:
            return None, None if since is None else False
        if rules.mode != "latest" and since is None:
            return None, None
        limit = keep.size if keep.latest else self._limit
        if since is None or keep.latest:
            page = await self._broker.read(name, keep, since=since, limit=limit)
        else:
            page = await self._reader.missed(name, keep, since)
        if since is None:
            return page, None
        if page.is_whole or (not keep.latest and _goes_on(page, since)):
            return page, True
        if keep.latest:
            page = await self._broker.read(name, keep, limit=limit)
            return page, False
        return page._replace(publications=()), False

    def merged(
        self, topic: Topic, subscription: Subscription, held: Iterable[Publication]
    ) -> list[Publication | Gap]:
        """Return what came while the past was read, in order, with the holes in it."""
        found: list[Publication | Gap] = []
        keep = topic.rules.keep
        has_holes = keep is not None and keep.latest
        for publication in held:
            here = subscription.position
            if publication.offset:
                is_same = publication.epoch == here.epoch
                if is_same and publication.offset <= here.offset:
                    continue
                if not is_same or (publication.offset > here.offset + 1 and not has_holes):
                    hole = Position(publication.epoch, publication.offset - 1)
                    found.append(Gap(topic.name, hole))
                    self.gaps += 1
                subscription.position = publication.position
            if is_for(subscription, publication):
                found.append(publication)
        return found

    # --- topics ---------------------------------------------------------------------------------

    async def fill(self, topic: Topic) -> None:
        """Tell what was missed, then what was held; what cannot be had is a gap."""
        assert topic.rules.keep is not None
        pause = _PAUSE
        while topic.held is not None:
            try:
                async with self._readers:
                    page = await self._read(topic.name, topic.rules.keep, topic.position)
            except BrokerUnavailable:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, _MAX_PAUSE)
                continue
            start = start_of(page, topic.position, topic.rules.keep)
            if start is not None:
                self.gaps += 1
                topic.tell_gap(start)
                if not topic.rules.keep.latest:
                    continue
            for publication in page.publications:
                topic.position = publication.position
                topic.tell(publication)
            if page.is_whole:
                topic.position = page.top
                for publication in topic.release():
                    topic.tell(publication)
            await asyncio.sleep(0)

    async def after(self, name: str, keep: Keep, since: Position) -> Page:
        """Return what was published after `since`, or the first of it, for one of several.

        Raises:
            BrokerUnavailable: it cannot be read.
        """
        if keep.latest:
            return await self._read(name, keep, since)
        return await self._reader.missed(name, keep, since)

    async def _read(self, name: str, keep: Keep, since: Position) -> Page:
        limit = keep.size if keep.latest else self._limit
        page = await self._broker.read(name, keep, since=since, limit=limit)
        if not keep.latest or page.top.epoch == since.epoch:
            return page
        page = await self._broker.read(name, keep, limit=limit)  # all that it keeps is new
        return page._replace(is_whole=False)

    async def catch_up(self, topic: Topic, subscription: Subscription) -> None:
        """Tell a slow subscription what it has missed, as fast as its peer reads."""
        connection = subscription.connection
        while subscription.topic is topic:
            await connection.drain()
            if connection.is_ended:
                self._leave(subscription)
                return
            if subscription.pending is not None:
                is_done = self._tell_pending(subscription)
            else:
                is_done = await self._tell_missed(topic, subscription)
            if is_done and subscription.topic is topic:
                subscription.pending = None
                topic.go_live(subscription)
                return
            await asyncio.sleep(0)

    def _tell_pending(self, subscription: Subscription) -> bool:
        pending = subscription.pending
        assert pending is not None
        while pending and not subscription.connection.outbox.is_congested:
            publication = pending.pop(next(iter(pending)))
            subscription.position = publication.position
            if is_for(subscription, publication):
                subscription.say(publication)
            if subscription.pending is not pending:
                return False
        return not pending

    async def _tell_missed(self, topic: Topic, subscription: Subscription) -> bool:
        keep = topic.rules.keep
        assert keep is not None
        falls = subscription.falls
        try:
            page = await self.after(topic.name, keep, subscription.position)
        except BrokerUnavailable:
            await asyncio.sleep(_PAUSE * random.uniform(5, 15))
            return False
        if subscription.falls == falls and not self._tell_page(topic, subscription, page):
            if subscription.falls != falls:  # there was no room for one: let others be read first
                await asyncio.sleep(_PAUSE)
            return False
        if subscription.falls != falls:
            return False
        mine, here = subscription.position, topic.position
        if mine.epoch != here.epoch:  # until the topic has noticed, too
            await asyncio.sleep(_PAUSE)
        return mine.epoch == here.epoch and mine.offset >= here.offset

    def _tell_page(self, topic: Topic, subscription: Subscription, page: Page) -> bool:
        """Tell as much as there is room for; False: there is more, or it was given up."""
        keep, falls, before = topic.rules.keep, subscription.falls, subscription.position
        assert keep is not None
        start = start_of(page, before, keep)
        if start is not None:
            self.gaps += 1
            subscription.position = start
            subscription.say(Gap(topic.name, start), before)
            if not keep.latest or subscription.falls != falls:
                return False
        for publication in page.publications:
            subscription.position = publication.position
            if is_for(subscription, publication):
                subscription.say(publication)
            if subscription.falls != falls or subscription.connection.outbox.is_congested:
                return False
        if page.is_whole or keep.latest:
            subscription.position = page.top
        return True

    async def is_behind(self, topic: Topic) -> bool:
        """Whether the broker has had publications that were not told here."""
        keep = topic.rules.keep
        if keep is None or topic.held is not None:
            return False
        sequence, position = topic.sequence, topic.position
        try:
            top = (await self._broker.read(topic.name, keep, limit=0)).top
        except BrokerUnavailable:
            return False
        is_quiet = topic.sequence == sequence and topic.held is None
        if not is_quiet or top == position:
            return False
        logger.warning("%r is at %s, the broker at %s: reading", topic.name, position, top)
        return True


def is_for(subscription: Subscription, publication: Publication) -> bool:
    """Whether a publication is not kept from this connection."""
    return subscription.connection.id not in publication.message.exclude


def _goes_on(page: Page, since: Position) -> bool:
    """Whether a page begins right after `since`, so that history has what follows it, too."""
    first = page.publications[0] if page.publications else None
    return first is not None and first.position == Position(since.epoch, since.offset + 1)


def start_of(page: Page, since: Position, keep: Keep) -> Position | None:
    """Return where to go on after a hole; None: `page` goes on right after `since`."""
    if page.is_whole:
        return None
    if page.top.epoch != since.epoch and not keep.latest:
        return Position(page.top.epoch, 0)
    first = page.publications[0] if page.publications else None
    if first is not None and keep.latest:
        return Position(first.epoch, first.offset - 1)
    return None if _goes_on(page, since) else page.top

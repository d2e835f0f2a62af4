"""Publications for the server's own code: `async for publication in chat(room="42")`."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Final

from ..errors import BrokerUnavailable
from ..publications import MissedPublications, Position, Publication
from .recovery import Recovery, start_of

if TYPE_CHECKING:
    from .topic import Topic

__all__ = ["Consumer"]

_BOUND: Final = 1000
_PAUSE: float = 1.0
"""Seconds until a broker that is away is asked again."""


class Consumer:
    """Holds publications until they are taken: at most 1,000.

    What comes when it is full is read from history later. Where the channel keeps none, `take`
    raises; but in mode "ephemeral" the oldest go.

    Args:
        topic: the channel.
        recovery: reads its history.
        since: where it stands; None: where the channel is.
    """

    def __init__(self, topic: Topic, recovery: Recovery, since: Position | None = None) -> None:
        self._topic = topic
        self._recovery = recovery
        self._waiting: deque[Publication] = deque()
        self._woken = asyncio.Event()
        self._position = topic.position if since is None else since
        """Of the last that was held, where the channel keeps history."""
        self._is_late = since is not None
        """Whether something is missing after those that wait."""
        self._is_over = False

    def put(self, publication: Publication) -> None:
        """Hold a publication, if there is room and nothing before it is missing."""
        if self._is_late:
            return
        is_kept = self._topic.rules.keep is not None and publication.offset
        if is_kept and self._has(publication):
            return
        if len(self._waiting) >= _BOUND:
            if self._topic.rules.mode != "ephemeral":
                self._is_late = True
                return
            self._waiting.popleft()
        if is_kept:
            self._position = publication.position
        self._waiting.append(publication)
        self._woken.set()

    def _has(self, publication: Publication) -> bool:
        here = self._position
        return publication.epoch == here.epoch and publication.offset <= here.offset

    def lose(self) -> None:
        """Note that something is missing here."""
        self._is_late = True
        self._woken.set()

    def end(self) -> None:
        """Give nothing more after what waits."""
        self._is_over = True
        self._woken.set()

    async def take(self) -> Publication | None:
        """Return the next publication, waiting for it; None: there will be none.

        Raises:
            MissedPublications: some are missing before the next one.
        """
        while not self._waiting:
            if self._is_over:
                return None
            if self._is_late:
                await self._catch_up()
            else:
                self._woken.clear()
                await self._woken.wait()
        return self._waiting.popleft()

    async def _catch_up(self) -> None:
        """Hold what comes next, from history.

        Raises:
            MissedPublications: it does not have it.
        """
        name, keep = self._topic.name, self._topic.rules.keep
        if keep is None:
            self._is_late = False
            raise MissedPublications(name, None)
        try:
            page = await self._recovery.after(name, keep, self._position)
        except BrokerUnavailable:
            await self._pause()
            return
        start = start_of(page, self._position, keep)
        if start is not None and not keep.latest:
            self._position = start
            raise MissedPublications(name, start)
        self._waiting.extend(page.publications)
        if page.publications:
            self._position = page.publications[-1].position
        if page.is_whole or keep.latest:
            self._position = page.top
        here, there = self._position, self._topic.position
        self._is_late = here.epoch != there.epoch or here.offset < there.offset
        if here.epoch != there.epoch and not self._waiting:
            await self._pause()  # until the topic has noticed, too

    async def _pause(self) -> None:
        """Wait a while, or until it is over."""
        self._woken.clear()
        if not self._is_over:
            try:
                async with asyncio.timeout(_PAUSE * random.uniform(0.5, 1.5)):
                    await self._woken.wait()
            except TimeoutError:
                pass

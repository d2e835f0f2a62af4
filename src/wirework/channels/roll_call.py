"""Asks the broker who is there, so that a join or leave that was lost is told after all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

from ..brokers.base import Broker, Roll
from ..errors import BrokerUnavailable
from .roster import EVERYBODY, Change, Roster
from .topic import Topic

__all__ = ["RollCall"]

_AT_ONCE: Final = 32
"""Channels that are looked at at the same time, when the broker is back."""
_MANY: Final = 1000
"""Members of whom only the number is compared, now and then."""
_PAUSE: Final = 0.1
_MAX_PAUSE: Final = 5.0
"""Seconds until a broker that is away is asked again: at first, and at most."""
_PATIENCE: float = 15.0
"""Seconds for which other processes may take to write their members again after a loss."""


class RollCall:
    """Tells subscribers who comes and goes, also what the broker could not tell.

    Where other processes take part, a channel that announces has a `Roster` of what was told. The
    memory's broker loses nothing, so there it has none.

    Args:
        broker: keeps presence.
        spawn: runs what nobody waits for.
    """

    def __init__(
        self, broker: Broker, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._broker = broker
        self._spawn = spawn
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def begin(self, topic: Topic) -> None:
        """Learn who is there before the first subscriber is told who comes and goes.

        Raises:
            BrokerUnavailable: the broker is away.
        """
        if not self._broker.is_shared or not topic.announces:
            return
        roster = topic.roster
        if roster is None:
            roster = topic.roster = Roster(topic.name)
        if roster.is_known:
            return
        if roster.beginning is None or roster.beginning.done():
            roster.beginning = self._spawn(self._begin(topic, roster))
        beginning = roster.beginning
        await asyncio.wait((beginning,))
        if beginning.cancelled():
            raise BrokerUnavailable("the application stops")
        beginning.result()

    async def _begin(self, topic: Topic, roster: Roster) -> None:
        await self._read(topic, roster)

    def tell(self, topic: Topic, change: Change) -> None:
        """Tell subscribers of a join or leave, unless they have been told."""
        if not topic.announces:
            return
        roster = topic.roster
        listed_since = EVERYBODY if roster is None else roster.note(change)
        if listed_since is not None:
            topic.announce(change, change.member.key, change.version, listed_since)

    async def members(self, name: str, topic: Topic | None) -> Roll:
        """Return who is present; subscribers here are told what they had not heard.

        Raises:
            BrokerUnavailable: the broker is away.
        """
        roster = None if topic is None else topic.roster
        if topic is None or roster is None or not roster.is_known:
            return await self._broker.members(name)
        return await self._read(topic, roster)

    # --- losses ---------------------------------------------------------------------------------

    def check_soon(self, topics: Iterable[Topic]) -> None:
        """Find what was lost in these channels: the broker was away."""
        for topic in topics:
            roster = topic.roster
            if roster is not None and roster.is_known:
                if roster.checking is not None:
                    roster.checking.cancel()
                roster.checking = self._spawn(self._check_whole(topic, roster))

    async def check(self, topic: Topic) -> None:
        """Find what was lost without a sign; in a big channel only where the number shows it."""
        roster = topic.roster
        if roster is None or not roster.is_known:
            return
        with suppress(BrokerUnavailable):
            if len(roster) > _MANY and len(roster) == (await self._broker.count(topic.name))[1]:
                return
            await self._read(topic, roster)

    async def _check_whole(self, topic: Topic, roster: Roster) -> None:
        pause = _PAUSE
        while topic.closing is None:
            try:
                async with self._places:
                    await self._read(topic, roster)
                return
            except BrokerUnavailable:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, _MAX_PAUSE)

    async def _confirm(self, topic: Topic, roster: Roster) -> None:
        """Look again for those who were missing."""
        while roster.is_doubtful and topic.closing is None:
            await asyncio.sleep(_PATIENCE)
            with suppress(BrokerUnavailable):
                await self._read(topic, roster)

    async def _read(self, topic: Topic, roster: Roster) -> Roll:
        with roster.reading() as began:
            roll = await self._broker.members(topic.name)
            now = asyncio.get_running_loop().time()
            for change in roster.take(roll, began, now=now, patience=0.9 * _PATIENCE):
                topic.announce(change, change.member.key, change.version)
        if roster.is_doubtful and (roster.confirming is None or roster.confirming.done()):
            roster.confirming = self._spawn(self._confirm(topic, roster))
        return roll

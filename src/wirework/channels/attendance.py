"""Who of this process is present in which channels, and who counts as gone only in a while."""

from __future__ import annotations

import asyncio
import heapq
import logging
from itertools import count
from typing import Final, TypeAlias

from ..brokers.base import Broker
from ..errors import BrokerUnavailable
from ..publications import Member

__all__ = ["Attendance"]

logger = logging.getLogger("wirework")

_AGAIN: Final = 5.0
"""Seconds after which a leave that the broker did not take is tried again."""


_Place: TypeAlias = tuple[str, str]
"""A channel, and the id of a connection there."""


class Attendance:
    """Notes at the broker who comes, and, after a grace, who has gone.

    A user that comes back within the grace was never away: the broker counts connections, and the
    old one leaves after the new one has come, on whichever worker that is.

    Args:
        broker: keeps presence.
        grace: seconds, where a channel does not say otherwise.
    """

    def __init__(self, broker: Broker, grace: float) -> None:
        self._broker = broker
        self._grace = grace
        self._leaving: list[tuple[float, int, str, Member]] = []
        self._due: dict[_Place, int] = {}
        """Who leaves, and the number of the entry in `_leaving` that counts."""
        self._struck: tuple[_Place, asyncio.Future[None]] | None = None
        """Who is being struck off at the broker just now."""
        self._numbers = count()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def join(self, channel: str, member: Member) -> None:
        """Note that a connection is present; that it was about to leave no longer counts.

        Raises:
            BrokerUnavailable: it could not be noted.
        """
        place = (channel, member.connection)
        if self._struck is not None and self._struck[0] == place:
            await asyncio.wait((self._struck[1],))
        self._due.pop(place, None)
        await self._broker.join(channel, member)

    def leave(self, channel: str, member: Member, grace: float | None) -> None:
        """Note that a connection has gone: a user's after `grace` seconds, nobody's at once."""
        seconds = (self._grace if grace is None else grace) if member.user else 0.0
        self._expect(channel, member, seconds)

    async def stop(self) -> None:
        """Stop; the broker forgets the members of this process when it stops."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._leaving.clear()
        self._due.clear()

    def _expect(self, channel: str, member: Member, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        number = self._due[channel, member.connection] = next(self._numbers)
        heapq.heappush(self._leaving, (loop.time() + seconds, number, channel, member))
        if self._task is None or self._task.done():
            self._wanted = asyncio.Event()  # the one before may be of another event loop
            self._task = loop.create_task(self._work())
        else:
            self._wanted.set()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._leaving:
            wait = self._leaving[0][0] - loop.time()
            if wait > 0:
                self._wanted.clear()
                try:
                    async with asyncio.timeout(wait):
                        await self._wanted.wait()
                except TimeoutError:
                    pass
                continue
            _, number, channel, member = heapq.heappop(self._leaving)
            if self._due.get((channel, member.connection)) == number:
                await self._strike_off(channel, member)

    async def _strike_off(self, channel: str, member: Member) -> None:
        place = (channel, member.connection)
        done = asyncio.get_running_loop().create_future()
        self._struck = (place, done)
        del self._due[place]
        try:
            await self._broker.leave(channel, member)
        except BrokerUnavailable:
            self._expect(channel, member, _AGAIN)
        except Exception:
            logger.exception("the broker could not note that somebody has left %r", channel)
        finally:
            self._struck = None
            done.set_result(None)

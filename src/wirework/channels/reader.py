"""Reading a channel's history for many who return at the same time, as after a worker has died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeAlias

from ..brokers.base import Broker, Keep, Page
from ..errors import BrokerUnavailable
from ..publications import Position

__all__ = ["Reader"]

_Wanted: TypeAlias = tuple[Position, asyncio.Future[Page]]


class _Group(NamedTuple):
    """What can be read at once: after positions of one epoch in one channel."""

    channel: str
    keep: Keep
    epoch: str


class Reader:
    """Reads what several subscribers have missed at once, from the oldest of their positions on.

    A read that has begun is for those who had asked before: who asks meanwhile may have subscribed
    later, and gets the next one.

    Args:
        broker: keeps history.
        limit: publications that are read at once; who has missed more gets the first of them.
        spawn: runs what nobody waits for.
    """

    def __init__(
        self,
        broker: Broker,
        limit: int,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._broker = broker
        self._limit = limit
        self._spawn = spawn
        self._waiting: dict[_Group, list[_Wanted]] = {}
        """Of each group that is being read: who waits for the next read."""

    async def missed(self, name: str, keep: Keep, since: Position) -> Page:
        """Return what was published after `since`, or the first of it, in a channel with a stream.

        Raises:
            BrokerUnavailable: it cannot be read.
        """
        group = _Group(name, keep, since.epoch)
        waiting = self._waiting.get(group)
        if waiting is not None:
            answer: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
            waiting.append((since, answer))
            return await answer
        waiting = self._waiting[group] = []
        try:
            return await self._read(group, since)
        finally:
            if waiting:
                task = self._spawn(self._serve(group, waiting))
                task.add_done_callback(lambda _: self._give_up(group, waiting))
            else:
                del self._waiting[group]

    async def _read(self, group: _Group, since: Position) -> Page:
        return await self._broker.read(group.channel, group.keep, since=since, limit=self._limit)

    async def _serve(self, group: _Group, waiting: list[_Wanted]) -> None:
        """Read until nobody waits."""
        while wanted := [each for each in waiting if not each[1].done()]:
            try:
                page = await self._read(group, min(wanted, key=_offset_of)[0])
            except BrokerUnavailable as error:
                del waiting[: waiting.index(wanted[-1]) + 1]
                _refuse(wanted, error.reason)
                continue
            del waiting[: waiting.index(wanted[-1]) + 1]
            waiting[:0] = self._answer(wanted, page)
        del self._waiting[group]

    def _answer(self, wanted: list[_Wanted], page: Page) -> list[_Wanted]:
        """Give everybody their part; return those for whom `page` ends too early."""
        oldest = min(wanted, key=_offset_of)[0]
        rest = []
        for since, answer in wanted:
            part = page if since == oldest else _part(page, since, self._limit)
            if part is None:
                rest.append((since, answer))
            elif not answer.done():
                answer.set_result(part)
        return rest

    def _give_up(self, group: _Group, waiting: list[_Wanted]) -> None:
        """Refuse those who wait though nobody reads any more."""
        if self._waiting.get(group) is waiting:
            del self._waiting[group]
            _refuse(waiting, "the application stops")


def _offset_of(wanted: _Wanted) -> int:
    return wanted[0].offset


def _refuse(wanted: list[_Wanted], reason: str) -> None:
    for _, answer in wanted:
        if not answer.done():
            answer.set_exception(BrokerUnavailable(reason))


def _part(page: Page, since: Position, limit: int) -> Page | None:
    """Return what `page`, of an older position, says to who is at `since`; None: not enough."""
    missed = page.top.offset - since.offset
    if page.top.epoch != since.epoch or missed < 0:
        return Page((), page.top, is_whole=False)
    found = [each for each in page.publications if each.offset > since.offset]
    is_cut = len(page.publications) >= limit
    if is_cut and missed and not found:
        return None
    return Page(found, page.top, is_whole=len(found) == missed)

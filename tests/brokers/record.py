"""What a process sees of a broker: a receiver that records, and waits for what must come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import NamedTuple

from wirework.brokers import Broker, Keep, Member, Message, Publication, broker_of

__all__ = ["KEEP", "PATIENCE", "Change", "Place", "Recorder", "Worker", "eventually", "numbered"]

PATIENCE = 30.0
"""Seconds after which what has not come will not come."""
KEEP = Keep(size=1_000, ttl=300.0)


class Change(NamedTuple):
    """A member has come or gone."""

    what: str
    channel: str
    member: Member
    version: int


class Recorder:
    """A receiver that keeps everything in order."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.changes: list[Change] = []
        self.states: list[str] = []
        self._news = asyncio.Event()

    def on_publication(self, publication: Publication) -> None:
        self.publications.append(publication)
        self._news.set()

    def on_joined(self, channel: str, member: Member, version: int) -> None:
        self.changes.append(Change("joined", channel, member, version))
        self._news.set()

    def on_left(self, channel: str, member: Member, version: int) -> None:
        self.changes.append(Change("left", channel, member, version))
        self._news.set()

    def on_degraded(self) -> None:
        self.states.append("degraded")
        self._news.set()

    def on_restored(self) -> None:
        self.states.append("restored")
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; looked at after everything that comes."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def published(self, number: int) -> list[bytes]:
        """Wait for `number` publications in all; return their data."""
        await self.until(lambda: len(self.publications) >= number)
        return [publication.message.data for publication in self.publications]

    async def told_of(self, data: bytes) -> None:
        """Wait for the publication with this data."""
        await self.until(lambda: any(each.message.data == data for each in self.publications))

    async def told_up_to(self, offset: int) -> None:
        """Wait for the publication with this offset, or a later one."""
        await self.until(lambda: any(each.offset >= offset for each in self.publications))

    async def another_change(self) -> None:
        """Wait until one more member has come or gone."""
        seen = len(self.changes)
        await self.until(lambda: len(self.changes) > seen)

    async def changed(self, number: int) -> list[tuple[str, str]]:
        """Wait for `number` changes in all; return what and whose key."""
        await self.until(lambda: len(self.changes) >= number)
        return [(change.what, change.member.key) for change in self.changes]


class Worker:
    """One process on a broker: in most tests a second connection stands for a second process."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.seen = Recorder()

    async def say(self, channel: str, *texts: bytes, keep: Keep | None = KEEP) -> None:
        """Publish each of `texts`, one after the other."""
        for text in texts:
            await self.broker.publish(channel, Message(text), keep)

    async def quiet(self) -> None:
        """Return when everything that was published before has been told, if it is told at all."""
        channel = f"quiet-{next(_quiet)}-{id(self)}"
        await self.broker.subscribe(channel)
        await self.broker.publish(channel, Message(b"quiet"))
        await self.seen.until(lambda: any(p.channel == channel for p in self.seen.publications))
        await self.broker.unsubscribe(channel)
        self.seen.publications[:] = [p for p in self.seen.publications if p.channel != channel]


_quiet = count()


class Place:
    """A broker's address, and the processes that meet there."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self._workers: list[Worker] = []

    async def worker(self, *, lease: float = 60.0, prefix: str = "test") -> Worker:
        """Return a started process."""
        broker = broker_of(self.url, timeout=15.0, prefix=prefix)
        broker.lease = lease
        worker = Worker(broker)
        await broker.start(worker.seen)
        self._workers.append(worker)
        return worker

    async def pair(self) -> tuple[Worker, Worker]:
        """Return two processes; where there can be only one, it twice."""
        first = await self.worker()
        return first, (await self.worker() if first.broker.is_shared else first)

    async def end(self) -> None:
        """Stop every process."""
        for worker in self._workers:
            await worker.broker.stop()


@asynccontextmanager
async def running(task: Awaitable[None]) -> AsyncIterator[None]:
    """Have `task` run beside the block; it is cancelled at its end."""
    running = asyncio.ensure_future(task)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask `condition` again and again until it holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - a server has no event for it
            await asyncio.sleep(0.02)


def numbered(first: int, last: int) -> list[bytes]:
    """Return the numbers from `first` to `last` as data."""
    return [b"%d" % number for number in range(first, last + 1)]

"""Many who return at once cost few reads, and each gets just what it has missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.channels.halting import KEPT, Halting, running
from tests.unit.channels.listeners import publish, settle
from wirework import BrokerUnavailable, Position
from wirework.brokers.base import Keep, Page
from wirework.channels.hub import Hub
from wirework.channels.reader import Reader

KEEP = Keep(100, 300)


@asynccontextmanager
async def readers(limit: int = 50, count: int = 20) -> AsyncIterator[tuple[Halting, Reader, str]]:
    """A channel with so many publications, and who reads it."""
    broker = Halting()
    async with running(broker) as hub:
        for number in range(count):
            epoch = (await publish(broker, KEPT, number)).position.epoch
        yield broker, reader_of(hub, limit), epoch


def reader_of(hub: Hub, limit: int) -> Reader:
    return Reader(hub.broker, limit, hub._spawn)


def asked(reader: Reader, epoch: str, *offsets: int) -> list[asyncio.Task[Page]]:
    """Have each ask what there is after an offset."""
    wanted = [reader.missed("news", KEEP, Position(epoch, offset)) for offset in offsets]
    return [asyncio.ensure_future(each) for each in wanted]


async def together(broker: Halting, reader: Reader, epoch: str, *offsets: int) -> list[Page]:
    """Have all but the first ask while the first one's read has begun; return what each got."""
    gate = broker.halt("read")
    tasks = asked(reader, epoch, *offsets)
    await settle()
    assert broker.times("read") == 1
    gate.open.set()
    return await asyncio.gather(*tasks)


def offsets_of(page: Page) -> list[int]:
    return [each.offset for each in page.publications]


async def test_those_who_ask_while_one_reads_share_the_next_read() -> None:
    async with readers() as (broker, reader, epoch):
        pages = await together(broker, reader, epoch, *range(21))
        assert broker.times("read") == 2
        assert all(page.is_whole and page.top.offset == 20 for page in pages)
        assert [offsets_of(page) for page in pages] == [[*range(n + 1, 21)] for n in range(21)]


async def test_who_has_missed_too_much_stands_in_nobodys_way() -> None:
    async with readers(limit=5) as (broker, reader, epoch):
        pages = await together(broker, reader, epoch, 0, 1, 2, 15, 16, 20)
        assert [page.is_whole for page in pages] == [False, False, False, True, True, True]
        assert [offsets_of(page) for page in pages[3:]] == [[*range(16, 21)], [*range(17, 21)], []]
        assert broker.times("read") == 3


async def test_who_is_ahead_of_the_broker_is_told_so_whoever_asks_beside_it() -> None:
    async with readers() as (broker, reader, epoch):
        pages = await together(broker, reader, epoch, 0, 1, 2, 21)
        assert [page.is_whole for page in pages] == [True, True, True, False]


async def test_what_history_has_no_more_is_not_whole_for_those_alone_who_miss_it() -> None:
    async with readers(limit=500, count=150) as (broker, reader, epoch):
        pages = await together(broker, reader, epoch, 149, 10, 49, 50, 140)
        assert [page.is_whole for page in pages] == [True, False, False, True, True]


async def test_a_broker_that_is_away_refuses_all_who_wait() -> None:
    async with readers() as (broker, reader, epoch):
        broker.failing.add("read")
        tasks = asked(reader, epoch, 1, 2, 3)
        for task in tasks:
            with pytest.raises(BrokerUnavailable):
                await task
        broker.failing.clear()
        [page] = await asyncio.gather(*asked(reader, epoch, 18))
        assert offsets_of(page) == [19, 20]


async def test_who_gives_up_leaves_the_others_alone() -> None:
    async with readers() as (broker, reader, epoch):
        gate = broker.halt("read")
        first, second, third = asked(reader, epoch, 1, 18, 19)
        await settle()
        first.cancel()
        await settle()
        second.cancel()
        gate.open.set()
        assert offsets_of(await third) == [20]


async def test_those_who_wait_when_the_application_stops_are_refused() -> None:
    async with readers() as (broker, reader, epoch):
        gate = broker.halt("read")
        first, second, third = asked(reader, epoch, 1, 2, 3)
        await settle()
        first.cancel()
        await settle()
    for task in (second, third):
        with pytest.raises(BrokerUnavailable):
            await task
    gate.open.set()

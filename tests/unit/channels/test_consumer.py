"""The server's own code reads a channel in order: without a hole, or with an error that says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.channels.halting import KEPT, LATEST, PLAIN, Halting, running
from tests.unit.channels.listeners import Shaky, publish, settle
from wirework import App, BrokerUnavailable, History, MissedPublications, Position, StateError
from wirework.brokers.base import Keep
from wirework.channels import consumer as consumers
from wirework.channels.consumer import Consumer
from wirework.channels.rules import Rules
from wirework.publications import Publication
from wirework.testing import TestClient

LONG = Rules("stream", Keep(5000, 300), "catch_up")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "_PAUSE", 0.001)


async def taken(consumer: Consumer, count: int) -> list[Any]:
    async with asyncio.timeout(10):
        found = [await consumer.take() for _ in range(count)]
    return [each and int(each.message.data) for each in found]


async def test_a_reader_that_is_late_gets_the_rest_from_history_in_order() -> None:
    async with running() as hub, hub.consume("news", LONG) as consumer:
        for number in range(3000):
            await publish(hub.broker, LONG, number)
        assert await taken(consumer, 2000) == list(range(2000))
        for number in range(3000, 3010):
            await publish(hub.broker, LONG, number)
        assert await taken(consumer, 1010) == list(range(2000, 3010))
        await publish(hub.broker, LONG, 3010)
        assert await taken(consumer, 1) == [3010]


async def test_a_reader_that_history_cannot_help_is_told_where_the_channel_goes_on() -> None:
    async with running() as hub, hub.consume("news", KEPT) as consumer:
        for number in range(1500):
            top = (await publish(hub.broker, KEPT, number)).position
        assert await taken(consumer, 1000) == list(range(1000))
        with pytest.raises(MissedPublications) as caught:
            await consumer.take()
        assert (caught.value.channel, caught.value.position) == ("news", top)
        assert str(caught.value) == "'news' lacks publications up to offset 1500"
        await publish(hub.broker, KEPT, 1500)
        assert await taken(consumer, 1) == [1500]


async def test_a_late_reader_of_a_channel_without_history_is_told_so() -> None:
    async with running() as hub, hub.consume("news", PLAIN) as consumer:
        for number in range(1003):
            await publish(hub.broker, PLAIN, number)
        assert await taken(consumer, 1000) == list(range(1000))
        with pytest.raises(MissedPublications, match="keeps no history") as caught:
            await consumer.take()
        assert caught.value.position is None


async def test_of_what_is_good_for_the_moment_the_oldest_go() -> None:
    rules = Rules("ephemeral", None, "drop")
    async with running() as hub, hub.consume("news", rules) as consumer:
        for number in range(1003):
            await publish(hub.broker, rules, number)
        assert await taken(consumer, 1000) == list(range(3, 1003))


async def test_in_mode_latest_a_late_reader_gets_the_newest_of_each_key() -> None:
    async with running() as hub, hub.consume("news", LATEST) as consumer:
        for number in range(2000):
            await publish(hub.broker, LATEST, number, key=str(number % 3))
        assert (await taken(consumer, 1003))[1000:] == [1997, 1998, 1999]


async def test_a_reader_is_told_that_the_broker_has_lost_its_data() -> None:
    broker = Shaky()
    async with running(broker) as hub, hub.consume("news", KEPT) as consumer:
        await publish(broker, KEPT, 0)
        broker.pump()
        broker.lose_data()
        await publish(broker, KEPT, 1)
        broker.pump()
        assert await taken(consumer, 1) == [0]
        with pytest.raises(MissedPublications) as caught:
            await consumer.take()
        assert caught.value.position is not None
        assert caught.value.position.offset == 0
        assert await taken(consumer, 1) == [1]


@asynccontextmanager
async def late_reader(
    broker: Halting,
) -> AsyncIterator[tuple[Consumer, asyncio.Future[Publication | None]]]:
    """A consumer that needs history, and waits for it: the broker is away."""
    async with running(broker) as hub, hub.consume("news", LONG) as consumer:
        for number in range(1100):
            await publish(broker, LONG, number)
        await taken(consumer, 1000)
        broker.failing.add("read")
        next_ = asyncio.ensure_future(consumer.take())
        await settle()
        assert broker.times("read") > 0
        yield consumer, next_


async def test_a_late_reader_waits_for_a_broker_that_is_away() -> None:
    broker = Halting()
    async with late_reader(broker) as (_, next_):
        broker.failing.clear()
        found = await asyncio.wait_for(next_, 10)
        assert found is not None
        assert found.message.data == b"1000"


async def test_a_late_reader_ends_with_the_application() -> None:
    async with late_reader(Halting()) as (consumer, next_):
        consumer.end()
        assert await asyncio.wait_for(next_, 10) is None


async def test_the_servers_own_code_goes_on_where_it_was() -> None:
    app = App()
    news = app.channel("news", history=History(size=1000))
    plain = app.channel("plain")
    async with TestClient(app):
        positions = [await news().publish(number) for number in range(700)]
        stream = news().consume(since=positions[9])
        found = [(await anext(stream)).data for _ in range(690)]
        assert found == list(range(10, 700))
        await news().publish(700)
        assert (await anext(stream)).data == 700
        await stream.aclose()
        with pytest.raises(MissedPublications):
            await anext(news().consume(since=Position("gone", 1)))
        with pytest.raises(StateError, match="keeps no history"):
            await anext(plain().consume(since=Position("gone", 1)))


async def test_nobody_reads_where_the_broker_cannot_be_reached() -> None:
    broker = Halting()
    broker.failing.add("subscribe")
    async with running(broker) as hub:
        with pytest.raises(BrokerUnavailable):
            async with hub.consume("news", KEPT):
                pass

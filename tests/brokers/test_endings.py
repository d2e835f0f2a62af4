"""Cancelled calls, and what is left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from wirework.brokers import Broker, Member, Message, broker_of
from wirework.errors import BrokerUnavailable

from .record import KEEP, Place, Recorder
from .servers import free_port

Call = Callable[[Broker, str], Coroutine[Any, Any, Any]]

CALLS: dict[str, Call] = {
    "publish": lambda broker, name: broker.publish(name, Message(b"cut"), KEEP),
    "publish-passing": lambda broker, name: broker.publish(name, Message(b"cut")),
    "publish-once": lambda broker, name: broker.publish(name, Message(b"cut"), idempotency="k"),
    "read": lambda broker, name: broker.read(name, KEEP, limit=10),
    "subscribe": lambda broker, name: broker.subscribe(name),
    "forget": lambda broker, name: broker.forget(name),
    "join": lambda broker, name: broker.join(name, Member("cut")),
    "leave": lambda broker, name: broker.leave(name, Member("cut")),
    "members": lambda broker, name: broker.members(name),
    "count": lambda broker, name: broker.count(name),
    "sweep": lambda broker, name: broker.sweep([name]),
}


@pytest.mark.parametrize("call", CALLS)
async def test_answers_never_cross_when_a_call_is_cancelled(
    place: Place, channel: str, call: str
) -> None:
    worker = await place.worker()
    broker = worker.broker
    full, crowded = f"{channel}:full", f"{channel}:crowded"
    await worker.say(full, b"1", b"2", b"3")
    for number in range(4):
        await broker.join(crowded, Member(f"m{number}", f"u{number % 2}"))
    for attempt in range(200):
        task = asyncio.ensure_future(CALLS[call](broker, f"{channel}:{attempt % 10}"))
        for _ in range(attempt % 9):
            await asyncio.sleep(0)
        task.cancel()
        page, count, published = await asyncio.gather(
            broker.read(full, KEEP, limit=10),
            broker.count(crowded),
            broker.publish(f"{channel}:own", Message(b"%d" % attempt), KEEP),
        )
        assert [each.message.data for each in page.publications] == [b"1", b"2", b"3"]
        assert count == (4, 2)
        assert published.position.offset == attempt + 1
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None
    assert worker.seen.states == []


@pytest.mark.parametrize("call", ["subscribe", "unsubscribe"])
async def test_a_subscription_that_was_cancelled_can_be_made_again(
    place: Place, channel: str, call: str
) -> None:
    publisher, subscriber = await place.pair()
    for attempt in range(30):
        if call == "unsubscribe":
            await subscriber.broker.subscribe(channel)
        task = asyncio.ensure_future(getattr(subscriber.broker, call)(channel))
        for _ in range(attempt % 9):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await subscriber.broker.unsubscribe(channel)
        await publisher.say(channel, b"not told")
        await subscriber.quiet()
        assert subscriber.seen.publications == []
        await subscriber.broker.subscribe(channel)
        await publisher.say(channel, b"told")
        assert await subscriber.seen.published(1) == [b"told"]
        await subscriber.broker.unsubscribe(channel)
        subscriber.seen.publications.clear()


def sockets() -> set[str]:
    links = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return {target for entry in links if (target := os.readlink(entry)).startswith("socket:")}


async def test_who_has_stopped_leaves_no_task_and_no_socket(place: Place, channel: str) -> None:
    tasks, open_before = asyncio.all_tasks(), sockets()
    worker = await place.worker()
    await worker.broker.subscribe(channel)
    await worker.say(channel, b"1")
    await worker.broker.join(channel, Member("c1"))
    pending = asyncio.ensure_future(worker.broker.read(channel, KEEP, limit=10))
    await asyncio.sleep(0)
    await worker.broker.stop()
    await asyncio.wait([pending])
    pending.cancelled() or pending.exception()
    assert not worker.broker.is_available
    assert asyncio.all_tasks() == tasks
    assert sockets() - open_before == set()


async def test_to_stop_twice_or_before_the_start_does_nothing(place: Place) -> None:
    worker = await place.worker()
    await worker.broker.stop()
    await worker.broker.stop()
    await broker_of(place.url).stop()


async def test_it_is_available_from_start_to_stop(place: Place) -> None:
    broker = broker_of(place.url)
    assert not broker.is_available
    await broker.start(Recorder())
    assert broker.is_available
    assert broker.keeps
    assert broker.name == place.name
    await broker.stop()
    assert not broker.is_available


async def test_a_server_that_is_not_there_is_reported_without_the_password(shared: Place) -> None:
    tasks, open_before = asyncio.all_tasks(), sockets()
    address = f"127.0.0.1:{free_port()}"
    broker = broker_of(f"{shared.name}://somebody:pa55word@{address}", timeout=2.0)
    with pytest.raises(BrokerUnavailable) as caught:
        await broker.start(Recorder())
    assert address in str(caught.value)
    assert "pa55word" not in str(caught.value)
    assert not broker.is_available
    await broker.stop()
    assert asyncio.all_tasks() == tasks
    assert sockets() - open_before == set()

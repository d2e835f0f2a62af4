"""A checker that knows every publication, while Redis is killed, frozen and cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from wirework.brokers import Broker, Member, Message, Position, Publication
from wirework.errors import BrokerUnavailable

from .record import KEEP, eventually, running
from .redis_scene import Scene, scene

FAULTS = 6


class Follower:
    """What a hub does for one channel: follow by offset, read what is missing."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.got: list[bytes] = []
        self.epochs: set[str] = set()
        self.broker: Broker | None = None
        self._position = Position()
        self._behind = asyncio.Event()

    async def begin(self, broker: Broker) -> None:
        self.broker = broker
        await broker.start(self)
        await broker.subscribe(self.channel)
        self._position = (await broker.read(self.channel, KEEP, limit=0)).top

    def on_publication(self, publication: Publication) -> None:
        self.epochs.add(publication.epoch)
        if publication.offset == self._position.offset + 1:
            self._take(publication)
        elif publication.offset > self._position.offset:
            self._behind.set()

    def on_joined(self, channel: str, member: Member, version: int) -> None: ...

    def on_left(self, channel: str, member: Member, version: int) -> None: ...

    def on_degraded(self) -> None: ...

    def on_restored(self) -> None:
        self._behind.set()

    def _take(self, publication: Publication) -> None:
        self._position = publication.position
        self.got.append(publication.message.data)

    async def catch_up(self) -> None:
        """Read what is missing whenever something is."""
        while True:
            await self._behind.wait()
            self._behind.clear()
            try:
                await self._read()
            except BrokerUnavailable:
                self._behind.set()

    async def _read(self) -> None:
        assert self.broker is not None
        is_behind = True
        while is_behind:
            since = self._position
            page = await self.broker.read(self.channel, KEEP, since=since, limit=300)
            assert page.top.epoch == since.epoch
            for publication in page.publications:
                if publication.offset == self._position.offset + 1:
                    self._take(publication)
            is_behind = not page.is_whole
            assert page.publications or page.is_whole


class Publisher:
    """Publishes numbers in order, each until it is acknowledged."""

    def __init__(self, broker: Broker, channel: str, name: str) -> None:
        self.said = 0
        self._broker = broker
        self._channel = channel
        self._name = name

    async def publish(self) -> None:
        while True:
            key = f"{self._name}:{self.said + 1}"
            try:
                await self._broker.publish(
                    self._channel, Message(key.encode()), KEEP, idempotency=key
                )
            except BrokerUnavailable:
                continue
            self.said += 1
            await asyncio.sleep(0.002)


async def kill(redis: Scene) -> None:
    redis.server.kill()
    redis.server.start()


async def cut(redis: Scene) -> None:
    await redis.cut()


async def cut_subscriptions(redis: Scene) -> None:
    await redis.cut("pubsub")


@pytest.mark.parametrize("fault", [kill, cut, cut_subscriptions])
async def test_nothing_is_missing_doubled_or_out_of_order(
    tmp_path: Path, fault: Callable[[Scene], Coroutine[Any, Any, None]]
) -> None:
    async with scene(tmp_path, "--appendonly", "yes") as redis:
        first, second = await redis.worker(timeout=2.0), await redis.worker(timeout=2.0)
        third = await redis.worker()
        await third.broker.stop()
        follower = Follower("room")
        await follower.begin(third.broker)
        publishers = [
            Publisher(first.broker, "room", "a"),
            Publisher(second.broker, "room", "b"),
        ]
        async with running(follower.catch_up()):
            async with running(publishers[0].publish()), running(publishers[1].publish()):
                for _ in range(FAULTS):
                    reached = [publisher.said + 10 for publisher in publishers]
                    await eventually(lambda: have_said(publishers, reached))  # noqa: B023
                    await fault(redis)
                reached = [publisher.said + 10 for publisher in publishers]
                await eventually(lambda: have_said(publishers, reached))
            for worker in (first, second, first):  # what was under way has arrived by then
                page = await worker.broker.read("room", KEEP, limit=1_000)
            kept = [publication.message.data for publication in page.publications]
            assert page.is_whole
            await eventually(lambda: has_got(follower, len(kept)))
        assert follower.got == kept
        for name, publisher in zip((b"a:", b"b:"), publishers, strict=True):
            own = [data for data in kept if data.startswith(name)]
            assert own[: publisher.said] == [
                b"%s%d" % (name, number) for number in range(1, publisher.said + 1)
            ]
            assert len(own) - publisher.said in (0, 1)
        assert len(follower.epochs) == 1


async def have_said(publishers: list[Publisher], numbers: list[int]) -> bool:
    return all(each.said >= number for each, number in zip(publishers, numbers, strict=True))


async def has_got(follower: Follower, number: int) -> bool:
    return len(follower.got) >= number

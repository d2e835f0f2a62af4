"""Joins and leaves that the broker could not tell are told when it is back, or is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.channels.halting import PRESENT, Halting, arriving, running
from tests.unit.channels.listeners import Peer, settle, subscribe
from tests.unit.channels.test_presence import news
from wirework import BrokerUnavailable, Member, Presence
from wirework.brokers.base import Receiver
from wirework.channels import roll_call
from wirework.channels.hub import Hub

BOB = Member("far-1", "bob")
EVE = Member("far-2", "eve")


class Elsewhere(Halting):
    """A broker that other processes share, and that may be deaf to what they do."""

    is_shared = True

    def __init__(self) -> None:
        super().__init__()
        self.receiver: Receiver | None = None

    async def start(self, receiver: Receiver) -> None:
        self.receiver = receiver
        await super().start(receiver)

    def blink(self) -> None:
        """Lose the connection, and find it again."""
        assert self.receiver is not None
        self.receiver.on_degraded()
        self.receiver.on_restored()

    @asynccontextmanager
    async def deaf(self) -> AsyncIterator[None]:
        """Tell nothing of what happens in the block."""
        subscribed, self._subscribed = self._subscribed, set()
        try:
            yield
        finally:
            self._subscribed = subscribed


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is missing is gone."""
    monkeypatch.setattr(roll_call, "_PATIENCE", 0.0)


async def told(peer: Peer, number: int) -> list[str]:
    """Wait for so much news."""
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < number:
            found += news(peer)
            await asyncio.sleep(0)
    return found


async def test_who_came_and_went_while_the_broker_was_away_is_told_when_it_is_back() -> None:
    broker = Elsewhere()
    async with running(broker) as hub:
        await broker.join("news", BOB)
        peer, _ = await arriving(hub, PRESENT, number=1)
        async with broker.deaf():
            await broker.leave("news", BOB)
            await broker.join("news", EVE)
        broker.blink()
        assert sorted(await told(peer, 2)) == ["+eve", "-bob"]
        broker.blink()
        await settle()
        assert news(peer) == []


async def test_who_is_missing_is_looked_for_again_before_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roll_call, "_PATIENCE", 0.001)
    broker = Elsewhere()
    async with running(broker) as hub:
        await broker.join("news", BOB)
        peer, _ = await arriving(hub, PRESENT, number=1)
        async with broker.deaf():
            await broker.leave("news", BOB)
        before = broker.times("members")
        broker.blink()
        assert await told(peer, 1) == ["-bob"]
        assert broker.times("members") >= before + 2


async def test_a_roll_that_cannot_be_read_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roll_call, "_PAUSE", 0.0)
    broker = Elsewhere()
    async with running(broker) as hub:
        peer, _ = await arriving(hub, PRESENT, number=1)
        async with broker.deaf():
            await broker.join("news", BOB)
        broker.failing.add("members")
        before = broker.times("members")
        broker.blink()
        await settle()
        assert broker.times("members") > before
        broker.failing.clear()
        assert await told(peer, 1) == ["+bob"]


@pytest.mark.parametrize("many", [0, 1000], ids=["by-numbers", "by-members"])
async def test_a_loss_without_a_sign_is_found_now_and_then(
    monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(roll_call, "_MANY", many)
    broker = Elsewhere()
    async with running(broker, check_interval=0.001) as hub:
        peer, _ = await arriving(hub, PRESENT, number=1)
        async with broker.deaf():
            await broker.join("news", BOB)
        assert await told(peer, 1) == ["+bob"]


async def test_a_big_channel_whose_number_is_right_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roll_call, "_MANY", 0)
    broker = Elsewhere()
    async with running(broker, check_interval=0.001) as hub:
        await arriving(hub, PRESENT, number=1)
        before = broker.times("members")
        async with asyncio.timeout(10):
            while broker.times("count") < 3:
                await settle(1)
        assert broker.times("members") == before


async def test_a_member_that_is_written_again_after_a_loss_did_not_join_again() -> None:
    broker = Elsewhere()
    async with running(broker) as hub:
        await broker.join("news", BOB)
        peer, _ = await arriving(hub, PRESENT, number=1)
        async with broker.deaf():
            await broker.leave("news", BOB)
        await broker.join("news", BOB)
        await broker.join("news", EVE)
        assert news(peer) == ["+eve"]


async def test_the_first_subscriber_hears_of_nobody_that_was_there_before() -> None:
    broker = Elsewhere()
    async with running(broker) as hub:
        await broker.join("news", BOB)
        peer, _ = await arriving(hub, PRESENT, number=1)
        other, _ = await arriving(hub, PRESENT, number=2)
        broker.blink()
        await settle()
        assert (news(peer), news(other)) == (["+user-2"], [])


async def test_several_first_subscribers_wait_for_the_same_roll() -> None:
    broker = Elsewhere()
    async with running(broker) as hub:
        gate = broker.halt_after("members")
        peers = [await Peer(number).open() for number in range(3)]
        tasks = [asyncio.create_task(subscribe(hub, peer, PRESENT)) for peer in peers]
        await gate.reached.wait()
        await settle()
        assert not any(task.done() for task in tasks)
        gate.open.set()
        await asyncio.gather(*tasks)
        assert broker.times("members") == 1


async def test_without_the_first_roll_nobody_is_subscribed() -> None:
    broker = Elsewhere()
    async with running(broker) as hub:
        broker.failing.add("members")
        peer = await Peer().open()
        with pytest.raises(BrokerUnavailable):
            await subscribe(hub, peer, PRESENT)
        broker.failing.clear()
        await subscribe(hub, peer, PRESENT)


async def test_who_reads_the_list_has_others_told_what_they_had_not_heard() -> None:
    broker = Elsewhere()
    async with running(broker) as hub:
        peer, _ = await arriving(hub, PRESENT, number=1)
        async with broker.deaf():
            await broker.join("news", BOB)
        assert len((await hub.members("news")).members) == 2
        assert news(peer) == ["+bob"]
        assert (await hub.members("elsewhere")).members == ()


@pytest.mark.parametrize("presence", [None, Presence(announce=False)], ids=["none", "silent"])
async def test_where_nobody_is_told_no_roll_is_read(presence: Any) -> None:
    broker = Elsewhere()
    async with running(broker) as hub:
        await arriving(hub, PRESENT._replace(presence=presence), number=1)
        broker.blink()
        await settle()
        assert broker.times("members") == 0


async def test_in_one_process_no_roll_is_read() -> None:
    broker = Halting()
    async with running(broker) as hub:
        await arriving(hub, PRESENT, number=1)
        assert broker.times("members") == 0


async def test_a_channel_that_closes_while_members_are_missing_leaves_nothing_behind() -> None:
    broker = Elsewhere()
    hub = Hub(broker, check_interval=3600, presence_grace=0)
    await hub.start()
    await broker.join("news", BOB)
    peer, _ = await arriving(hub, PRESENT, number=1)
    async with broker.deaf():
        await broker.leave("news", BOB)
    broker.blink()
    hub.leave_all(peer.line.connection)
    await settle()
    await hub.stop()
    assert hub.stats[:2] == (0, 0)

"""What the outbox of a connection gives up is told later, or as a gap: never silence."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.unit.applications import text
from tests.unit.channels.halting import KEPT, LATEST, PLAIN, arriving, running
from tests.unit.channels.listeners import Peer, publish, settle, subscribe
from wirework import Position
from wirework.brokers.base import Keep
from wirework.channels import recovery
from wirework.channels.rules import Rules

POLICIES = ("drop_oldest", "drop_newest", "latest")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_PAUSE", 0.0)


async def read_all(peer: Peer) -> None:
    """Read until nothing more comes; what is no JSON object is noise."""
    while True:
        await settle()
        if not peer.read():
            return


def fill(peer: Peer, count: int) -> None:
    for _ in range(count):
        peer.line.connection.push(text('{"type":"noise","data":{}}'))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("overflow", ["catch_up", "close"])
async def test_no_publication_is_missing_where_other_messages_fill_the_outbox(
    policy: str, overflow: Any
) -> None:
    rules = KEPT._replace(overflow=overflow)
    async with running() as hub:
        peer, _ = await arriving(hub, rules, outbox_frames=20, overflow=policy)
        peer.read()
        for number in range(5):
            await publish(hub.broker, rules, number)
        fill(peer, 60)
        for number in range(5, 10):
            await publish(hub.broker, rules, number)
        await settle()
        await read_all(peer)
        assert (peer.texts, peer.faults, peer.gaps) == (list(range(10)), [], 0)
        assert peer.line.connection.outbox.dropped > 0
        await publish(hub.broker, rules, 10)
        peer.read()
        assert peer.texts[-1] == 10


@pytest.mark.parametrize("policy", POLICIES)
async def test_what_was_given_up_while_it_was_caught_up_comes_once_more(policy: str) -> None:
    async with running() as hub:
        peer, _ = await arriving(hub, KEPT, outbox_frames=10, overflow=policy)
        peer.read()
        for number in range(60):
            await publish(hub.broker, KEPT, number)
            if number % 7 == 0:
                await settle()
                fill(peer, 9)
        await read_all(peer)
        assert (peer.texts, peer.faults, peer.gaps) == (list(range(60)), [], 0)


@pytest.mark.parametrize("policy", POLICIES)
async def test_what_history_has_no_more_is_told_as_a_gap(policy: str) -> None:
    rules = KEPT._replace(keep=Keep(3, 300))
    async with running() as hub:
        peer, _ = await arriving(hub, rules, outbox_frames=10, overflow=policy)
        peer.read()
        for number in range(4):
            await publish(hub.broker, rules, number)
        fill(peer, 30)
        for number in range(4, 20):
            await publish(hub.broker, rules, number)
        await read_all(peer)
        await publish(hub.broker, rules, "next")
        peer.read()
        assert (peer.gaps, peer.texts[-1], peer.faults) == (1, "next", [])


@pytest.mark.parametrize("overflow", ["latest", "close"])
@pytest.mark.parametrize("policy", POLICIES)
async def test_in_mode_latest_the_newest_of_each_key_arrives(policy: str, overflow: Any) -> None:
    rules = LATEST._replace(overflow=overflow)
    async with running() as hub:
        peer, _ = await arriving(hub, rules, outbox_frames=10, overflow=policy)
        peer.read()
        for number in range(3):
            await publish(hub.broker, rules, number, key=str(number))
        fill(peer, 30)
        await publish(hub.broker, rules, 3, key="0")
        await read_all(peer)
        assert set(peer.texts[-3:]) == {1, 2, 3}


async def test_the_past_of_who_subscribes_is_told_again() -> None:
    async with running() as hub:
        since = (await publish(hub.broker, KEPT, 0)).position
        for number in range(1, 6):
            await publish(hub.broker, KEPT, number)
        peer = await Peer(outbox_frames=10, overflow="drop_oldest").open()
        peer.position = since
        await subscribe(hub, peer, KEPT, since=since)
        fill(peer, 10)
        await read_all(peer)
        assert (peer.texts, peer.faults) == ([1, 2, 3, 4, 5], [])


async def test_one_channel_of_a_connection_falls_behind_without_the_others() -> None:
    async with running() as hub:
        peer, _ = await arriving(hub, KEPT, outbox_frames=10, overflow="drop_newest")
        other = await subscribe(hub, peer, PLAIN, name="other")
        peer.read()
        fill(peer, 10)
        await publish(hub.broker, PLAIN, "lost", name="other")
        topic = hub.topic("other")
        assert topic is not None
        assert topic.is_live(other)
        hub.leave_all(peer.line.connection)
        assert peer.line.connection.outbox.on_loss is None


# --- a long past --------------------------------------------------------------------------------

BIG: Rules = Rules("stream", Keep(2000, 300), "catch_up")


async def test_a_long_past_is_recovered_in_messages_of_a_bounded_size() -> None:
    async with running() as hub:
        since = (await publish(hub.broker, BIG, 0)).position
        for _ in range(200):
            await publish(hub.broker, BIG, "x" * 10_000)
        peer = await Peer().open()
        peer.position = since
        await subscribe(hub, peer, BIG, since=since)
        sizes = []
        while True:
            await settle()
            frames = [*peer.line.connection.outbox]
            if not frames:
                break
            sizes += [len(frame.data) for frame in frames]
            peer.read()
        assert max(sizes) < 300_000
        assert len(peer.texts) == 200
        assert (peer.heard[0]["data"]["recovered"], peer.faults, peer.gaps) == (True, [], 0)


async def test_many_long_pasts_at_once_do_not_overflow_the_outbox() -> None:
    async with running() as hub:
        for name in "abcdef":
            since = (await publish(hub.broker, BIG, 0, name=name)).position
            for number in range(50):
                await publish(hub.broker, BIG, [number, "x" * 10_000], name=name)
        peer = await Peer().open()
        for name in "abcdef":
            here = Position((await hub.broker.read(name, Keep(2000, 300), limit=0)).top.epoch, 1)
            await subscribe(hub, peer, BIG, name=name, since=here)
        found: dict[str, list[int]] = {}
        while True:
            await settle()
            said = [m["data"] for m in map(decoded, peer.line.written())]
            if not said:
                break
            for data in said:
                told = data.get("publications", [data] if "data" in data else ())
                found.setdefault(data["channel"], []).extend(each["data"][0] for each in told)
        assert found == {name: list(range(50)) for name in "abcdef"}
        assert peer.line.connection.is_open
        assert since.offset == 1


def decoded(frame: Any) -> Any:
    return msgspec.json.decode(frame)


async def test_all_that_is_kept_can_be_recovered_also_by_many_at_once() -> None:
    async with running() as hub:
        since = (await publish(hub.broker, BIG, 0)).position
        for number in range(1, 1500):
            await publish(hub.broker, BIG, number)
        peers = [await Peer(number).open() for number in range(3)]
        for peer in peers:
            peer.position = since
        await asyncio.gather(*(subscribe(hub, peer, BIG, since=since) for peer in peers))
        for peer in peers:
            await read_all(peer)
            assert peer.texts == list(range(1, 1500))
            assert (peer.faults, peer.gaps) == ([], 0)


async def test_all_values_of_a_large_dashboard_arrive_in_messages_of_a_bounded_size() -> None:
    async with running() as hub:
        for number in range(100):
            await publish(hub.broker, LATEST, [number, "x" * 10_000], key=str(number))
        peer = await Peer().open()
        await subscribe(hub, peer, LATEST)
        first = [len(frame.data) for frame in peer.line.connection.outbox]
        assert first[0] < 300_000
        await publish(hub.broker, LATEST, [100, ""], key="99")
        await read_all(peer)
        assert [each[0] for each in peer.texts] == [*range(99), 100]

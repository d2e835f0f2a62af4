"""A subscriber that reads too slowly costs the others nothing, and gets what its channel says."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.unit.applications import Line
from tests.unit.channels.halting import KEPT, LATEST, PLAIN, Halting, arriving, running
from tests.unit.channels.listeners import Peer, Shaky, publish, settle, subscribe
from wirework import Position
from wirework.brokers.base import Keep
from wirework.channels import backlog, recovery, topic
from wirework.channels.hub import Hub

SMALL = {"outbox_frames": 10}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_PAUSE", 0.0)


async def catch_up(peer: Peer) -> None:
    """Read until nothing more comes."""
    while True:
        await settle()
        if not peer.read():
            return


# --- each mode of overflow ----------------------------------------------------------------------


async def test_close_ends_the_connection_that_does_not_read_and_no_other() -> None:
    async with running() as hub:
        slow, _ = await arriving(hub, PLAIN, **SMALL)
        quick, _ = await arriving(hub, PLAIN, **SMALL)
        for number in range(12):
            await publish(hub.broker, PLAIN, number)
            quick.read()
        assert slow.line.connection.close_code == 1013
        assert quick.texts == list(range(12))
        assert hub.stats.subscriptions == 1


async def test_drop_leaves_out_what_finds_no_room_and_counts_it() -> None:
    rules = PLAIN._replace(overflow="drop")
    async with running() as hub:
        peer, _ = await arriving(hub, rules, **SMALL)
        for number in range(20):
            await publish(hub.broker, rules, number)
        peer.read()
        assert peer.texts == [0, 1, 2, 3, 4]
        assert hub.stats.dropped == 15
        await publish(hub.broker, rules, "next")
        peer.read()
        assert peer.texts[-1] == "next"
        hub.leave_all(peer.line.connection)
        await settle()
        assert hub.stats.dropped == 15


async def test_catch_up_reads_what_was_missed_when_there_is_room() -> None:
    async with running() as hub:
        slow, _ = await arriving(hub, KEPT, **SMALL)
        for number in range(60):
            await publish(hub.broker, KEPT, number)
        await catch_up(slow)
        assert slow.texts == list(range(60))
        assert slow.faults == []
        await publish(hub.broker, KEPT, 60)
        slow.read()
        assert slow.texts[-1] == 60
        assert hub.stats[2:4] == (0, 0)


async def test_catch_up_tells_a_gap_where_history_does_not_reach_back() -> None:
    rules = KEPT._replace(keep=Keep(5, 300))
    async with running() as hub:
        slow, _ = await arriving(hub, rules, **SMALL)
        last = Position()
        for number in range(60):
            last = (await publish(hub.broker, rules, number)).position
        await catch_up(slow)
        assert slow.gaps == 1
        assert slow.position == last
        assert slow.faults == []


async def test_latest_gives_a_slow_reader_the_newest_of_each_key() -> None:
    async with running() as hub:
        slow, _ = await arriving(hub, LATEST, **SMALL)
        for number in range(40):
            await publish(hub.broker, LATEST, number, key="ab"[number % 2])
        await catch_up(slow)
        assert slow.texts[-2:] == [38, 39]
        assert len(slow.texts) < 12
        assert hub.stats.dropped == 40 - len(slow.texts)
        await publish(hub.broker, LATEST, 40, key="a")
        slow.read()
        assert slow.texts[-1] == 40


async def test_a_slow_reader_that_ends_while_it_is_behind_is_forgotten() -> None:
    async with running() as hub:
        slow, _ = await arriving(hub, KEPT, **SMALL)
        for number in range(20):
            await publish(hub.broker, KEPT, number)
        await settle()
        slow.line.connection.lost()
        await settle()
        assert hub.stats[:2] == (0, 0)


async def test_a_past_larger_than_the_outbox_is_told_as_fast_as_the_peer_reads() -> None:
    """A connection whose dialect has no word for `subscribed` gets the past one by one."""
    async with running() as hub:
        for number in range(50):
            await publish(hub.broker, LATEST, number, key=str(number))
        peer = await Peer(**SMALL).open()
        peer.ws.codec = None  # type: ignore[assignment]
        await subscribe(hub, peer, LATEST)
        assert peer.line.connection.is_open
        said = []
        for _ in range(20):
            said += peer.line.written()
            await settle()
        assert said == [str(number) for number in range(50)]


async def test_what_came_while_a_slow_reader_subscribed_is_not_lost() -> None:
    broker = Halting()
    async with running(broker) as hub:
        since = (await publish(broker, KEPT, 0)).position
        gate = broker.halt_after("read")
        peer = await Peer(**SMALL).open()
        peer.position = since
        task = asyncio.get_running_loop().create_task(subscribe(hub, peer, KEPT, since=since))
        await settle()
        for number in range(1, 41):
            await publish(broker, KEPT, number)
        gate.open.set()
        await task
        await catch_up(peer)
        assert peer.texts == list(range(1, 41))
        assert peer.faults == []


async def test_catching_up_waits_for_a_broker_that_is_away() -> None:
    broker = Shaky()
    async with running(broker) as hub:
        slow, _ = await arriving(hub, KEPT, **SMALL)
        for number in range(20):
            await publish(broker, KEPT, number)
        broker.pump()
        broker.go()
        slow.read()
        await settle()
        broker.come_back()
        await catch_up(slow)
        assert slow.texts == list(range(20))
        assert slow.faults == []


async def test_a_publication_without_a_position_makes_nobody_catch_up() -> None:
    async with running() as hub:
        slow, _ = await arriving(hub, KEPT, **SMALL)
        for number in range(20):
            await publish(hub.broker, PLAIN, number)
        await catch_up(slow)
        assert slow.gaps == 0
        assert slow.texts == [0, 1, 2, 3, 4]
        assert hub.stats.dropped == 15


async def test_a_connection_without_an_answer_to_its_handshake_harms_nobody() -> None:
    async with running() as hub:
        early = Peer(**SMALL)
        await subscribe(hub, early, PLAIN)
        peer, _ = await arriving(hub, PLAIN)
        for number in range(15):
            await publish(hub.broker, PLAIN, number)
        peer.read()
        assert peer.texts == list(range(15))
        assert hub.stats.subscriptions == 1


# --- who is not to get it -----------------------------------------------------------------------


async def test_who_is_excluded_gets_it_neither_at_once_nor_later() -> None:
    async with running() as hub:
        sender, _ = await arriving(hub, KEPT, number=1, **SMALL)
        other, _ = await arriving(hub, KEPT, number=2)
        begin = hub.topic("news")
        assert begin is not None
        since = begin.position
        for number in range(20):
            exclude = (sender.member.connection,) if number % 2 else ()
            await publish(hub.broker, KEPT, number, exclude=exclude)
        for _ in range(10):
            sender.heard += _said(sender.line)
            await settle()
        other.read()
        assert other.texts == list(range(20))
        assert sender.texts == list(range(0, 20, 2))
        hub.leave_all(sender.line.connection)
        await subscribe(hub, sender, KEPT, since=since)
        last = _said(sender.line)[0]["data"]
        assert [each["data"] for each in last["publications"]] == list(range(0, 20, 2))
        assert last["position"]["offset"] == 20


def _said(line: Line) -> list[Any]:
    return [msgspec.json.decode(frame) for frame in line.written()]


# --- very many subscriptions --------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two subscriptions are very many."""
    monkeypatch.setattr(topic, "_AT_ONCE", 2)
    monkeypatch.setattr(backlog, "_PART", 2)


async def many(hub: Hub, count: int, **options: Any) -> list[Peer]:
    return [(await arriving(hub, KEPT, number=n, **options))[0] for n in range(count)]


async def test_channels_with_very_many_subscriptions_take_turns(few: None) -> None:
    async with running() as hub:
        peers = await many(hub, 10)
        other = await Peer(99).open()
        await subscribe(hub, other, KEPT, name="other")
        for number in range(3):
            await publish(hub.broker, KEPT, number)
        await publish(hub.broker, KEPT, "small", name="other")
        other.read()
        assert other.texts == ["small"]
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [[]] * 10
        await settle(2)  # a part of them in each turn of the event loop
        told = [peer for peer in peers if len(peer.line.connection.outbox)]
        assert 0 < len(told) < 6
        await settle(40)
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [[0, 1, 2]] * 10


async def test_who_comes_while_very_many_are_told_gets_what_is_new_to_it(few: None) -> None:
    async with running() as hub:
        peers = await many(hub, 5)
        await publish(hub.broker, KEPT, 0)
        late = await Peer(9).open()
        await subscribe(hub, late, KEPT)
        await publish(hub.broker, KEPT, 1)
        await settle(40)
        for peer in (*peers, late):
            peer.read()
        assert [peer.texts for peer in peers] == [[0, 1]] * 5
        assert late.texts == [1]
        assert late.faults == []


async def test_who_has_read_further_than_a_big_channel_misses_nothing(few: None) -> None:
    """It waits until the channel has come to where it is; the next publication is for it, too."""
    broker = Shaky()
    async with running(broker) as hub:
        await many(hub, 5)
        since = broker._logs["news"].read(None, 0).top
        await publish(broker, KEPT, 1)
        ahead = await Peer(9).open()
        ahead.position = since
        await subscribe(hub, ahead, KEPT, since=since)
        broker.pump()
        await publish(broker, KEPT, 2)
        broker.pump()
        await settle(40)
        ahead.read()
        assert ahead.texts == [1, 2]
        assert ahead.faults == []


@pytest.mark.parametrize("turns", [0, 2], ids=["before", "meanwhile"])
async def test_who_leaves_while_very_many_are_told_gets_nothing_more(few: None, turns: int) -> None:
    async with running() as hub:
        peers = await many(hub, 6)
        await publish(hub.broker, KEPT, 0)
        await settle(turns)
        hub.leave_all(peers[-1].line.connection)
        await settle(40)
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [[0]] * 5 + [[]]


async def test_a_slow_one_of_very_many_catches_up(few: None) -> None:
    async with running() as hub:
        await many(hub, 4)
        slow, _ = await arriving(hub, KEPT, number=9, **SMALL)
        for number in range(30):
            await publish(hub.broker, KEPT, number)
            await settle(8)
        await catch_up(slow)
        assert slow.texts == list(range(30))
        assert slow.faults == []


async def test_very_many_are_told_of_a_gap_after_what_comes_before_it(few: None) -> None:
    broker = Shaky()
    async with running(broker) as hub:
        peers = await many(hub, 6)
        await publish(broker, KEPT, 0)
        await publish(broker, KEPT, 1)
        broker.pump()
        await settle(1)
        broker.lose_data()
        await publish(broker, KEPT, "new")
        broker.pump()
        await settle(40)
        await publish(broker, KEPT, "newer")
        broker.pump()
        await settle(40)
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [[0, 1, "new", "newer"]] * 6
        assert [(peer.gaps, peer.faults) for peer in peers] == [(1, [])] * 6


async def test_a_gap_in_the_middle_of_very_many_tells_nobody_twice(few: None) -> None:
    async with running() as hub:
        peers = await many(hub, 6)
        await publish(hub.broker, KEPT, 0)
        await settle(1)  # some have been told
        found = hub.topic("news")
        assert found is not None
        found.tell_gap(Position(found.position.epoch, 9))
        await publish(hub.broker, PLAIN, "next")
        await settle(40)
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [[0, "next"]] * 6
        assert [peer.gaps for peer in peers] == [1] * 6


async def test_what_comes_meanwhile_is_told_together_with_what_was_there(few: None) -> None:
    async with running() as hub:
        peers = await many(hub, 10)
        for peer in peers:
            peer.read()
        await publish(hub.broker, KEPT, 0)
        await settle(2)
        await publish(hub.broker, KEPT, 1)
        outbox = peers[-1].line.connection.outbox
        while not len(outbox):
            await settle(1)
        assert len(outbox) == 2
        await settle(40)
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [[0, 1]] * 10


async def test_who_is_told_much_at_a_time_is_not_slow_for_that(few: None) -> None:
    broker = Halting()
    async with running(broker) as hub:
        peers = await many(hub, 3, **SMALL)
        for number in range(30):
            await publish(hub.broker, KEPT, number)
        for _ in range(100):
            await settle(1)
            for peer in peers:
                peer.read()
        assert [peer.texts for peer in peers] == [list(range(30))] * 3
        assert broker.times("read") == 0


async def test_a_backlog_is_bounded_for_then_everything_is_told_at_once(few: None) -> None:
    async with running() as hub:
        peers = await many(hub, 5)
        for number in range(31):
            await publish(hub.broker, KEPT, number)
        peers[0].read()
        assert peers[0].texts == []
        await publish(hub.broker, KEPT, 31)
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [list(range(32))] * 5


async def test_who_falls_behind_in_a_backlog_gets_the_newest_of_each_key(few: None) -> None:
    async with running() as hub:
        peers = [(await arriving(hub, LATEST, number=n, **SMALL))[0] for n in range(3)]
        for number in range(32):
            await publish(hub.broker, LATEST, number, key=f"k{number % 8}")
        for peer in peers:
            await catch_up(peer)
            assert set(peer.texts[-8:]) == set(range(24, 32))


async def test_slow_ones_hold_up_no_backlog(few: None) -> None:
    rules = PLAIN._replace(overflow="drop")
    async with running() as hub:
        for number in range(3):
            await arriving(hub, rules, number=number, **SMALL)
        for number in range(20):
            await publish(hub.broker, rules, number)
        await settle(12)
        topic_ = hub.topic("news")
        assert topic_ is not None
        assert topic_.backlog is not None
        assert len(topic_.backlog) == 0
        assert hub.stats.dropped == 45

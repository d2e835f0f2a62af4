"""Who is subscribed gets everything; who has gone leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.channels.halting import KEPT, LATEST, PLAIN, PRESENT, Halting, arriving, running
from tests.unit.channels.listeners import Peer, Shaky, publish, settle, subscribe
from wirework import App, BrokerUnavailable, ConnectionClosed, History, Position, Reject
from wirework.brokers.base import Keep, Message, Publication
from wirework.brokers.memory import MemoryBroker
from wirework.channels.hub import AlreadySubscribed, Hub
from wirework.channels.rules import Rules
from wirework.testing import TestClient


def types(peer: Peer) -> list[str]:
    return [message["type"].removeprefix("channel.") for message in peer.read()]


async def start(work: Any) -> asyncio.Task[Any]:
    """Begin something, and let it come as far as it can."""
    task = asyncio.get_running_loop().create_task(work)
    await settle()
    return task


# --- subscribing --------------------------------------------------------------------------------


async def test_a_subscriber_is_told_so_and_then_everything_in_order() -> None:
    async with running() as hub:
        peer, _ = await arriving(hub, KEPT)
        for number in range(5):
            await publish(hub.broker, KEPT, number)
        assert types(peer) == ["subscribed", *["publication"] * 5]
        assert peer.texts == [0, 1, 2, 3, 4]
        assert peer.faults == []


async def test_the_past_is_told_only_to_who_asks_for_it() -> None:
    async with running() as hub:
        first = await publish(hub.broker, KEPT, "old")
        peer, _ = await arriving(hub, KEPT)
        peer.read()
        assert peer.texts == []
        assert peer.position == first.position
        assert "recovered" not in peer.heard[0]["data"]


async def test_in_mode_latest_a_new_subscriber_gets_the_newest_of_each_key() -> None:
    async with running() as hub:
        for key, value in (("a", 1), ("b", 2), ("a", 3)):
            await publish(hub.broker, LATEST, value, key=key)
        peer, _ = await arriving(hub, LATEST)
        peer.read()
        assert peer.texts == [2, 3]


async def test_one_subscription_at_the_broker_serves_all_of_a_process() -> None:
    async with running(Halting()) as hub:
        peers = [(await arriving(hub, PLAIN, number=number))[0] for number in range(3)]
        assert isinstance(hub.broker, Halting)
        assert hub.broker.times("subscribe") == 1
        await publish(hub.broker, PLAIN, "x")
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [["x"]] * 3


async def test_three_first_subscribers_at_once_share_one_subscription_at_the_broker() -> None:
    broker = Halting()
    async with running(broker) as hub:
        gate = broker.halt("subscribe")
        peers = [await Peer(number).open() for number in range(3)]
        tasks = [await start(subscribe(hub, peer, KEPT)) for peer in peers]
        assert broker.times("subscribe") == 1
        gate.open.set()
        await asyncio.gather(*tasks)
        await publish(broker, KEPT, "x")
        for peer in peers:
            peer.read()
        assert [peer.texts for peer in peers] == [["x"]] * 3
        assert hub.stats[:2] == (1, 3)


@pytest.mark.parametrize("call", ["top", "read"])
async def test_what_is_published_while_one_subscribes_is_told_once_and_after_the_past(
    call: str,
) -> None:
    broker = Halting()
    async with running(broker) as hub:
        since = (await publish(broker, KEPT, 1)).position
        await publish(broker, KEPT, 2)
        gate = broker.halt(call)
        peer = await Peer().open()
        peer.position = since
        task = await start(subscribe(hub, peer, KEPT, since=since))
        await publish(broker, KEPT, 3)
        gate.open.set()
        await task
        await publish(broker, KEPT, 4)
        peer.read()
        assert peer.texts == [2, 3, 4]
        assert peer.faults == []


async def test_the_position_that_a_subscriber_is_told_is_that_of_what_it_was_told() -> None:
    """A client that is cut off right after `subscribed` asks for the rest."""
    broker = Halting()
    async with running(broker) as hub:
        since = (await publish(broker, KEPT, 1)).position
        await publish(broker, KEPT, 2)
        gate = broker.halt_after("read")
        peer = await Peer().open()
        peer.position = since
        task = await start(subscribe(hub, peer, KEPT, since=since))
        await publish(broker, KEPT, 3)
        gate.open.set()
        await task
        said = peer.read()
        assert said[0]["data"]["position"]["offset"] == 2
        assert [each["data"] for each in said[0]["data"]["publications"]] == [2]
        assert said[1]["data"]["data"] == 3
        assert peer.faults == []


async def test_a_hole_while_one_subscribes_is_told_where_it_is() -> None:
    broker = Shaky(seed=3)
    async with running(broker) as hub:
        _, subscription = await arriving(hub, KEPT)
        topic = subscription.topic
        assert topic is not None
        held = [Publication("news", Message(b"1"), "e", number) for number in (1, 2, 5)]
        subscription.position = Position("e", 0)
        found = hub._recovery.merged(topic, subscription, held)
        kinds = [(type(each).__name__, each.position.offset) for each in found]
        assert kinds == [("Publication", 1), ("Publication", 2), ("Gap", 4), ("Publication", 5)]


@pytest.mark.parametrize("turns", range(50))
async def test_a_subscribe_that_is_cancelled_anywhere_leaves_nothing_behind(turns: int) -> None:
    broker = Halting()
    broker.turns = 5
    rules = PRESENT._replace(keep=Keep(100, 300), overflow="catch_up")
    async with running(broker, presence_grace=0) as hub:
        since = (await publish(broker, rules, 1)).position
        peer = await Peer().open()
        task = asyncio.get_running_loop().create_task(subscribe(hub, peer, rules, since=since))
        await settle(turns)
        was_done = task.done()
        task.cancel()
        await asyncio.wait((task,))
        if was_done:
            hub.leave_all(peer.line.connection)
        await settle(60)
        assert hub.stats[:2] == (0, 0)
        assert hub._by_connection == {}
        assert (await broker.count("news")) == (0, 0)
        assert broker._subscribed == set()


async def test_a_cancelled_first_subscriber_does_not_take_the_others_along() -> None:
    broker = Halting()
    async with running(broker) as hub:
        gate = broker.halt("subscribe")
        first, second = await Peer(1).open(), await Peer(2).open()
        cancelled = await start(subscribe(hub, first, KEPT))
        waiting = await start(subscribe(hub, second, KEPT))
        cancelled.cancel()
        await settle()
        gate.open.set()
        await waiting
        await publish(broker, KEPT, "x")
        second.read()
        assert second.texts == ["x"]


async def test_a_connection_is_subscribed_to_a_channel_once() -> None:
    broker = Halting()
    async with running(broker) as hub:
        gate = broker.halt("subscribe")
        peer = await Peer().open()
        tasks = [await start(subscribe(hub, peer, PLAIN)) for _ in range(2)]
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, AlreadySubscribed) for each in results] == [False, True]
        with pytest.raises(AlreadySubscribed):
            await subscribe(hub, peer, PLAIN)
        await publish(broker, PLAIN, "x")
        peer.read()
        assert peer.texts == ["x"]
        assert hub.stats.subscriptions == 1


@pytest.mark.parametrize("has_words", [True, False], ids=["words", "no words"])
async def test_a_connection_that_ended_meanwhile_is_not_subscribed(has_words: bool) -> None:
    broker = Halting()
    async with running(broker) as hub:
        gate = broker.halt("subscribe")
        peer = await Peer().open()
        if not has_words:
            peer.ws.codec = None  # type: ignore[assignment]
        task = await start(subscribe(hub, peer, PLAIN))
        peer.line.connection.lost()
        gate.open.set()
        with pytest.raises(ConnectionClosed):
            await task
        await settle()
        assert hub.stats[:2] == (0, 0)
        assert hub._by_connection == {}


async def test_who_is_expelled_while_it_subscribes_is_not_subscribed() -> None:
    broker = Halting()
    async with running(broker) as hub:
        gate = broker.halt("join")
        peer = await Peer().open()
        task = await start(subscribe(hub, peer, PRESENT))
        assert hub.expel("news", None, "expelled", "") == 1
        gate.open.set()
        with pytest.raises(Reject, match="before it began"):
            await task
        await settle()
        assert hub.stats[:2] == (0, 0)


# --- the end of subscriptions -------------------------------------------------------------------


async def test_channels_that_nobody_is_subscribed_to_vanish() -> None:
    broker = Halting()
    before = asyncio.all_tasks()
    async with running(broker) as hub:
        idle = len(asyncio.all_tasks())
        for name in ("a", "b"):
            peer = await Peer().open()
            await subscribe(hub, peer, KEPT, name=name)
            hub.leave_all(peer.line.connection)
        await settle()
        assert hub._topics == {}
        assert hub._by_connection == {}
        assert broker._subscribed == set()
        assert len(asyncio.all_tasks()) == idle
    assert asyncio.all_tasks() == before


async def test_who_subscribes_while_a_channel_closes_gets_a_new_one() -> None:
    broker = Halting()
    async with running(broker) as hub:
        old, subscription = await arriving(hub, KEPT)
        gate = broker.halt("unsubscribe")
        hub.leave(subscription)
        await settle()
        peer = await Peer().open()
        task = await start(subscribe(hub, peer, KEPT))
        assert not task.done()
        gate.open.set()
        await task
        await publish(broker, KEPT, "x")
        assert types(peer) == ["subscribed", "publication"]
        assert types(old) == ["subscribed"]


async def test_a_half_open_connection_does_not_take_the_one_that_replaced_it_along() -> None:
    rules = PRESENT._replace(keep=Keep(100, 300), overflow="catch_up")
    async with running(presence_grace=0) as hub:
        watcher, _ = await arriving(hub, rules, number=1)
        old, _ = await arriving(hub, rules, number=2)
        await publish(hub.broker, rules, 1)
        old.read()
        new = await Peer(2).open()
        new.position = old.position
        await subscribe(hub, new, rules, since=old.position)
        await publish(hub.broker, rules, 2)
        old.line.connection.lost()
        hub.leave_all(old.line.connection)
        await settle()
        await publish(hub.broker, rules, 3)
        new.read()
        assert new.texts == [2, 3]
        assert new.faults == []
        assert types(watcher).count("left") == 0
        assert await hub.broker.count("news") == (2, 2)


async def test_a_connection_found_dead_when_something_is_published_is_forgotten() -> None:
    async with running() as hub:
        peer, subscription = await arriving(hub, PLAIN)
        ended: list[Any] = []
        subscription.on_end = ended.append
        peer.line.connection.lost()
        await publish(hub.broker, PLAIN, "x")
        assert ended == [subscription]
        await settle()
        assert hub.stats[:2] == (0, 0)


async def test_expelling_tells_those_it_is_about_and_nobody_else() -> None:
    async with running() as hub:
        ada, _ = await arriving(hub, PLAIN, number=1)
        bob, _ = await arriving(hub, PLAIN, number=2)
        assert hub.expel("news", {"u:user-1"}, "banned", "be nice") == 1
        await publish(hub.broker, PLAIN, "x")
        assert types(bob) == ["subscribed", "publication"]
        assert ada.read()[1:] == [
            {
                "type": "channel.unsubscribed",
                "data": {"channel": "news", "code": "banned", "reason": "be nice"},
            }
        ]
        assert hub.expel("news", None, "closed", "") == 1
        assert hub.expel("news", None, "closed", "") == 0


async def test_stopping_ends_everything() -> None:
    broker = Halting()
    async with running(broker) as hub:
        _, subscription = await arriving(hub, KEPT)
        ended: list[Any] = []
        subscription.on_end = ended.append
        gate = broker.halt("subscribe")
        peer = await Peer().open()
        opening = await start(subscribe(hub, peer, KEPT, name="other"))
        async with hub.consume("news", KEPT) as consumer:
            await hub.stop()
            assert await consumer.take() is None
        assert ended == [subscription]
        assert hub._topics == {}
        assert not gate.open.is_set()
        with pytest.raises(BrokerUnavailable, match="stops"):
            await opening


# --- recovery -----------------------------------------------------------------------------------


async def test_who_received_nothing_before_the_drop_misses_nothing() -> None:
    async with running() as hub:
        peer, _ = await arriving(hub, KEPT)
        peer.read()
        hub.leave_all(peer.line.connection)
        await publish(hub.broker, KEPT, 1)
        await publish(hub.broker, KEPT, 2)
        back = await Peer().open()
        await subscribe(hub, back, KEPT, since=peer.position)
        said = back.read()[0]["data"]
        assert said["recovered"] is True
        assert back.texts == [1, 2]


async def test_returning_twice_without_news_recovers_nothing_and_says_so() -> None:
    async with running() as hub:
        position = (await publish(hub.broker, KEPT, 1)).position
        for _ in range(2):
            peer = await Peer().open()
            peer.position = position
            await subscribe(hub, peer, KEPT, since=position)
            said = peer.read()[0]["data"]
            assert said["recovered"] is True
            assert "publications" not in said
            assert peer.position == position
            hub.leave_all(peer.line.connection)
            await settle()


@pytest.mark.parametrize(
    ("published", "since"),
    [(4, 0), (2, None), (2, 99)],
    ids=["too old", "another epoch", "from the future"],
)
async def test_what_cannot_be_recovered_whole_is_not_recovered_in_part(
    published: int, since: int | None
) -> None:
    rules = KEPT._replace(keep=Keep(3, 300))
    async with running() as hub:
        position = Position()
        for number in range(published):
            position = (await publish(hub.broker, rules, number)).position
        peer = await Peer().open()
        old = Position("gone", 1) if since is None else Position(position.epoch, since)
        await subscribe(hub, peer, rules, since=old)
        said = peer.read()[0]["data"]
        assert said["recovered"] is False
        assert "publications" not in said
        assert peer.position == position
        await publish(hub.broker, rules, "next")
        peer.read()
        assert peer.texts == ["next"]


async def test_more_than_is_read_at_once_follows_page_by_page() -> None:
    async with running(history_limit=3) as hub:
        since = (await publish(hub.broker, KEPT, 0)).position
        for number in range(1, 11):
            await publish(hub.broker, KEPT, number)
        peer = await Peer().open()
        peer.position = since
        await subscribe(hub, peer, KEPT, since=since)
        said = peer.read()[0]["data"]
        assert said["recovered"] is True
        assert [each["data"] for each in said["publications"]] == [1, 2, 3]
        assert said["position"]["offset"] == 4
        await settle()
        await publish(hub.broker, KEPT, 11)
        peer.read()
        assert peer.texts == list(range(1, 12))
        assert (peer.faults, peer.gaps) == ([], 0)


async def test_a_position_in_a_channel_that_keeps_nothing_recovers_nothing() -> None:
    async with running() as hub:
        peer = await Peer().open()
        await subscribe(hub, peer, PLAIN, since=Position("e", 1))
        assert peer.read()[0]["data"] == {"channel": "news", "recovered": False}


async def test_in_mode_latest_who_cannot_recover_gets_everything_that_is_kept() -> None:
    async with running() as hub:
        await publish(hub.broker, LATEST, 1, key="a")
        peer = await Peer().open()
        await subscribe(hub, peer, LATEST, since=Position("gone", 7))
        said = peer.read()[0]["data"]
        assert said["recovered"] is False
        assert peer.texts == [1]


# --- the broker loses something, or is away -----------------------------------------------------


async def test_a_loss_shows_in_the_next_publication_and_is_filled() -> None:
    broker = Shaky()
    async with running(broker) as hub:
        peer, _ = await arriving(hub, KEPT)
        broker.is_losing = True
        await publish(broker, KEPT, 1)
        broker.is_losing = False
        await publish(broker, KEPT, 2)
        broker.pump()
        await settle()
        peer.read()
        assert peer.texts == [1, 2]
        assert peer.faults == []


async def test_the_position_check_finds_a_loss_that_nothing_else_shows() -> None:
    broker = Shaky()
    async with running(broker, check_interval=0.001) as hub:
        peer, _ = await arriving(hub, KEPT)
        broker.is_losing = True
        await publish(broker, KEPT, 1)
        async with asyncio.timeout(5):
            while not peer.texts:
                await settle(1)
                peer.read()
        assert peer.texts == [1]
        assert hub.stats.gaps == 0


async def test_the_position_check_goes_on_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Shaky):
        async def sweep(self, channels: Any) -> None:
            raise RuntimeError("broken")

    broker = Broken()
    async with running(broker, check_interval=0.001) as hub:
        peer, _ = await arriving(hub, KEPT)
        async with asyncio.timeout(5):
            while "could not be compared" not in caplog.text:
                await settle(1)
        broker.is_losing = True
        await publish(broker, KEPT, 1)
        async with asyncio.timeout(5):
            while not peer.texts:
                await settle(1)
                peer.read()


async def test_what_cannot_be_had_any_more_is_told_as_a_gap() -> None:
    broker, rules = Shaky(), KEPT._replace(keep=Keep(2, 300))
    async with running(broker) as hub:
        peer, _ = await arriving(hub, rules)
        broker.is_losing = True
        for number in range(5):
            await publish(broker, rules, number)
        broker.is_losing = False
        last = await publish(broker, rules, 5)
        broker.pump()
        await settle()
        assert types(peer) == ["subscribed", "gap"]
        assert peer.position == last.position
        assert hub.stats.gaps == 1


async def test_a_new_epoch_is_a_gap_and_then_everything_that_it_has() -> None:
    broker = Shaky()
    async with running(broker) as hub:
        peer, _ = await arriving(hub, KEPT)
        await publish(broker, KEPT, "old")
        broker.pump()
        broker.lose_data()
        for number in (1, 2):
            await publish(broker, KEPT, number)
        broker.pump()
        await settle()
        assert types(peer) == ["subscribed", "publication", "gap", "publication", "publication"]
        assert peer.texts == ["old", 1, 2]
        assert peer.faults == []


async def test_in_mode_latest_a_new_epoch_is_a_gap_and_then_the_newest_of_each_key() -> None:
    broker = Shaky()
    async with running(broker) as hub:
        peer, _ = await arriving(hub, LATEST)
        await publish(broker, LATEST, "old", key="a")
        broker.pump()
        broker.lose_data()
        for value, key in ((1, "a"), (2, "b"), (3, "a")):
            await publish(broker, LATEST, value, key=key)
        broker.pump()
        await settle()
        assert types(peer) == ["subscribed", "publication", "gap", "publication", "publication"]
        assert peer.texts == ["old", 2, 3]
        assert peer.heard[2]["data"]["position"]["offset"] == 1
        await publish(broker, LATEST, 4, key="a")
        broker.pump()
        peer.read()
        assert peer.texts == ["old", 2, 3, 4]


async def test_in_mode_latest_what_is_left_after_a_loss_is_told_after_the_gap() -> None:
    broker, rules = Shaky(), LATEST._replace(keep=Keep(2, 300, latest=True))
    async with running(broker) as hub:
        peer, _ = await arriving(hub, rules)
        broker.is_losing = True
        for key in "abc":
            await publish(broker, rules, key, key=key)
        broker.is_losing = False
        await hub._look_at_all()
        await settle()
        assert types(peer) == ["subscribed", "gap", "publication", "publication"]
        assert peer.texts == ["b", "c"]


async def test_subscribers_stay_while_the_broker_is_away_and_get_what_they_missed() -> None:
    broker = Shaky()
    async with running(broker) as hub:
        peer, _ = await arriving(hub, KEPT)
        broker.go()
        assert hub.stats.is_degraded
        await publish(broker, KEPT, 1)
        broker.come_back()
        await settle()
        assert not hub.stats.is_degraded
        assert types(peer) == ["subscribed", "publication"]
        assert peer.line.connection.is_open


async def test_who_subscribes_while_the_broker_is_away_is_told_so_and_may_try_again() -> None:
    broker = Shaky()
    async with running(broker) as hub:
        broker.go()
        peer = await Peer().open()
        with pytest.raises(BrokerUnavailable):
            await subscribe(hub, peer, KEPT)
        assert hub.stats[:2] == (0, 0)
        assert hub._by_connection == {}
        broker.come_back()
        await subscribe(hub, peer, KEPT)
        assert types(peer) == ["subscribed"]


async def test_a_failed_first_subscription_does_not_make_the_next_one_deaf() -> None:
    broker = Halting()
    async with running(broker) as hub:
        gate = broker.halt("unsubscribe")
        broker.failing.add("top")
        peers = [await Peer(number).open() for number in range(2)]
        failed = await start(subscribe(hub, peers[0], KEPT))
        broker.failing.clear()
        task = await start(subscribe(hub, peers[1], KEPT))
        gate.open.set()
        with pytest.raises(BrokerUnavailable):
            await failed
        await task
        await settle()
        await publish(broker, KEPT, "x")
        peers[1].read()
        assert peers[1].texts == ["x"]


async def test_what_the_broker_tells_twice_is_told_once() -> None:
    broker = Shaky()
    async with running(broker) as hub:
        peer, _ = await arriving(hub, KEPT)
        for number in range(3):
            await publish(broker, KEPT, number)
        twice = list(broker.arriving)
        broker.pump()
        broker.arriving.extend(twice)
        broker.pump()
        await settle()
        peer.read()
        assert peer.texts == [0, 1, 2]


async def test_a_publication_with_a_position_reaches_a_channel_that_keeps_nothing() -> None:
    """While workers of two versions run, one may keep what the other does not."""
    async with running() as hub:
        peer, _ = await arriving(hub, PLAIN)
        await publish(hub.broker, KEPT, 1)
        await publish(hub.broker, PLAIN, 2)
        await publish(hub.broker, KEPT, 3)
        assert types(peer) == ["subscribed", "publication", "publication", "publication"]
        assert peer.texts == [1, 2, 3]


async def test_a_hub_that_could_not_start_starts_at_the_next_try() -> None:
    class Unready(MemoryBroker):
        is_ready = False
        starts = 0

        async def start(self, receiver: Any) -> None:
            self.starts += 1
            await asyncio.sleep(0)
            if not self.is_ready:
                raise BrokerUnavailable("not yet")
            await super().start(receiver)

    broker = Unready()
    hub = Hub(broker)
    tries = await asyncio.gather(hub.start(), hub.start(), return_exceptions=True)
    assert [type(each) for each in tries] == [BrokerUnavailable] * 2
    assert broker.starts == 1
    broker.is_ready = True
    await hub.start()
    peer, _ = await arriving(hub, PLAIN)
    assert types(peer) == ["subscribed"]
    await hub.stop()


async def test_a_hub_that_was_stopped_does_not_start_by_being_used() -> None:
    app = App()
    news = app.channel("news", history=History())
    async with TestClient(app):
        await news().publish(1)
    hub = app.channels.hub
    uses = (
        news().publish(2),
        news().history(),
        app.publish_to_user("ada", 3),
        anext(aiter(news())),
    )
    for use in uses:
        with pytest.raises(BrokerUnavailable, match="the application has stopped"):
            await use
    assert hub._starting is None
    async with TestClient(app):
        await news().publish(4)


# --- consumers ----------------------------------------------------------------------------------


async def test_a_consumer_keeps_a_channel_open_and_gets_what_is_published() -> None:
    async with running() as hub:
        async with hub.consume("news", KEPT) as consumer:
            for number in range(2):
                await publish(hub.broker, KEPT, number)
            found = [await consumer.take(), await consumer.take()]
            assert [each and each.message.data for each in found] == [b"0", b"1"]
            assert hub.stats.channels == 1
        await settle()
        assert hub.stats.channels == 0


async def test_a_channel_with_rules_of_its_own_keeps_nothing_by_default() -> None:
    assert Rules() == ("stream", None, "close", None)


@pytest.mark.parametrize("count", [4, 100], ids=["at once", "in turns"])
async def test_a_connection_that_cannot_be_written_to_is_ended_and_the_others_get_everything(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as hub:
        peers = [(await arriving(hub, PLAIN))[0] for _ in range(count)]
        broken = peers[1].line.connection
        push = type(broken).push

        def breaking(connection: Any, frame: Any) -> None:
            if connection is broken:
                raise OSError("gone oddly")
            push(connection, frame)

        monkeypatch.setattr(type(broken), "push", breaking)
        for number in range(5):
            await publish(hub.broker, PLAIN, number)
        await settle(40)
        for peer in peers:
            peer.read()
        assert peers[1].texts == []
        assert not broken.is_open
        assert all(each.texts == [0, 1, 2, 3, 4] for each in peers if each is not peers[1])

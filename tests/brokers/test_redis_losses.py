"""Redis goes away and comes back: what is noticed, what is restored, what is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wirework.brokers import Keep, Member, Message, Publication
from wirework.brokers.base import META_TTL, UNUSED_TTL
from wirework.brokers.parcels import packed
from wirework.errors import BrokerUnavailable

from .record import KEEP, Worker, eventually
from .redis_scene import Scene, scene

AWAY_AND_BACK = ["degraded", "restored"]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Scene]:
    """A server that keeps nothing on disk."""
    async with scene(tmp_path) as found:
        yield found


@pytest.fixture
async def durable(tmp_path: Path) -> AsyncIterator[Scene]:
    """A server with an append-only file."""
    async with scene(tmp_path, "--appendonly", "yes") as found:
        yield found


async def seen(worker: Worker, *states: str) -> None:
    await worker.seen.until(lambda: worker.seen.states == list(states))


async def test_a_killed_server_is_noticed_and_every_subscription_is_in_force_again(
    redis: Scene,
) -> None:
    worker = await redis.worker()
    channels = [f"room:{number}" for number in range(1_200)]
    await asyncio.gather(*(worker.broker.subscribe(channel) for channel in channels))
    redis.server.kill()
    await seen(worker, "degraded")
    assert not worker.broker.is_available
    redis.server.start()
    await seen(worker, *AWAY_AND_BACK)
    assert worker.broker.is_available
    for channel in channels:
        await worker.broker.publish(channel, Message(b"1"))
    await worker.seen.published(len(channels))
    assert [each.channel for each in worker.seen.publications] == channels


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
async def test_either_connection_is_opened_again_when_the_server_ends_it(
    redis: Scene, kind: str
) -> None:
    worker = await redis.worker()
    await worker.broker.subscribe("room")
    await redis.cut(kind)
    await seen(worker, *AWAY_AND_BACK)
    await worker.say("room", b"1")
    await worker.seen.told_of(b"1")


async def test_a_server_that_says_nothing_is_noticed(redis: Scene) -> None:
    worker = await redis.worker()
    await worker.broker.subscribe("room")
    redis.server.freeze()
    try:
        await seen(worker, "degraded")
        assert not worker.broker.is_available
        with pytest.raises(BrokerUnavailable, match=r"nothing heard for|no answer"):
            await worker.broker.publish("room", Message(b"never"))
    finally:
        redis.server.thaw()
    await seen(worker, *AWAY_AND_BACK)
    await worker.say("room", b"1")
    await worker.seen.told_of(b"1")


async def test_a_late_answer_is_an_error_and_nobody_elses_answer(redis: Scene) -> None:
    worker = await redis.worker(timeout=1.0)
    other = await redis.worker()
    await worker.say("room", b"1")
    asleep = asyncio.ensure_future(redis.order("DEBUG", "SLEEP", "3"))
    await eventually_asleep(redis)
    with pytest.raises(BrokerUnavailable, match="no answer"):
        await worker.broker.read("room", KEEP, limit=10)
    await asleep
    await seen(worker, *AWAY_AND_BACK)
    await worker.say("room", b"2")
    page = await worker.broker.read("room", KEEP, limit=10)
    assert [each.message.data for each in page.publications] == [b"1", b"2"]
    assert other.seen.states == []


async def eventually_asleep(redis: Scene) -> None:
    async def is_asleep() -> bool:
        try:
            async with asyncio.timeout(0.2):
                await redis.order("PING")
        except TimeoutError:
            return True
        return False

    await eventually(is_asleep)


async def test_a_subscriber_that_redis_cuts_for_a_full_buffer_is_subscribed_again(
    redis: Scene,
) -> None:
    worker, publisher = await redis.worker(), await redis.worker()
    await worker.broker.subscribe("room")
    await redis.order("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
    await publisher.say("room", b"x" * 4_000_000)
    await seen(worker, *AWAY_AND_BACK)
    await publisher.say("room", b"2")
    await worker.seen.told_of(b"2")
    page = await worker.broker.read("room", KEEP, limit=10)
    assert [each.offset for each in page.publications] == [1, 2]


async def test_what_was_missed_is_read_after_the_return(redis: Scene) -> None:
    worker, publisher = await redis.worker(), await redis.worker()
    await worker.broker.subscribe("room")
    await publisher.say("room", b"1")
    await worker.seen.told_of(b"1")
    position = worker.seen.publications[-1].position
    await asyncio.gather(redis.cut("pubsub"), publisher.say("room", b"2", b"3"))
    await seen(worker, *AWAY_AND_BACK)
    page = await worker.broker.read("room", KEEP, since=position, limit=10)
    assert [each.message.data for each in page.publications] == [b"2", b"3"]
    assert page.is_whole


async def test_a_call_waits_for_the_server_to_return(redis: Scene) -> None:
    worker = await redis.worker(timeout=20.0)
    redis.server.kill()
    await seen(worker, "degraded")
    calls = asyncio.gather(
        worker.broker.publish("room", Message(b"1"), KEEP),
        worker.broker.subscribe("other"),
        worker.broker.count("room"),
    )
    redis.server.start()
    published, _, count = await calls
    assert published.position.offset == 1
    assert count == (0, 0)
    await seen(worker, *AWAY_AND_BACK)
    await worker.say("other", b"2")
    await worker.seen.told_of(b"2")


async def test_who_waits_too_long_learns_why(redis: Scene) -> None:
    worker = await redis.worker(timeout=0.5)
    redis.server.kill()
    await seen(worker, "degraded")
    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{redis.server.port}"):
        await worker.broker.publish("room", Message(b"1"))
    with pytest.raises(BrokerUnavailable):
        await worker.broker.subscribe("room")
    await worker.broker.unsubscribe("room")


async def test_what_was_unsubscribed_meanwhile_is_not_subscribed_again(redis: Scene) -> None:
    worker = await redis.worker()
    await worker.broker.subscribe("left")
    await worker.broker.subscribe("kept")
    redis.server.kill()
    await seen(worker, "degraded")
    await worker.broker.unsubscribe("left")
    redis.server.start()
    await seen(worker, *AWAY_AND_BACK)
    assert await redis.order("PUBSUB", "CHANNELS") == [b"test:{kept}"]


async def test_an_idempotent_publication_is_repeated_when_its_connection_is_lost(
    redis: Scene,
) -> None:
    worker = await redis.worker()
    calls = [
        asyncio.ensure_future(
            worker.broker.publish("room", Message(b"%d" % number), KEEP, idempotency=str(number))
        )
        for number in range(2_000)
    ]
    await redis.cut("normal")
    found = await asyncio.gather(*calls)
    assert sorted(each.position.offset for each in found) == list(range(1, 2_001))


async def test_positions_outlive_a_restart_with_an_append_only_file(durable: Scene) -> None:
    worker = await durable.worker()
    await worker.say("room", b"1", b"2")
    before = await worker.broker.read("room", KEEP, limit=10)
    durable.server.kill()
    await seen(worker, "degraded")
    durable.server.start()
    await seen(worker, *AWAY_AND_BACK)
    await worker.say("room", b"3")
    page = await worker.broker.read("room", KEEP, since=before.top, limit=10)
    assert [each.message.data for each in page.publications] == [b"3"]
    assert page.is_whole
    assert page.top.epoch == before.top.epoch


async def test_offsets_that_may_be_given_again_are_of_another_epoch(redis: Scene) -> None:
    worker = await redis.worker()
    await worker.say("room", b"1", b"2")
    await redis.order("SAVE")
    await worker.say("room", b"lost")
    seen_last = (await worker.broker.read("room", KEEP, limit=0)).top
    redis.server.kill()
    await seen(worker, "degraded")
    redis.server.start()
    await seen(worker, *AWAY_AND_BACK)
    assert await redis.order("EXISTS", "test:{room}:p") == 1
    await worker.say("room", b"new 3", b"new 4")
    page = await worker.broker.read("room", KEEP, since=seen_last, limit=10)
    assert not page.is_whole
    assert page.top.epoch != seen_last.epoch


@pytest.mark.parametrize("latest", [False, True])
async def test_a_server_that_was_emptied_begins_a_new_epoch(redis: Scene, latest: bool) -> None:
    keep = Keep(100, 300.0, latest)
    worker = await redis.worker()
    await worker.say("room", b"1", b"2", keep=keep)
    before = (await worker.broker.read("room", keep, limit=10)).top
    await redis.order("FLUSHALL")
    await worker.say("room", b"a", b"b", b"c", keep=keep)
    page = await worker.broker.read("room", keep, since=before, limit=10)
    assert (page.is_whole, list(page.publications)) == (False, [])
    assert page.top.epoch != before.epoch
    assert page.top.offset == 3


async def test_a_position_without_its_publications_begins_anew(redis: Scene) -> None:
    worker = await redis.worker()
    await worker.say("room", b"1", b"2")
    top = (await worker.broker.read("room", KEEP, limit=0)).top
    await redis.order("DEL", "test:{room}:p")
    page = await worker.broker.read("room", KEEP, limit=10)
    assert (page.top.offset, list(page.publications)) == (0, [])
    await worker.say("room", b"3")
    page = await worker.broker.read("room", KEEP, limit=10)
    assert [(each.offset, each.message.data) for each in page.publications] == [(1, b"3")]
    await redis.order("DEL", "test:{room}:h")
    page = await worker.broker.read("room", KEEP, since=page.top, limit=10)
    assert page.is_whole
    assert not (await worker.broker.read("room", KEEP, since=top, limit=10)).is_whole


async def test_an_entry_missing_in_the_middle_is_not_whole(redis: Scene) -> None:
    worker = await redis.worker()
    await worker.say("room", b"1", b"2", b"3")
    top = (await worker.broker.read("room", KEEP, limit=10)).top
    start = type(top)(top.epoch, 0)
    assert (await worker.broker.read("room", KEEP, since=start, limit=10)).is_whole
    entries = await redis.order("XRANGE", "test:{room}:h", "2", "2")
    await redis.order("XDEL", "test:{room}:h", entries[0][0].decode())
    assert not (await worker.broker.read("room", KEEP, since=start, limit=10)).is_whole


async def test_members_are_present_again_after_a_restart_that_lost_them(redis: Scene) -> None:
    worker = await redis.worker()
    for number in range(3):
        await worker.broker.join("room", Member(f"c{number}", "ann"))
    redis.server.kill()
    await seen(worker, "degraded")
    redis.server.start()
    await seen(worker, *AWAY_AND_BACK)
    assert await worker.broker.count("room") == (3, 1)


async def test_members_are_present_again_after_they_were_flushed(redis: Scene) -> None:
    worker = await redis.worker(lease=0.6)
    await worker.broker.subscribe("room")
    await worker.broker.join("room", Member("c1", "ann", b'{"name":"Ann"}'))
    version = worker.seen.changes[-1].version if worker.seen.changes else 0
    await redis.order("FLUSHALL")
    await eventually_counted(worker, "room", (1, 1))
    roll = await worker.broker.members("room")
    assert list(roll.members) == [Member("c1", "ann", b'{"name":"Ann"}')]
    assert roll.version > version


async def eventually_counted(worker: Worker, channel: str, count: tuple[int, int]) -> None:
    async def is_so() -> bool:
        return await worker.broker.count(channel) == count

    await eventually(is_so)


async def test_who_left_while_the_server_was_away_is_not_present_after_its_return(
    durable: Scene,
) -> None:
    worker = await durable.worker(timeout=0.5)
    watcher = await durable.worker()
    for name in ("ann", "bob"):
        await worker.broker.join("room", Member(f"c-{name}", name))
    await worker.broker.join("empty", Member("c-ann", "ann"))
    durable.server.kill()
    await seen(worker, "degraded")
    for channel in ("room", "empty"):
        with pytest.raises(BrokerUnavailable):
            await worker.broker.leave(channel, Member("c-ann", "ann"))
    durable.server.start()
    await seen(worker, *AWAY_AND_BACK)
    await eventually_counted(watcher, "room", (1, 1))
    await eventually_counted(watcher, "empty", (0, 0))
    assert [each.user for each in (await watcher.broker.members("room")).members] == ["bob"]


async def test_twenty_losses_leave_no_task_and_no_descriptor(redis: Scene) -> None:
    worker = await redis.worker()
    await worker.broker.subscribe("room")
    await redis.order("PING")
    tasks, descriptors = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    for number in range(20):
        await redis.cut()
        restored = number + 1
        await worker.seen.until(lambda: worker.seen.states.count("restored") >= restored)  # noqa: B023
    await worker.say("room", b"last")
    await worker.seen.told_of(b"last")
    states = worker.seen.states
    assert states == AWAY_AND_BACK * (len(states) // 2)
    assert len(asyncio.all_tasks()) == tasks
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert int(info(await redis.order("INFO", "clients"))["connected_clients"]) == 3


def info(text: bytes) -> dict[str, str]:
    lines = text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def test_what_no_worker_has_sent_is_dropped_counted_and_logged_once(
    redis: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await redis.worker()
    await worker.broker.subscribe("room")
    parcel = packed(Publication("room", Message(b"1")))
    await redis.order("PUBLISH", "test:{room}", "garbage")
    for bad in ("", "\x02", "\x01", "\x01garbage", "\x80\x04\x95", "x" * 5_000_000):
        await redis.order("PUBLISH", "test:{room}", bad)
    assert (
        await redis.order(
            "EVAL", "return redis.call('PUBLISH', KEYS[1], ARGV[1])", "1", "test:{room}", "again"
        )
        == 1
    )
    assert parcel[:1] == b"\x01"
    await worker.say("room", b"good")
    await worker.seen.told_of(b"good")
    assert worker.broker.unreadable == 8
    assert len(worker.seen.publications) == 1
    assert worker.seen.states == []
    assert sum("no worker of this version" in each.getMessage() for each in caplog.records) == 1


async def test_garbage_in_the_history_is_not_whole(redis: Scene) -> None:
    worker = await redis.worker()
    await worker.say("room", b"1", b"2")
    top = (await worker.broker.read("room", KEEP, limit=0)).top
    await redis.order("XADD", "test:{room}:h", "3-1", "m", "garbage")
    await redis.order("HSET", "test:{room}:p", "o", "3")
    page = await worker.broker.read("room", KEEP, since=type(top)(top.epoch, 1), limit=10)
    assert [each.message.data for each in page.publications] == [b"2"]
    assert not page.is_whole


# --- names that nobody publishes in -------------------------------------------------------------


async def remembered(redis: Scene, channel: str) -> float:
    """Return the seconds for which the position of a channel is remembered."""
    return float(await redis.order("PTTL", f"test:{{{channel}}}:p")) / 1000


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(5.0, UNUSED_TTL), (5 * UNUSED_TTL, 5 * UNUSED_TTL), (2 * META_TTL, META_TTL)],
    ids=["short", "long", "longest"],
)
async def test_a_channel_in_which_nothing_was_published_is_forgotten_soon(
    redis: Scene, ttl: float, seconds: float
) -> None:
    worker, keep = await redis.worker(), Keep(10, ttl)
    before = (await worker.broker.read("room", keep, limit=0)).top
    assert 0 < await remembered(redis, "room") <= seconds
    await redis.order("PEXPIRE", "test:{room}:p", "60000")
    assert (await worker.broker.read("room", keep, limit=0)).top == before
    assert seconds - 60 < await remembered(redis, "room") <= seconds
    await worker.say("room", b"1", keep=keep)
    assert META_TTL - 60 < await remembered(redis, "room") <= META_TTL
    await worker.broker.read("room", keep, limit=0)
    assert META_TTL - 60 < await remembered(redis, "room") <= META_TTL

"""What is published is told: once, in order, to whoever is subscribed."""

from __future__ import annotations

import asyncio

import pytest

from wirework.brokers import Member, Message, Position, Publication

from .record import KEEP, Place, Worker, numbered, running

NAMES = ["news", "news:1", "news.1", "news.*", "news.>", "*", ">", "{x}", "{x}:y", "%41", "A", "a"]
NAMES += ["ä€😀", "a/../b", "$SYS", "x" * 255, "a$b", ".", "..", "_INBOX", "a[b]?c", "\\", "a=b,c"]


async def test_what_is_published_is_told_once_and_in_order(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    await subscriber.broker.subscribe(channel)
    await publisher.say(channel, *numbered(1, 100))
    assert await subscriber.seen.published(100) == numbered(1, 100)
    await subscriber.quiet()
    assert await subscriber.seen.published(100) == numbered(1, 100)


async def test_everything_that_a_message_says_arrives(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    await subscriber.broker.subscribe(channel)
    said = [
        Message(
            b'{"a":"\xc3\xa4"}',
            "key",
            Member("c1", "u:1", b"[1]", b"{}"),
            ("c1", "c2"),
            1_700_000_000_123,
        ),
        Message(b"null"),
        Message(b'"\\u0000"', by=Member("c2")),
    ]
    for message in said:
        await publisher.broker.publish(channel, message, KEEP)
        await publisher.broker.publish(channel, message)
    await subscriber.seen.published(6)
    told = [publication.message for publication in subscriber.seen.publications]
    assert [(m.data, m.key, m.by, list(m.exclude), m.at) for m in told] == [
        (m.data, m.key, m.by, list(m.exclude), m.at) for m in said for _ in range(2)
    ]


async def test_a_large_message_arrives(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    await subscriber.broker.subscribe(channel)
    large = b'"' + b"x" * 500_000 + b'"'
    await publisher.say(channel, large)
    assert await subscriber.seen.published(1) == [large]
    page = await publisher.broker.read(channel, KEEP, limit=10)
    assert [publication.message.data for publication in page.publications] == [large]


async def test_a_channel_that_keeps_nothing_has_no_position(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    await subscriber.broker.subscribe(channel)
    published = await publisher.broker.publish(channel, Message(b"1"))
    await subscriber.seen.published(1)
    assert published == (Position(), False)
    assert subscriber.seen.publications == [Publication(channel, Message(b"1"))]


async def test_offsets_count_from_one_without_a_hole(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    await subscriber.broker.subscribe(channel)
    published = [await publisher.broker.publish(channel, Message(b"x"), KEEP) for _ in range(20)]
    await subscriber.seen.published(20)
    positions = [each.position for each in published]
    assert [position.offset for position in positions] == list(range(1, 21))
    assert {position.epoch for position in positions} == {positions[0].epoch}
    assert positions[0].epoch
    assert [publication.position for publication in subscriber.seen.publications] == positions


async def test_what_is_not_kept_is_not_numbered(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    await subscriber.broker.subscribe(channel)
    await publisher.say(channel, b"1")
    await publisher.say(channel, b"passing", keep=None)
    await publisher.say(channel, b"2")
    assert await subscriber.seen.published(3) == [b"1", b"passing", b"2"]
    assert [each.offset for each in subscriber.seen.publications] == [1, 0, 2]
    page = await publisher.broker.read(channel, KEEP, limit=10)
    assert [each.message.data for each in page.publications] == [b"1", b"2"]


async def test_all_are_told_in_the_order_of_the_offsets(place: Place, channel: str) -> None:
    workers = await place.pair()
    for worker in dict.fromkeys(workers):
        await worker.broker.subscribe(channel)
    texts = [[b"%d-%d" % (who, number) for number in range(15)] for who in range(8)]
    async with asyncio.TaskGroup() as group:
        for who, mine in enumerate(texts):
            group.create_task(workers[who % 2].say(channel, *mine))
    for worker in workers:
        told = await worker.seen.published(120)
        assert [each.offset for each in worker.seen.publications] == list(range(1, 121))
        assert sorted(told) == sorted(text for mine in texts for text in mine)
        for mine in texts:
            assert [text for text in told if text in mine] == mine


@pytest.mark.parametrize("keep", [KEEP, None], ids=["kept", "passing"])
async def test_everything_after_subscribe_has_returned_is_told(
    place: Place, channel: str, keep: None
) -> None:
    publisher, subscriber = await place.pair()
    for attempt in range(20):
        name, published = f"{channel}:{attempt}", 0

        async def publish_on(name: str = name) -> None:
            nonlocal published
            while True:
                await publisher.broker.publish(name, Message(b"%d" % (published + 1)), keep)
                published += 1
                await asyncio.sleep(0)

        async with running(publish_on()):
            await subscriber.broker.subscribe(name)
            begun = published + 2
            """One may be on its way now."""
            await subscriber.seen.told_of(b"%d" % (begun + 10))
        told = [int(each.message.data) for each in subscriber.seen.publications]
        assert told == list(range(told[0], told[-1] + 1))
        assert told[0] <= begun
        await subscriber.broker.unsubscribe(name)
        await subscriber.quiet()
        subscriber.seen.publications.clear()


async def test_who_has_unsubscribed_is_told_no_more(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    await subscriber.broker.subscribe(channel)
    await publisher.say(channel, b"1")
    await subscriber.seen.published(1)
    await subscriber.broker.unsubscribe(channel)
    await publisher.say(channel, b"2", b"3")
    await subscriber.quiet()
    await subscriber.broker.subscribe(channel)
    await publisher.say(channel, b"4")
    assert await subscriber.seen.published(2) == [b"1", b"4"]


async def test_to_unsubscribe_from_what_one_never_had_does_nothing(
    place: Place, channel: str
) -> None:
    worker = await place.worker()
    await worker.broker.unsubscribe(channel)
    await worker.broker.subscribe(channel)
    await worker.say(channel, b"1")
    assert await worker.seen.published(1) == [b"1"]


async def test_each_channel_is_one_of_its_own_whatever_its_name(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    names = [f"{channel}{name}"[-255:] for name in NAMES]
    names += [name for name in (f"{channel[5:13]}.{name}" for name in NAMES) if len(name) < 255]
    for name in names:
        await subscriber.broker.subscribe(name)
    for name in names:
        await publisher.say(name, name.encode())
    await subscriber.seen.published(len(names))
    told = [(each.channel, each.message.data.decode()) for each in subscriber.seen.publications]
    assert sorted(told) == sorted((name, name) for name in names)
    for name in names:
        page = await subscriber.broker.read(name, KEEP, limit=10)
        assert [each.message.data.decode() for each in page.publications] == [name]
        assert page.publications[0].channel == name


async def test_channels_named_like_those_of_the_server_are_ordinary(place: Place) -> None:
    publisher, subscriber = await place.pair()
    for name in NAMES:
        await subscriber.broker.subscribe(name)
    for name in NAMES:
        await publisher.say(name, name.encode(), keep=None)
    await subscriber.seen.published(len(NAMES))
    told = [(each.channel, each.message.data.decode()) for each in subscriber.seen.publications]
    assert sorted(told) == sorted((name, name) for name in NAMES)
    for name in NAMES:
        await subscriber.broker.unsubscribe(name)


async def test_applications_with_other_prefixes_do_not_hear_each_other(
    shared: Place, channel: str
) -> None:
    mine, other = await shared.worker(prefix="mine"), await shared.worker(prefix="other")
    await mine.broker.subscribe(channel)
    await other.say(channel, b"other")
    await other.broker.join(channel, Member("c1"))
    await mine.say(channel, b"mine")
    assert await mine.seen.published(1) == [b"mine"]
    assert mine.seen.publications[0].offset == 1
    assert await mine.broker.count(channel) == (0, 0)
    assert mine.seen.changes == []


@pytest.mark.parametrize("keep", [KEEP, None], ids=["kept", "passing"])
async def test_the_same_idempotency_key_publishes_once(
    place: Place, channel: str, keep: None
) -> None:
    publisher, other = await place.pair()
    await other.broker.subscribe(channel)
    message = Message(b"1")
    first = await publisher.broker.publish(channel, message, keep, idempotency="once")
    await publisher.say(channel, b"2", keep=keep)
    again = await other.broker.publish(channel, message, keep, idempotency="once")
    await other.quiet()
    assert (first.is_duplicate, again.is_duplicate) == (False, True)
    assert again.position == first.position
    assert await other.seen.published(2) == [b"1", b"2"]


async def test_idempotency_keys_are_of_their_channel(place: Place, channel: str) -> None:
    worker = await place.worker()
    names = [channel, f"{channel}:2"]
    published = [
        await worker.broker.publish(name, Message(b"x"), KEEP, idempotency=key)
        for name in names
        for key in ("a", "b", "a:b", "ä * > \r\n")
    ]
    assert [each.is_duplicate for each in published] == [False] * 8
    assert [each.position.offset for each in published] == [1, 2, 3, 4] * 2


@pytest.mark.parametrize("keep", [KEEP, None], ids=["kept", "passing"])
async def test_of_many_attempts_at_the_same_time_one_publishes(
    place: Place, channel: str, keep: None
) -> None:
    workers = await place.pair()
    await workers[1].broker.subscribe(channel)
    for key in ("a", "b", "c"):
        published = await asyncio.gather(
            *(
                workers[number % 2].broker.publish(channel, Message(b"x"), keep, idempotency=key)
                for number in range(10)
            )
        )
        assert sorted(each.is_duplicate for each in published) == [False] + [True] * 9
        assert len({each.position for each in published}) == 1
    await workers[1].quiet()
    assert len(workers[1].seen.publications) == 3


async def test_a_channel_without_subscribers_can_be_published_in(
    place: Place, channel: str
) -> None:
    worker = await place.worker()
    assert (await worker.broker.publish(channel, Message(b"x"))).is_duplicate is False
    published = await worker.broker.publish(channel, Message(b"x"), KEEP)
    assert published.position.offset == 1
    await worker.quiet()
    assert worker.seen.publications == []


async def test_many_publish_in_many_channels_at_the_same_time(place: Place, channel: str) -> None:
    publisher, subscriber = await place.pair()
    names = [f"{channel}:{number}" for number in range(20)]
    for name in names:
        await subscriber.broker.subscribe(name)

    async def fill(worker: Worker, name: str) -> None:
        for number in range(1, 11):
            published = await worker.broker.publish(name, Message(name.encode()), KEEP)
            assert published.position.offset == number

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(fill(publisher, name))
    await subscriber.seen.published(200)
    assert all(each.channel.encode() == each.message.data for each in subscriber.seen.publications)
    for name in names:
        told = [each.offset for each in subscriber.seen.publications if each.channel == name]
        assert told == list(range(1, 11))

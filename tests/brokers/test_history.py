"""What a channel keeps, and what a reader may conclude from it."""

from __future__ import annotations

import asyncio

import pytest

from wirework.brokers import Broker, Keep, Message, Page, Position

from .record import KEEP, Place, Worker, eventually, numbered, running

SMALL = Keep(size=5, ttl=300.0)
LATEST = Keep(size=3, ttl=300.0, latest=True)


def texts(page: Page) -> list[bytes]:
    return [publication.message.data for publication in page.publications]


async def position(broker: Broker, channel: str, keep: Keep = KEEP) -> Position:
    return (await broker.read(channel, keep, limit=0)).top


async def since(worker: Worker, channel: str, start: Position, keep: Keep = KEEP) -> Page:
    return await worker.broker.read(channel, keep, since=start, limit=100)


async def test_a_channel_in_which_nothing_was_published_gets_an_epoch(
    place: Place, channel: str
) -> None:
    first, second = await place.pair()
    empty = await first.broker.read(channel, KEEP, limit=10)
    assert (texts(empty), empty.top.offset) == ([], 0)
    assert empty.top.epoch
    assert await position(second.broker, channel) == empty.top
    published = await second.broker.publish(channel, Message(b"1"), KEEP)
    assert published.position == Position(empty.top.epoch, 1)
    page = await since(first, channel, empty.top)
    assert (texts(page), page.top, page.is_whole) == ([b"1"], published.position, True)


async def test_all_agree_on_the_epoch_of_a_new_channel(place: Place, channel: str) -> None:
    workers = await place.pair()
    for attempt in range(10):
        name = f"{channel}:{attempt}"
        reads = [position(workers[number % 2].broker, name) for number in range(4)]
        said = [workers[n % 2].broker.publish(name, Message(b"x"), KEEP) for n in range(4)]
        tops, published = await asyncio.gather(asyncio.gather(*reads), asyncio.gather(*said))
        epochs = {top.epoch for top in tops} | {each.position.epoch for each in published}
        assert epochs == {(await position(workers[0].broker, name)).epoch}
        assert sorted(each.position.offset for each in published) == [1, 2, 3, 4]


async def test_history_is_read_in_order_with_its_positions(place: Place, channel: str) -> None:
    publisher, reader = await place.pair()
    await reader.broker.subscribe(channel)
    await publisher.say(channel, *numbered(1, 5))
    await reader.seen.published(5)
    page = await reader.broker.read(channel, KEEP, limit=100)
    assert texts(page) == numbered(1, 5)
    assert list(page.publications) == reader.seen.publications
    assert page.top == reader.seen.publications[-1].position


@pytest.mark.parametrize(
    ("start", "limit", "expected", "is_whole"),
    [
        pytest.param(7, 100, [8, 9, 10, 11, 12], True, id="all-that-is-kept"),
        pytest.param(10, 100, [11, 12], True, id="inside"),
        pytest.param(11, 1, [12], True, id="exactly-the-limit"),
        pytest.param(12, 100, [], True, id="nothing-new"),
        pytest.param(12, 0, [], True, id="nothing-new-and-none-asked-for"),
        pytest.param(6, 100, [8, 9, 10, 11, 12], False, id="trimmed-by-one"),
        pytest.param(0, 100, [8, 9, 10, 11, 12], False, id="from-the-beginning"),
        pytest.param(9, 2, [10, 11], False, id="cut-by-the-limit"),
        pytest.param(9, 0, [], False, id="only-the-position"),
        pytest.param(13, 100, [], False, id="beyond-the-top"),
    ],
)
async def test_a_page_says_whether_it_is_whole(
    place: Place, channel: str, start: int, limit: int, expected: list[int], is_whole: bool
) -> None:
    publisher, reader = await place.pair()
    await publisher.say(channel, *numbered(1, 12), keep=SMALL)
    top = await position(reader.broker, channel, SMALL)
    page = await reader.broker.read(channel, SMALL, since=Position(top.epoch, start), limit=limit)
    assert page == Page(page.publications, Position(top.epoch, 12), is_whole)
    assert [each.offset for each in page.publications] == expected


@pytest.mark.parametrize("epoch", ["", "another"])
@pytest.mark.parametrize("offset", [0, 2, 3, 9])
async def test_positions_of_another_epoch_say_nothing(
    place: Place, channel: str, epoch: str, offset: int
) -> None:
    worker = await place.worker()
    await worker.say(channel, *numbered(1, 3))
    page = await since(worker, channel, Position(epoch, offset))
    assert (texts(page), page.top.offset, page.is_whole) == ([], 3, False)


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        pytest.param(None, 100, [12, 11, 10, 9, 8], id="all"),
        pytest.param(None, 2, [12, 11], id="cut"),
        pytest.param(10, 100, [9, 8], id="before"),
        pytest.param(10, 1, [9], id="before-and-cut"),
        pytest.param(13, 2, [12, 11], id="before-the-next"),
        pytest.param(8, 100, [], id="before-the-first"),
        pytest.param(None, 0, [], id="none"),
    ],
)
async def test_history_is_read_backwards(
    place: Place, channel: str, start: int | None, limit: int, expected: list[int]
) -> None:
    worker = await place.worker()
    await worker.say(channel, *numbered(1, 12), keep=SMALL)
    top = await position(worker.broker, channel, SMALL)
    before = None if start is None else Position(top.epoch, start)
    page = await worker.broker.read(channel, SMALL, since=before, limit=limit, reverse=True)
    assert [each.offset for each in page.publications] == expected
    assert page.top == top


async def test_nothing_is_before_a_position_of_another_epoch(place: Place, channel: str) -> None:
    worker = await place.worker()
    await worker.say(channel, *numbered(1, 3))
    page = await worker.broker.read(
        channel, KEEP, since=Position("another", 3), limit=9, reverse=True
    )
    assert (texts(page), page.top.offset) == ([], 3)


async def test_a_channel_has_its_own_history(place: Place, channel: str) -> None:
    worker = await place.worker()
    await worker.say(f"{channel}:1", b"1")
    await worker.say(f"{channel}:2", b"2", b"3")
    first = await worker.broker.read(f"{channel}:1", KEEP, limit=10)
    second = await worker.broker.read(f"{channel}:2", KEEP, limit=10)
    assert (texts(first), texts(second)) == ([b"1"], [b"2", b"3"])
    assert (first.top.offset, second.top.offset) == (1, 2)
    assert first.top.epoch != second.top.epoch


async def test_all_is_forgotten_some_time_after_the_last_publication(
    place: Place, channel: str
) -> None:
    keep = Keep(size=10, ttl=1.5)
    worker = await place.worker()
    before = await position(worker.broker, channel, keep)
    await worker.say(channel, b"1", b"2", keep=keep)
    top = await position(worker.broker, channel, keep)

    async def is_forgotten() -> bool:
        return texts(await worker.broker.read(channel, keep, limit=10)) == []

    assert not await is_forgotten()
    await eventually(is_forgotten)
    assert top == Position(before.epoch, 2)
    assert (await since(worker, channel, top, keep)).is_whole
    assert not (await since(worker, channel, before, keep)).is_whole
    await worker.say(channel, b"3", keep=keep)
    page = await since(worker, channel, top, keep)
    assert (texts(page), page.top, page.is_whole) == ([b"3"], Position(top.epoch, 3), True)


async def test_what_has_become_old_is_not_told_though_the_channel_lives(
    place: Place, channel: str
) -> None:
    keep = Keep(size=100_000, ttl=1.5)
    worker = await place.worker()
    before = await position(worker.broker, channel, keep)
    await worker.say(channel, b"old", keep=keep)
    page = await worker.broker.read(channel, keep, limit=10)
    assert texts(page) == [b"old"]

    async def is_forgotten() -> bool:
        nonlocal page
        await worker.say(channel, b"new", keep=keep)
        page = await worker.broker.read(channel, keep, limit=100_000)
        return b"old" not in texts(page)

    await eventually(is_forgotten)
    assert texts(page)[-1] == b"new"
    assert not (await since(worker, channel, before, keep)).is_whole


async def test_the_latest_of_each_key_is_kept(place: Place, channel: str) -> None:
    publisher, reader = await place.pair()
    start = await position(reader.broker, channel, LATEST)
    for key, data in [("a", b"1"), ("b", b"2"), ("a", b"3"), ("", b"4"), ("b", b"5")]:
        await publisher.broker.publish(channel, Message(data, key), LATEST)
    page = await reader.broker.read(channel, LATEST, limit=100)
    assert texts(page) == [b"3", b"4", b"5"]
    assert [each.offset for each in page.publications] == [3, 4, 5]
    assert [each.message.key for each in page.publications] == ["a", "", "b"]
    assert (await since(reader, channel, start, LATEST)) == (page.publications, page.top, True)


@pytest.mark.parametrize(
    ("start", "expected", "is_whole"),
    [
        pytest.param(0, [b"3", b"4", b"5"], True, id="from-the-beginning"),
        pytest.param(3, [b"4", b"5"], True, id="keys-that-have-changed"),
        pytest.param(5, [], True, id="nothing-new"),
        pytest.param(6, [], False, id="beyond-the-top"),
    ],
)
async def test_keys_that_have_changed_are_read(
    place: Place, channel: str, start: int, expected: list[bytes], is_whole: bool
) -> None:
    worker = await place.worker()
    for key, data in [("a", b"1"), ("b", b"2"), ("a", b"3"), ("", b"4"), ("b", b"5")]:
        await worker.broker.publish(channel, Message(data, key), LATEST)
    top = await position(worker.broker, channel, LATEST)
    page = await since(worker, channel, Position(top.epoch, start), LATEST)
    assert (texts(page), page.is_whole) == (expected, is_whole)


async def test_a_key_too_many_drops_the_oldest(place: Place, channel: str) -> None:
    worker = await place.worker()
    for key in ("a", "b", "c", "a", "d"):
        await worker.broker.publish(channel, Message(key.encode(), key), LATEST)
    top = await position(worker.broker, channel, LATEST)
    page = await worker.broker.read(channel, LATEST, limit=100)
    assert texts(page) == [b"c", b"a", b"d"]
    whole = [
        (await since(worker, channel, Position(top.epoch, start), LATEST)).is_whole
        for start in range(6)
    ]
    assert whole == [False, False, True, True, True, True]
    cut = await worker.broker.read(channel, LATEST, since=Position(top.epoch, 2), limit=2)
    assert (texts(cut), cut.is_whole) == ([b"c", b"a"], False)


async def test_a_forgotten_channel_keeps_its_position(place: Place, channel: str) -> None:
    first, second = await place.pair()
    await first.say(channel, *numbered(1, 3))
    top = await position(first.broker, channel)
    await second.broker.forget(channel)
    page = await first.broker.read(channel, KEEP, limit=10)
    assert (texts(page), page.top) == ([], top)
    assert (await since(first, channel, top)).is_whole
    assert not (await since(first, channel, Position(top.epoch, 2))).is_whole
    await first.say(channel, b"4")
    page = await since(second, channel, top)
    assert (texts(page), page.top, page.is_whole) == ([b"4"], Position(top.epoch, 4), True)
    assert not (await since(second, channel, Position(top.epoch, 2))).is_whole


async def test_to_forget_a_channel_that_never_was_does_nothing(place: Place, channel: str) -> None:
    worker = await place.worker()
    await worker.broker.forget(channel)
    assert (await position(worker.broker, channel)).offset == 0


async def test_the_position_is_of_the_same_instant_as_the_page(place: Place, channel: str) -> None:
    publisher, reader = await place.pair()
    await publisher.say(channel, b"x")

    async def publish_on() -> None:
        while True:
            await publisher.say(channel, b"x", keep=Keep(20, 300.0))
            await asyncio.sleep(0)

    async with running(publish_on()):
        for _ in range(50):
            page = await reader.broker.read(channel, Keep(20, 300.0), limit=1_000)
            offsets = [each.offset for each in page.publications]
            assert offsets == list(range(offsets[0], page.top.offset + 1))
            newest = await reader.broker.read(channel, Keep(20, 300.0), limit=1, reverse=True)
            assert [each.offset for each in newest.publications] == [newest.top.offset]


@pytest.mark.parametrize("latest", [False, True], ids=["stream", "latest"])
async def test_who_subscribes_and_then_reads_misses_nothing(
    place: Place, channel: str, latest: bool
) -> None:
    keep = Keep(100_000, 300.0, latest)
    publisher, subscriber = await place.pair()
    start = await position(publisher.broker, channel, keep)
    said = 0

    async def publish_on() -> None:
        nonlocal said
        while True:
            said += 1
            await publisher.broker.publish(channel, Message(b"x", str(said)), keep)
            await asyncio.sleep(0)

    async with running(publish_on()):
        for _ in range(10):
            subscriber.seen.publications.clear()
            await subscriber.broker.subscribe(channel)
            page = await subscriber.broker.read(channel, keep, since=start, limit=100_000)
            top = page.top.offset
            await subscriber.seen.told_up_to(said + 3)
            assert page.is_whole
            assert [each.offset for each in page.publications] == list(range(1, top + 1))
            told = [each.offset for each in subscriber.seen.publications if each.offset > top]
            assert told == list(range(top + 1, told[-1] + 1))
            await subscriber.broker.unsubscribe(channel)
            await subscriber.quiet()

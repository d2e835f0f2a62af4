"""What only the embedded broker does: time passes when the test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from wirework.brokers import Keep, MemoryBroker, Message, Position
from wirework.brokers.base import IDEMPOTENCY_WINDOW, META_TTL, UNUSED_TTL
from wirework.brokers.memory import MAX_IDEMPOTENCY_KEYS
from wirework.timers import wheel

from .record import KEEP, Recorder

ONE = Message(b"1")


class Clock:
    """Seconds that pass by assignment."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def broker(clock: Clock) -> AsyncIterator[MemoryBroker]:
    broker = MemoryBroker(clock=clock)
    await broker.start(Recorder())
    yield broker
    await broker.stop()


async def offsets(broker: MemoryBroker, keep: Keep) -> list[int]:
    page = await broker.read("a", keep, limit=100)
    return [publication.offset for publication in page.publications]


async def top(broker: MemoryBroker) -> Position:
    return (await broker.read("a", KEEP, limit=0)).top


async def test_the_receiver_has_been_told_when_publish_returns() -> None:
    seen, broker = Recorder(), MemoryBroker()
    await broker.start(seen)
    await broker.subscribe("a")
    publishing = broker.publish("a", ONE)
    with pytest.raises(StopIteration):
        publishing.send(None)
    assert [publication.message for publication in seen.publications] == [ONE]
    await broker.stop()


@pytest.mark.parametrize("latest", [False, True], ids=["stream", "latest"])
async def test_each_publication_is_told_until_its_time_is_over(
    broker: MemoryBroker, clock: Clock, latest: bool
) -> None:
    keep = Keep(10, 5.0, latest)
    for key in ("a", "b", "c"):
        await broker.publish("a", Message(b"1", key), keep)
        clock.now += 2
    assert await offsets(broker, keep) == [2, 3]
    start = await top(broker)
    page = await broker.read("a", keep, since=Position(start.epoch, 1), limit=9)
    assert page.is_whole
    assert not (await broker.read("a", keep, since=Position(start.epoch, 0), limit=9)).is_whole
    clock.now += 3
    assert await offsets(broker, keep) == []
    assert (await top(broker)) == start


async def test_an_idempotency_key_is_forgotten_after_its_window(
    broker: MemoryBroker, clock: Clock
) -> None:
    async def is_duplicate() -> bool:
        return (await broker.publish("a", ONE, KEEP, idempotency="k")).is_duplicate

    assert not await is_duplicate()
    clock.now += IDEMPOTENCY_WINDOW - 1
    assert await is_duplicate()
    clock.now += 1
    assert not await is_duplicate()
    clock.now += IDEMPOTENCY_WINDOW - 1
    assert await is_duplicate()


async def test_only_so_many_idempotency_keys_are_remembered(broker: MemoryBroker) -> None:
    for number in range(MAX_IDEMPOTENCY_KEYS + 1):
        await broker.publish("a", ONE, idempotency=str(number))
    assert (await broker.publish("a", ONE, idempotency="1")).is_duplicate
    assert not (await broker.publish("a", ONE, idempotency="0")).is_duplicate


async def test_a_channel_is_remembered_long_after_its_history(
    broker: MemoryBroker, clock: Clock
) -> None:
    await broker.publish("a", ONE, KEEP)
    before = await top(broker)
    clock.now += META_TTL - 1
    broker.tick(0.0)
    assert await top(broker) == before
    clock.now += 1
    broker.tick(0.0)
    after = await top(broker)
    assert after.offset == 0
    assert after.epoch != before.epoch


async def test_a_channel_in_which_nothing_was_published_is_forgotten_soon(
    broker: MemoryBroker, clock: Clock
) -> None:
    before = await top(broker)
    for _ in range(3):
        clock.now += UNUSED_TTL - 1
        broker.tick(0.0)
        assert await top(broker) == before
    clock.now += UNUSED_TTL
    assert broker.tick(0.0) is None
    assert await top(broker) != before


async def test_until_the_first_publication_it_is_remembered_as_long_as_one_would_be_kept(
    broker: MemoryBroker, clock: Clock
) -> None:
    keep = Keep(10, 5 * UNUSED_TTL)
    before = (await broker.read("a", keep, limit=0)).top
    clock.now += keep.ttl - 1
    broker.tick(0.0)
    page = await broker.read("a", keep, since=before, limit=10)
    assert (page.top, page.is_whole) == (before, True)


async def test_publications_of_a_quiet_channel_do_not_stay_in_memory(clock: Clock) -> None:
    kept: list[Message] = [Message(b"%d" % number) for number in range(3)]
    broker = MemoryBroker(clock=clock)
    await broker.start(Recorder())
    for message in kept:
        await broker.publish("a", message, Keep(10, 5.0))
    clock.now += 5
    broker.tick(0.0)
    # With a longer time to live, the reader would be told what was still there.
    assert await offsets(broker, KEEP) == []
    await broker.stop()


async def test_a_sweep_looks_at_a_bounded_number_of_channels_and_gets_round(
    broker: MemoryBroker, clock: Clock
) -> None:
    for number in range(2_500):
        await broker.publish(str(number), ONE, Keep(10, 5.0))
    clock.now += META_TTL
    assert broker.tick(0.0) is not None
    assert broker.tick(1.0) is not None
    assert broker.tick(2.0) is None


async def test_sweeping_goes_round_channels_that_stay(broker: MemoryBroker, clock: Clock) -> None:
    for number in range(1_500):
        await broker.publish(str(number), ONE, KEEP)
    clock.now += META_TTL / 2
    await broker.publish("1", ONE, KEEP)
    clock.now += META_TTL / 2
    assert [broker.tick(0.0) is None for _ in range(3)] == [False, False, False]
    clock.now += META_TTL / 2
    assert broker.tick(0.0) is None


async def test_an_idle_broker_has_no_timer(broker: MemoryBroker, clock: Clock) -> None:
    assert len(wheel()) == 0
    await broker.publish("a", ONE)
    assert len(wheel()) == 0
    await broker.publish("a", ONE, KEEP)
    await broker.publish("b", ONE, KEEP, idempotency="k")
    assert len(wheel()) == 1
    await broker.stop()
    assert len(wheel()) == 0
    await broker.publish("a", ONE, idempotency="k")
    assert len(wheel()) == 1


async def test_a_broker_that_was_stopped_has_forgotten(broker: MemoryBroker) -> None:
    await broker.publish("a", ONE, KEEP)
    before = await top(broker)
    await broker.stop()
    await broker.start(Recorder())
    after = await top(broker)
    assert after.offset == 0
    assert after.epoch != before.epoch


async def test_a_channel_that_changes_what_it_keeps_begins_anew_in_its_epoch(
    broker: MemoryBroker,
) -> None:
    before = (await broker.publish("a", ONE, Keep(10, 9.0))).position
    latest = Keep(10, 9.0, latest=True)
    await broker.publish("a", ONE, latest)
    assert await offsets(broker, latest) == [2]
    assert (await broker.read("a", latest, since=before, limit=9)).is_whole
    start = Position(before.epoch, 0)
    assert not (await broker.read("a", latest, since=start, limit=9)).is_whole

"""What a NATS server may do to us: go, freeze, forget, refuse; each test has its own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wirework.brokers import Member, Message, Position, Publication
from wirework.brokers.nats import NatsBroker
from wirework.errors import BrokerUnavailable

from .record import KEEP, PATIENCE, Place, Recorder, Worker, eventually
from .servers import HOST, BrokerServer, free_port, nats_server
from .test_endings import sockets

ADA = Member("a1", "ada")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BrokerServer]:
    server = nats_server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def place(server: BrokerServer) -> AsyncIterator[Place]:
    place = Place("nats", server.url)
    yield place
    await place.end()


def started(request: pytest.FixtureRequest, server: BrokerServer) -> BrokerServer:
    """Start a server that ends with the test."""
    request.addfinalizer(server.kill)
    server.start()
    return server


async def restored(worker: Worker, times: int = 1) -> None:
    await worker.seen.until(lambda: worker.seen.states.count("restored") >= times)
    assert worker.seen.states == ["degraded", "restored"] * times


async def degraded(worker: Worker) -> None:
    await worker.seen.until(lambda: "degraded" in worker.seen.states)
    assert worker.seen.states == ["degraded"]
    assert not worker.broker.is_available


async def position(worker: Worker, channel: str) -> Position:
    return (await worker.broker.read(channel, KEEP, limit=0)).top


async def test_a_server_that_was_killed_and_comes_back_is_found_again(
    place: Place, server: BrokerServer, channel: str
) -> None:
    worker = await place.worker()
    await worker.broker.subscribe(channel)
    await worker.broker.join(channel, ADA)
    await worker.say(channel, b"1", b"2")
    before = await position(worker, channel)
    server.kill()
    await degraded(worker)
    for call in (
        worker.broker.publish(channel, Message(b"x")),
        worker.broker.publish(channel, Message(b"x"), KEEP),
        worker.broker.read(channel, KEEP, limit=1),
        worker.broker.subscribe(f"{channel}:2"),
        worker.broker.members(channel),
    ):
        with pytest.raises(BrokerUnavailable):
            await call
    await worker.broker.unsubscribe(f"{channel}:2")
    server.start()
    await restored(worker)
    await worker.say(channel, b"3")
    await worker.seen.told_of(b"3")
    page = await worker.broker.read(channel, KEEP, since=before, limit=9)
    assert [each.message.data for each in page.publications] == [b"3"]
    assert page.is_whole
    assert await worker.broker.count(channel) == (1, 1)


async def test_a_server_that_has_lost_everything_begins_new_epochs(
    place: Place, server: BrokerServer, channel: str
) -> None:
    worker = await place.worker()
    await worker.broker.subscribe(channel)
    await worker.broker.join(channel, ADA)
    await worker.say(channel, b"1", b"2")
    before = await position(worker, channel)
    server.kill()
    (server.folder / "js").rename(server.folder / "lost")
    server.start()
    await restored(worker)
    page = await worker.broker.read(channel, KEEP, since=before, limit=9)
    assert (page.publications, page.is_whole) == ((), False)
    assert page.top.epoch != before.epoch
    published = await worker.broker.publish(channel, Message(b"3"), KEEP)
    assert published.position == Position(page.top.epoch, 1)
    roll = await worker.broker.members(channel)
    assert list(roll.members) == [ADA]
    await worker.seen.changed(2)
    versions = [change.version for change in worker.seen.changes]
    assert versions == sorted(set(versions))
    assert roll.version == versions[-1]


async def test_a_server_that_does_not_move_is_noticed(
    place: Place, server: BrokerServer, channel: str
) -> None:
    worker = await place.worker()
    await worker.broker.subscribe(channel)
    server.freeze()
    try:
        await degraded(worker)
        with pytest.raises(BrokerUnavailable):
            await worker.say(channel, b"x")
    finally:
        server.thaw()
    await restored(worker)
    await worker.say(channel, b"1")
    assert await worker.seen.published(1) == [b"1"]


async def test_to_stop_does_not_wait_for_a_server_that_does_not_move(
    server: BrokerServer, channel: str
) -> None:
    tasks, open_before = asyncio.all_tasks(), sockets()
    broker = NatsBroker(server.url, timeout=1.0)
    await broker.start(Recorder())
    await broker.join(channel, ADA)
    server.freeze()
    try:
        async with asyncio.timeout(PATIENCE):
            await broker.stop()
    finally:
        server.thaw()
    assert asyncio.all_tasks() == tasks
    assert sockets() - open_before == set()


async def test_a_call_that_is_not_answered_in_time_fails(
    server: BrokerServer, channel: str
) -> None:
    broker = NatsBroker(server.url, timeout=0.5)
    await broker.start(Recorder())
    server.freeze()
    try:
        with pytest.raises(BrokerUnavailable, match=r"no answer within 0\.5 s"):
            await broker.read(channel, KEEP, limit=1)
    finally:
        server.thaw()
    await broker.stop()


async def test_a_connection_that_flaps_leaves_nothing_behind(
    place: Place, server: BrokerServer, channel: str
) -> None:
    worker = await place.worker()
    await worker.broker.subscribe(channel)
    await worker.say(channel, b"0")
    await worker.quiet()
    tasks, open_before = len(asyncio.all_tasks()), len(sockets())
    for times in range(1, 6):
        server.kill()
        server.start()
        await restored(worker, times)
    await worker.say(channel, b"1")
    await worker.seen.told_of(b"1")
    assert (len(asyncio.all_tasks()), len(sockets())) == (tasks, open_before)


async def test_nothing_is_lost_doubled_or_reordered_when_the_server_is_killed(
    place: Place, server: BrokerServer, channel: str
) -> None:
    publisher, subscriber = await place.pair()
    await subscriber.broker.subscribe(channel)
    start = await position(subscriber, channel)
    accepted: list[int] = []

    async def publish_all() -> None:
        for number in range(600):
            await insist(publisher, channel, number)
            accepted.append(number)

    publishing = asyncio.ensure_future(publish_all())
    for times in range(1, 4):
        await eventually(partial(reached, accepted, 150 * times))
        server.kill()
        server.start()
        await restored(subscriber, times)
    await publishing
    await insist(publisher, channel, 600)
    await subscriber.seen.told_of(b"600")
    page = await subscriber.broker.read(channel, KEEP, since=start, limit=1_000)
    assert page.is_whole
    assert [int(each.message.data) for each in page.publications] == list(range(601))
    assert [each.offset for each in page.publications] == list(range(1, 602))
    told = subscriber.seen.publications
    assert [each.offset for each in told] == sorted({each.offset for each in told})
    kept = {each.offset: each for each in page.publications}
    assert all(kept[each.offset] == each for each in told)


async def reached(accepted: list[int], number: int) -> bool:
    return len(accepted) >= number


async def insist(worker: Worker, channel: str, number: int) -> None:
    """Publish a number until the broker has said that it is published."""

    async def is_published() -> bool:
        message = Message(b"%d" % number)
        try:
            await worker.broker.publish(channel, message, KEEP, idempotency=str(number))
        except BrokerUnavailable:
            return False
        return True

    await eventually(is_published)


async def test_who_has_left_while_the_server_was_away_is_gone_when_it_is_back(
    place: Place, server: BrokerServer, channel: str
) -> None:
    worker = await place.worker()
    await worker.broker.join(channel, ADA)
    await worker.broker.join(channel, Member("e1", "eve"))
    server.kill()
    await degraded(worker)
    with pytest.raises(BrokerUnavailable):
        await worker.broker.leave(channel, ADA)
    server.start()
    await restored(worker)
    roll = await worker.broker.members(channel)
    assert [member.connection for member in roll.members] == ["e1"]


async def test_a_server_without_jetstream_delivers_and_says_what_to_switch_on(
    tmp_path: Path, channel: str, request: pytest.FixtureRequest
) -> None:
    server = started(request, nats_server(tmp_path, "-m", str(free_port())))
    place = Place("nats", server.url)
    worker, other = await place.pair()
    assert not worker.broker.keeps
    await worker.broker.subscribe(channel)
    await other.say(channel, b"1", keep=None)
    assert await worker.seen.published(1) == [b"1"]
    calls: list[Any] = [
        worker.broker.publish(channel, Message(b"1"), KEEP),
        worker.broker.publish(channel, Message(b"1"), idempotency="k"),
        worker.broker.read(channel, KEEP, limit=1),
        worker.broker.join(channel, ADA),
        worker.broker.count(channel),
    ]
    for call in calls:
        with pytest.raises(BrokerUnavailable, match="JetStream, which is off: start nats-server"):
            await call
    await place.end()


@pytest.mark.parametrize("login", ["", "ann:wr0ng@", "wr0ng@"])
async def test_a_server_that_refuses_us_says_why(
    tmp_path: Path, login: str, request: pytest.FixtureRequest
) -> None:
    server = started(request, nats_server(tmp_path, "--user", "ann", "--pass", "s3cret"))
    broker = NatsBroker(server.url.replace("//", f"//{login}"), timeout=3.0)
    with pytest.raises(BrokerUnavailable) as caught:
        await broker.start(Recorder())
    assert str(caught.value) == f"nats: {HOST}:{server.port}: Authorization Violation"
    await broker.stop()
    right = NatsBroker(server.url.replace("//", "//ann:s3cret@"), timeout=3.0)
    await right.start(Recorder())
    assert right.is_available
    await right.stop()


async def test_a_dead_server_is_passed_over(server: BrokerServer) -> None:
    broker = NatsBroker(f"nats://{HOST}:{free_port()},{HOST}:{server.port}", timeout=3.0)
    for _ in range(5):
        await broker.start(Recorder())
        assert broker.is_available
        await broker.stop()


async def test_no_password_goes_to_a_server_without_tls_where_tls_was_asked_for(
    server: BrokerServer,
) -> None:
    broker = NatsBroker(server.url.replace("nats://", "tls://ann:s3cret@"), timeout=3.0)
    with pytest.raises(BrokerUnavailable, match="the server offers no TLS"):
        await broker.start(Recorder())
    await broker.stop()


async def test_what_no_worker_has_sent_is_dropped_and_counted(
    place: Place, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await place.worker()
    broker = worker.broker
    assert isinstance(broker, NatsBroker)
    await broker.subscribe(channel)
    garbage = [b"", b"\x00", b"\x01", b"\x02\x93\xa1p", b"\x80\x04\x95", b"{}", b"\x01\x91\xa1j"]
    link = broker._connected()
    for kind in ("c", "h", "o", "0123456789"):
        for data in garbage:
            link.publish(f"test.p.{channel}.{kind}", data)
    await worker.say(channel, b"1")
    assert await worker.seen.published(1) == [b"1"]
    assert worker.seen.publications == [
        Publication(channel, Message(b"1"), worker.seen.publications[0].epoch, 1)
    ]
    assert broker.unreadable == len(garbage) * 4
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert worker.seen.changes == []


async def test_a_message_that_the_server_would_not_take_is_refused_before(
    place: Place, channel: str
) -> None:
    worker = await place.worker()
    large = Message(b"x" * (1024 * 1024 + 1))
    for keep in (KEEP, None):
        with pytest.raises(BrokerUnavailable, match="expected at most 1048576 bytes"):
            await worker.broker.publish(channel, large, keep)
    await worker.say(channel, b"1")
    assert worker.seen.states == []


async def test_a_stream_that_was_deleted_is_made_again(place: Place, channel: str) -> None:
    worker = await place.worker()
    broker = worker.broker
    assert isinstance(broker, NatsBroker)
    await worker.say(channel, b"1")
    before = await position(worker, channel)
    await broker._connected().request("$JS.API.STREAM.DELETE.test-history")
    with pytest.raises(BrokerUnavailable):
        await worker.say(channel, b"2")
    await restored(worker)
    published = await broker.publish(channel, Message(b"3"), KEEP)
    assert published.position.offset == 1
    assert published.position.epoch != before.epoch


async def test_old_publications_do_not_stay_in_the_stream(place: Place, channel: str) -> None:
    worker = await place.worker()
    broker = worker.broker
    assert isinstance(broker, NatsBroker)
    keep = KEEP._replace(size=3, ttl=1.0)
    for _ in range(50):
        await broker.publish(channel, Message(b"1"), keep)
    stream = broker._layout.history
    subject = broker._layout.subject("h", channel)

    async def is_trimmed() -> bool:
        return len(await broker._stored().all(stream, subject)) < 25

    await eventually(is_trimmed)

    async def is_emptied() -> bool:
        return len(await broker._stored().all(stream, subject)) == 1

    top = await position(worker, channel)
    await eventually(is_emptied)
    assert await position(worker, channel) == top
    assert (await broker.read(channel, keep, since=top, limit=9)).is_whole
    assert broker._history._tails == {}


async def test_a_repeated_publication_has_its_position_though_it_was_dropped_meanwhile(
    place: Place, channel: str
) -> None:
    worker, other = await place.pair()
    keep = KEEP._replace(size=1)
    first = await worker.broker.publish(channel, Message(b"1"), keep, idempotency="k")
    await worker.say(channel, *[b"x"] * 40, keep=keep)
    again = await other.broker.publish(channel, Message(b"1"), keep, idempotency="k")
    assert again == (first.position, True)

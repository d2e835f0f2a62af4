"""What applications declare is known at the broker, and that of the newest version counts."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.brokers.record import PATIENCE, Place, Worker, eventually
from tests.brokers.redis_scene import scene
from tests.brokers.servers import BrokerServer, nats_server, redis_server
from wirework import App, BrokerUnavailable, History, NoSuchChannel, Publisher
from wirework.brokers import Keep
from wirework.channels.declared import Announcement, Declared, declared
from wirework.channels.hub import Hub
from wirework.testing import TestClient

MINUTE = 60.0
LITTLE, MUCH = Keep(1, 60.0), Keep(1_000, 60.0)
NOT_DECLARED = "not declared"


class Site:
    """A broker, the time there, and versions of applications that use it."""

    def __init__(self, worker: Worker) -> None:
        self.broker = worker.broker
        self.now = 1_000_000.0

    def version(self, **families: Keep | None) -> Announcement:
        """Return a worker that runs a version which declares these."""
        found = [Declared(name.replace("_", ":"), keep) for name, keep in families.items()]
        return Announcement(self.broker, lambda: found, clock=lambda: self.now)

    async def pass_by(self, minutes: int, *running: Announcement) -> None:
        """Let time go by, in which only these run."""
        for _ in range(minutes):
            self.now += MINUTE
            for each in running:
                await each.renew()

    async def kept(self, name: str) -> Keep | str | None:
        """Return what who publishes from outside keeps of `name`."""
        for families in await declared(self.broker):
            found = families.find(name)
            if found is not None:
                return found[0]
        return NOT_DECLARED

    async def offset(self) -> int:
        """Return how often anything was told."""
        page = await self.broker.read("$wirework:editions", MUCH, limit=0)
        return page.top.offset


@pytest.fixture
async def site(shared: Place) -> Site:
    return Site(await shared.worker(prefix=f"d{uuid4().hex[:12]}"))


async def test_of_two_versions_the_one_that_was_started_last_counts(site: Site) -> None:
    old, new = site.version(news=LITTLE), site.version(news=MUCH)
    await old.begin()
    site.now += 1
    await new.begin()
    assert await site.kept("news") == MUCH
    await site.pass_by(30, new, old)
    assert await site.kept("news") == MUCH


async def test_a_version_that_is_started_again_is_the_newest(site: Site) -> None:
    old, new = site.version(news=LITTLE), site.version(news=MUCH)
    for each in (old, new, old):
        site.now += 1
        await each.begin()
    assert await site.kept("news") == LITTLE


async def test_an_old_version_s_narrower_channel_does_not_take_names_of_a_new_one(
    site: Site,
) -> None:
    families = [Declared("chat:{room}", MUCH)]
    new = Announcement(site.broker, lambda: families, clock=lambda: site.now)
    await site.version(chat_staff=LITTLE).begin()
    site.now += 1
    await new.begin()
    assert await site.kept("chat:staff") == MUCH


async def test_within_a_version_the_narrowest_channel_counts(site: Site) -> None:
    families = [Declared("chat:{room}", MUCH), Declared("chat:staff", LITTLE)]
    await Announcement(site.broker, lambda: families).begin()
    assert await site.kept("chat:staff") == LITTLE


async def test_what_a_new_version_no_longer_declares_goes_after_the_old_one_has_ended(
    site: Site,
) -> None:
    old, new = site.version(news=MUCH, olds=LITTLE), site.version(news=MUCH)
    await old.begin()
    site.now += 1
    await new.begin()
    await site.pass_by(90, old, new)
    assert await site.kept("olds") == LITTLE
    await site.pass_by(40, new)
    assert await site.kept("olds") == LITTLE
    await site.pass_by(50, new)
    assert await site.kept("olds") == NOT_DECLARED
    assert await site.kept("news") == MUCH


async def test_a_new_version_that_was_tried_and_given_up_counts_no_more(site: Site) -> None:
    old, new = site.version(news=LITTLE), site.version(news=MUCH)
    await old.begin()
    site.now += 1
    await new.begin()
    await site.pass_by(90, old)
    assert await site.kept("news") == LITTLE


async def test_two_applications_stay_beside_each_other(site: Site) -> None:
    one, other = site.version(news=MUCH), site.version(orders=LITTLE)
    await one.begin()
    await other.begin()
    await site.pass_by(180, one)
    assert (await site.kept("news"), await site.kept("orders")) == (MUCH, LITTLE)


async def test_applications_that_do_not_run_are_remembered(site: Site) -> None:
    await site.version(news=MUCH, orders=LITTLE).begin()
    await site.version(news=MUCH, olds=None).begin()
    site.now += 10 * 24 * 60 * MINUTE
    found = [await site.kept(name) for name in ("news", "orders", "olds")]
    assert found == [MUCH, LITTLE, None]


async def test_of_all_workers_of_a_version_one_tells_it_every_ten_minutes(site: Site) -> None:
    workers = [site.version(news=MUCH) for _ in range(4)]
    for each in workers:
        await each.begin()
    before = await site.offset()
    await site.pass_by(9, *workers)
    assert await site.offset() == before
    await site.pass_by(41, *workers)
    assert await site.offset() == before + 5


async def test_a_channel_that_is_declared_later_is_told_with_the_next_look(site: Site) -> None:
    families = [Declared("news", MUCH)]
    version = Announcement(site.broker, lambda: families, clock=lambda: site.now)
    await version.begin()
    families.append(Declared("olds", LITTLE))
    await site.pass_by(1, version)
    assert await site.kept("olds") == LITTLE


# --- losses -------------------------------------------------------------------------------------


@pytest.fixture(params=[redis_server, nats_server], ids=["redis", "nats"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerServer]:
    make: Callable[[Path], BrokerServer] = request.param
    server = make(tmp_path)
    server.start()
    yield server
    server.kill()


def news_application(url: str, history: History | None = None) -> App:
    app = App(broker=url)
    app.channel("news", history=history)
    return app


async def test_a_broker_that_has_lost_everything_is_told_again(server: BrokerServer) -> None:
    async def is_published() -> bool:
        try:
            async with Publisher(server.url, timeout=2.0) as publisher:
                await publisher.publish("news", 1)
        except (NoSuchChannel, BrokerUnavailable):
            return False
        return True

    async with TestClient(news_application(server.url), timeout=20):
        assert await is_published()
        server.kill()
        shutil.rmtree(server.folder / "js", ignore_errors=True)
        server.start()
        await eventually(is_published)


async def test_a_loss_that_nobody_noticed_is_found_with_the_next_look(tmp_path: Path) -> None:
    async with scene(tmp_path) as redis:
        site = Site(await redis.worker())
        version = site.version(news=MUCH)
        await version.begin()
        await redis.order("FLUSHALL")
        await site.pass_by(1, version)
        assert await site.kept("news") == MUCH


async def test_the_hub_looks_now_and_then(tmp_path: Path) -> None:
    async with scene(tmp_path) as redis:
        hub = Hub((await redis.worker()).broker, check_interval=0.01)
        looked = asyncio.Event()

        async def look() -> None:
            looked.set()

        hub.also_compared = look
        await hub.start()
        async with asyncio.timeout(PATIENCE):
            await looked.wait()
        await hub.stop()


async def test_a_publisher_goes_on_until_the_broker_is_told_again(
    server: BrokerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wirework.publisher._ASK_AGAIN", -1.0)
    async with TestClient(news_application(server.url, History()), timeout=20):
        pass
    publisher = Publisher(server.url)
    await publisher.publish("news", 1)
    await publisher.close()
    server.kill()
    shutil.rmtree(server.folder / "js", ignore_errors=True)
    server.start()
    async with publisher:
        position = await publisher.publish("news", 2)
    assert position is not None
    assert position.offset == 1


async def test_a_publisher_keeps_as_the_newest_version_does(shared: Place) -> None:
    prefix = f"d{uuid4().hex[:12]}"
    old, new = (App(broker=shared.url, broker_prefix=prefix) for _ in range(2))
    old.channel("orders:{id}")
    orders = new.channel("orders:{order}", history=History())
    async with TestClient(old, timeout=20), TestClient(new, timeout=20):
        async with Publisher(shared.url, prefix=prefix) as publisher:
            position = await publisher.publish("orders:7", "tea")
        assert position == await orders(order="7").position()
        assert [each.data for each in await orders(order="7").history()] == ["tea"]

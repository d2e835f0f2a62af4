"""Who publishes from outside is heard as if the application had published itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.brokers.record import Place, eventually
from wirework import (
    App,
    Bearer,
    BrokerUnavailable,
    Channel,
    History,
    NoSuchChannel,
    Position,
    Publisher,
    SettingsError,
)
from wirework.dialects import Typed
from wirework.testing import TestClient, TestWebSocket


class Site:
    """A running application with one subscriber, and where its publishers publish."""

    def __init__(self, app: App, news: Channel[Any], ws: TestWebSocket, place: Place) -> None:
        self.app = app
        self.news = news
        self.ws = ws
        self.url = place.url
        self.prefix = app.settings.broker_prefix

    def publisher(self) -> Publisher:
        return Publisher(self.url, prefix=self.prefix)

    async def heard(self) -> Any:
        said = await self.ws.receive_json()
        assert said["type"] == "channel.publication", said
        return said["data"]["data"]


async def _user(token: str) -> str:
    return token


@asynccontextmanager
async def running(place: Place, prefix: str) -> AsyncIterator[Site]:
    app = App(broker=place.url, broker_prefix=prefix)
    news = app.channel("news", history=History())
    app.channel("plain:{n:int}").on_subscribe(lambda: True)
    app.channel("board", mode="latest")
    news.on_subscribe(lambda: True)
    app.events("/desk", dialect=Typed(), auth=Bearer(verify=_user))
    headers = {"authorization": "Bearer ada"}
    async with (
        TestClient(app, timeout=20) as client,
        client.connect("/desk", headers=headers) as ws,
    ):
        for name in ("news", "plain:1"):
            await ws.send_json({"type": "channel.subscribe", "data": {"channel": name}})
            assert (await ws.receive_json())["type"] == "channel.subscribed"
        yield Site(app, news, ws, place)


@pytest.fixture
async def site(shared: Place) -> AsyncIterator[Site]:
    async with running(shared, f"p{uuid4().hex[:12]}") as found:
        yield found


async def test_a_publication_from_outside_is_kept_and_told_as_the_application_would(
    site: Site,
) -> None:
    async with site.publisher() as publisher:
        position = await publisher.publish("news", {"n": 1})
        assert position == await site.news().position()
        assert await publisher.publish("plain:1", 2) is None
        assert [await site.heard(), await site.heard()] == [{"n": 1}, 2]
        assert [each.data for each in await site.news().history()] == [{"n": 1}]
        own = await site.news().publish(3)
        assert own == Position(position.epoch, 2)


async def test_a_channel_that_nobody_has_declared_is_refused(site: Site) -> None:
    async with site.publisher() as publisher:
        for name in ("olds", "plain:x", "$wirework"):
            with pytest.raises(NoSuchChannel):
                await publisher.publish(name, 1)


async def test_a_channel_declared_after_the_publisher_asked_is_found(shared: Place) -> None:
    prefix = f"p{uuid4().hex[:12]}"
    async with Publisher(shared.url, prefix=prefix) as publisher:
        with pytest.raises(NoSuchChannel):
            await publisher.publish("news", 1)
        async with running(shared, prefix):
            position = await publisher.publish("news", 1)
        assert position is not None
        assert position.offset == 1


async def test_what_is_kept_waits_for_applications_that_do_not_run(shared: Place) -> None:
    prefix = f"p{uuid4().hex[:12]}"
    async with running(shared, prefix):
        pass
    async with Publisher(shared.url, prefix=prefix) as publisher:
        await publisher.publish("news", "while you were away")
    async with running(shared, prefix) as site:
        assert [each.data for each in await site.news().history()] == ["while you were away"]


async def test_the_same_idempotency_key_publishes_once(site: Site) -> None:
    async with site.publisher() as publisher:
        first = await publisher.publish("news", 1, idempotency_key="k")
        assert await publisher.publish("news", 1, idempotency_key="k") == first
        await publisher.publish("news", 2)
        assert [await site.heard(), await site.heard()] == [1, 2]


async def test_in_mode_latest_the_key_says_which_value_it_is(site: Site) -> None:
    async with site.publisher() as publisher:
        for key, value in (("a", 1), ("b", 2), ("a", 3)):
            await publisher.publish("board", value, key=key)
        board = site.app.channel_named("board")
        assert [(each.key, each.data) for each in await board.history()] == [("b", 2), ("a", 3)]


async def test_a_message_to_a_user_arrives(site: Site) -> None:
    async with site.publisher() as publisher:
        await publisher.publish_to_user("bob", 0, name="note")
        await publisher.publish_to_user("ada", {"n": 1}, name="note")
    assert await site.ws.receive_json() == {"type": "note", "data": {"n": 1}}


async def test_it_goes_on_after_it_was_closed(site: Site) -> None:
    publisher = site.publisher()
    for number in range(2):
        async with publisher:
            await publisher.publish("news", number)
    assert [await site.heard(), await site.heard()] == [0, 1]


# --- without an event loop ----------------------------------------------------------------------


async def test_it_publishes_from_any_number_of_threads(site: Site) -> None:
    publisher = site.publisher()

    def publish(number: int) -> Position | None:
        return publisher.publish_now("news", number)

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(4) as threads:
        work = [loop.run_in_executor(threads, publish, number) for number in range(12)]
        positions = await asyncio.gather(*work)
        await loop.run_in_executor(threads, publisher.publish_to_user_now, "ada", "done")
        await loop.run_in_executor(threads, publisher.close_now)
        await loop.run_in_executor(threads, publisher.close_now)
        assert sorted(each.offset for each in positions if each) == list(range(1, 13))
        heard = sorted([await site.heard() for _ in range(12)])
        assert heard == list(range(12))
        again = await loop.run_in_executor(threads, publish, 12)
        assert again is not None
        assert again.offset == 13
        await loop.run_in_executor(threads, publisher.close_now)


async def test_in_an_event_loop_it_says_what_to_await(site: Site) -> None:
    publisher = site.publisher()
    with pytest.raises(RuntimeError, match=r"this is an event loop; await publish"):
        publisher.publish_now("news", 1)


FORKS = """
import os, sys
from wirework import Publisher
publisher = Publisher(sys.argv[1], prefix=sys.argv[2])
publisher.publish_now("news", "parent")
child = os.fork()
if child == 0:
    publisher.publish_now("news", "child")
    publisher.close_now()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
publisher.publish_now("news", "parent again")
publisher.close_now()
"""


COMMAND = ("-c", "from wirework.cli import main; main()")


async def finished(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        line = [sys.executable, *command]
        return subprocess.run(
            line, capture_output=True, text=True, timeout=60, check=False, **options
        )

    return await asyncio.to_thread(run)


async def test_it_publishes_after_a_fork_on_both_sides(site: Site) -> None:
    done = await finished("-c", FORKS, site.url, site.prefix)
    assert (done.returncode, done.stderr) == (0, "")
    assert [await site.heard() for _ in range(3)] == ["parent", "child", "parent again"]


# --- the command line ---------------------------------------------------------------------------


async def test_the_command_publishes_and_prints_the_position(site: Site) -> None:
    at = ("--broker", site.url, "--prefix", site.prefix)
    done = await finished(*COMMAND, "publish", "news", '{"n": 1}', *at)
    position = await site.news().position()
    assert (done.returncode, done.stdout) == (0, f"{position.epoch} 1\n"), done.stderr
    assert await site.heard() == {"n": 1}


async def test_the_command_reads_standard_input_and_the_environment(site: Site) -> None:
    environment = {"WIREWORK_BROKER": site.url, "WIREWORK_BROKER_PREFIX": site.prefix}
    done = await finished(
        *(*COMMAND, "publish", "plain:1", "-"),
        input="[1, 2]",
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stdout) == (0, "published\n"), done.stderr
    assert await site.heard() == [1, 2]


@pytest.mark.parametrize(
    ("channel", "data", "words"),
    [
        ("olds", "1", "no channel is declared for 'olds'"),
        ("news", "{", "not readable as JSON"),
    ],
    ids=["unknown channel", "no JSON"],
)
async def test_the_command_says_what_is_wrong(
    site: Site, channel: str, data: str, words: str
) -> None:
    at = ("--broker", site.url, "--prefix", site.prefix)
    done = await finished(*COMMAND, "publish", channel, data, *at)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# --- no broker ----------------------------------------------------------------------------------


def test_the_broker_within_one_process_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected redis:// or nats://"):
        Publisher("memory://")


@pytest.mark.parametrize("scheme", ["redis", "nats"])
def test_a_broker_that_cannot_be_reached_is_unavailable(scheme: str) -> None:
    publisher = Publisher(f"{scheme}://127.0.0.1:1", timeout=1.0)
    with pytest.raises(BrokerUnavailable):
        publisher.publish_now("news", 1)
    publisher.close_now()


async def test_a_user_is_disconnected_and_expelled_by_another_worker(site: Site) -> None:
    other = App(broker=site.url, broker_prefix=site.prefix)
    other.channel("news", history=History())
    async with TestClient(other, timeout=20):
        await other.expel("news", "ada", code="banned")
        said = await site.ws.receive_json()
        assert (said["type"], said["data"]["code"]) == ("channel.unsubscribed", "banned")
        await other.disconnect_everywhere("ada")
        await site.ws.assert_closed(4401)

    async def is_gone() -> bool:
        return site.app.channels.hub.stats.subscriptions == 0

    await eventually(is_gone)

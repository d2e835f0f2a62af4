"""What Prometheus and load balancers learn of channels and their broker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.unit.channels.listeners import settle
from tests.unit.channels.test_roll_call import Elsewhere
from tests.unit.observe.page import Page
from wirework import App, History, Metrics
from wirework.brokers.base import Broker
from wirework.dialects import Typed
from wirework.testing import TestClient


def newsroom(broker: Broker | None = None) -> App:
    app = App(metrics=Metrics(path="/metrics", is_public=True), broker=broker)
    app.health()
    app.events("/live", dialect=Typed())
    app.channel("news:{town}").on_subscribe(lambda: True)
    return app


async def page_of(client: TestClient) -> Page:
    return Page((await client.get("/metrics")).text)


async def ready(client: TestClient) -> tuple[int, Any]:
    answer = await client.get("/health/ready")
    return answer.status_code, answer.json()["status"]


async def test_channels_subscriptions_and_publications_are_counted() -> None:
    app = newsroom()
    async with TestClient(app) as client:
        async with client.connect("/live") as ada, client.connect("/live") as ben:
            for peer, towns in ((ada, ("rome", "oslo")), (ben, ("rome",))):
                for town in towns:
                    data = {"channel": f"news:{town}"}
                    await peer.send_json({"type": "channel.subscribe", "data": data})
                    assert (await peer.receive_json())["type"] == "channel.subscribed"
            for town in ("rome", "oslo", "bonn"):
                await app.publish(f"news:{town}", "hi")
            page = await page_of(client)
            assert (page("channels"), page("subscriptions")) == (2, 3)
            assert page("publications_published_total") == 3
            assert page("publications_received_total") == 2
        await settle()
        page = await page_of(client)
        assert (page("channels"), page("subscriptions")) == (0, 0)
        assert page("publications_published_total") == 3


async def test_applications_that_share_their_metrics_are_counted_together() -> None:
    metrics = Metrics(path="/metrics", is_public=True)
    apps = [App(metrics=metrics), App(metrics=metrics)]
    for app in apps:
        app.channel("news")
    async with TestClient(apps[0]) as client, TestClient(apps[1]):
        for app in apps:
            await app.publish("news", "hi")
        page = await page_of(client)
        assert page("publications_published_total") == 2


async def test_what_was_lost_is_counted() -> None:
    broker = Elsewhere()
    app = newsroom(broker)
    channel = app.channel("kept", history=History(size=1))
    channel.on_subscribe(lambda: True)
    async with TestClient(app) as client, client.connect("/live") as peer:
        await peer.send_json({"type": "channel.subscribe", "data": {"channel": "kept"}})
        assert (await peer.receive_json())["type"] == "channel.subscribed"
        async with broker.deaf():
            for number in range(3):
                await app.publish("kept", number)
        broker.blink()
        assert (await peer.receive_json())["type"] == "channel.gap"
        page = await page_of(client)
        assert (page("channel_gaps_total"), page("broker_losses_total")) == (1, 1)
        assert page("publications_dropped_total") == page("broker_unreadable_total") == 0


async def test_a_broker_that_is_away_shows_and_nobody_new_is_wanted_meanwhile() -> None:
    broker = Elsewhere()
    async with TestClient(newsroom(broker)) as client:
        assert (await page_of(client))("broker_up") == 1
        assert await ready(client) == (200, "ready")
        assert broker.receiver is not None
        broker.receiver.on_degraded()
        assert (await page_of(client))("broker_up") == 0
        assert await ready(client) == (503, "degraded")
        assert (await client.get("/health")).status_code == 200
        broker.receiver.on_restored()
        assert (await page_of(client))("broker_up") == 1
        assert await ready(client) == (200, "ready")


async def test_without_channels_a_broker_that_is_away_keeps_nobody_out() -> None:
    broker = Elsewhere()
    app = App(broker=broker)
    app.health()
    async with TestClient(app) as client:
        assert broker.receiver is not None
        broker.receiver.on_degraded()
        assert await ready(client) == (200, "ready")


async def test_an_application_that_starts_again_counts_on() -> None:
    app = newsroom()
    for number in (1, 2):
        async with TestClient(app) as client:
            await app.publish("news:rome", "hi")
            assert (await page_of(client))("publications_published_total") == number


WORKER = """
import asyncio, sys
from tests.unit.channels.test_roll_call import Elsewhere
from wirework import App, Metrics
from wirework.testing import TestClient

async def main():
    broker = Elsewhere()
    app = App(metrics=Metrics(path="/metrics", is_public=True), broker=broker)
    app.channel("news")
    async with TestClient(app) as client:
        for word in sys.stdin:
            if word.strip() == "lose":
                broker.receiver.on_degraded()
            lines = (await client.get("/metrics")).text.splitlines()
            print([each for each in lines if each.startswith("wirework_broker_up")], flush=True)

asyncio.run(main())
"""
IDLE = "import sys; from wirework import App; App(metrics=True); print(0, flush=True); input()"
"""Loads an application without running it."""


def test_one_worker_without_its_broker_shows_on_the_page_of_every_worker(tmp_path: Path) -> None:
    def begun(code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def asked(worker: subprocess.Popen[str], word: str) -> str:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(f"{word}\n")
        worker.stdin.flush()
        return worker.stdout.readline().strip()

    idle, one, other = (begun(code) for code in (IDLE, WORKER, WORKER))
    try:
        assert idle.stdout is not None
        assert idle.stdout.readline() == "0\n"
        assert asked(other, "show") == "['wirework_broker_up 1.0']"
        assert asked(one, "show") == "['wirework_broker_up 1.0']"
        asked(other, "lose")
        assert asked(one, "show") == "['wirework_broker_up 0.0']"
    finally:
        for worker in (idle, one, other):
            worker.communicate()

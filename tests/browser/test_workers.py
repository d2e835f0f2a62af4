"""The demo with two workers on Redis, as `scripts/demo --workers 2` serves it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import WebSocket, expect

from examples.answers import PONDERED
from tests.brokers.servers import redis_server
from tests.browser.conftest import Visit
from tests.browser.tab import Tab
from tests.browser.test_channels import expect_messages, join, point, turn
from tests.faults.served import Served, served

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("demo")
    broker = redis_server(folder)
    broker.start()
    options = ("--workers", "2")
    try:
        with served(
            "native", folder / "run", *options, application="examples.demo:app", broker=broker.url
        ) as demo:
            yield demo
    finally:
        broker.end()


class Talker:
    """A page of somebody who has said hello, and the worker that it is connected to."""

    def __init__(self, tab: Tab, name: str) -> None:
        self.tab = tab
        self.name = name
        self.worker = 0
        tab.page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: self._hear(json.loads(frame)))

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "channel.publication":
            by = message["data"]["by"]
            if by["user"] == self.name:
                self.worker = process_of(by["connection"])


def process_of(connection: str) -> int:
    return int(connection.split("-")[0], 16)


async def talker(visit: Visit, demo: Served, name: str) -> Talker:
    found = Talker(await Tab.of(await visit(), f"http://{demo.authority}", "/talk/"), name)
    await found.tab.say(name, "#login")
    await found.tab.expect_badge("connected")
    await found.tab.say("hello")
    await expect(found.tab.find("#messages li").last).to_have_text(f"{name}hello")
    return found


async def test_pages_on_two_workers_talk_and_one_is_killed(visit: Visit, demo: Served) -> None:
    talkers = [await talker(visit, demo, "p0")]
    while len({each.worker for each in talkers}) < 2:
        talkers.append(await talker(visit, demo, f"p{len(talkers)}"))
    lines = [f"{each.name}hello" for each in talkers]
    ana, ben = talkers[0], talkers[-1]
    os.kill(ben.worker, signal.SIGKILL)
    for text in ("one", "two"):
        await ana.tab.say(text)
        lines.append(f"{ana.name}{text}")
    await ben.tab.say("back")
    lines.append(f"{ben.name}back")
    for each in talkers:
        await expect_messages(each.tab, *lines)


async def test_cursors_of_two_workers_meet(visit: Visit, demo: Served) -> None:
    async def open_page(path: str) -> Tab:
        return await Tab.of(await visit(), f"http://{demo.authority}", path)

    async def worker(tab: Tab) -> int:
        return process_of(await tab.page.evaluate("you"))

    ana = await join(open_page, "Ana")
    while await worker(ben := await join(open_page, "Ben")) == await worker(ana):
        await ben.page.close()
    await expect(ana.find("#names b", "Ben")).to_have_count(1)
    await point(ben, 0.5, 0.5)
    await expect(ana.find(".cursor:visible")).to_have_text("Ben")
    await ben.page.close()
    await expect(ana.find("#log li").last).to_have_text("Ben left")
    await expect(ana.find(".cursor:visible")).to_have_count(0)


async def test_the_chat_with_htmx_and_the_dashboard_reach_pages_on_every_worker(
    visit: Visit, demo: Served
) -> None:
    visitor, origin = await visit(), f"http://{demo.authority}"
    first = await Tab.of(visitor, origin, "/chat/")
    await first.say("Ana", "#login")
    chats = [first, *[await Tab.of(visitor, origin, "/chat/") for _ in range(3)]]
    boards = [await Tab.of(visitor, origin, "/dashboard/") for _ in range(3)]
    for tab in (*chats, *boards):
        await tab.expect_badge("connected")
    for number, tab in enumerate(chats):
        await tab.say(str(number))
        for each in chats:
            await expect(each.find("#messages li").last).to_have_text(f"Ana{number}")
    await turn(boards[0], "garden", 7)
    for board in boards:
        await expect(board.find("#garden output")).to_have_text("7.0 °C")


async def test_an_answer_is_read_on_whichever_worker_the_page_reaches(
    visit: Visit, demo: Served
) -> None:
    tab = await Tab.of(await visit(), f"http://{demo.authority}", "/answers/")
    await tab.expect_badge("connected")
    await tab.say("why?")
    await expect(tab.find("#answer")).to_contain_text("question")
    for _ in range(4):
        await tab.page.reload()
        await expect(tab.find("#answer")).to_contain_text("why? That is a question")
    await expect(tab.find("#news")).to_have_text("done", timeout=30_000)
    await expect(tab.find("#answer")).to_have_text(f"why? {' '.join(PONDERED.split())}")

"""The demo with two workers on Redis, as `scripts/demo --workers 2` serves it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from htpy import li
from playwright.async_api import WebSocket, expect

from examples.answers import PONDERED
from tests.brokers.servers import BrokerServer, redis_server
from tests.browser.conftest import Visit
from tests.browser.tab import Tab
from tests.browser.test_channels import expect_messages, join, point, turn
from tests.faults.served import Served, served
from wirework import Publisher
from wirework.dialects import Fragment

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    broker = redis_server(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.end()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, broker: BrokerServer) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("demo") / "run"
    option = shown_command().option
    with served("native", log, option, "2", application=DEMO, broker=broker.url) as demo:
        yield demo


class Shown(NamedTuple):
    """How the README starts the demo with workers."""

    variable: str
    script: str
    option: str


DEMO = "examples.demo:app"


def shown_command() -> Shown:
    found = re.search(
        r"`(\w+)=redis://\S+ (\S+) (--\w+) \d+`", (ROOT / "README.md").read_text("utf-8")
    )
    assert found is not None
    return Shown(*found.groups())


async def test_the_readme_shows_the_command_that_these_tests_run() -> None:
    shown = shown_command()
    assert shown == ("WIREWORK_BROKER", "scripts/demo", "--workers")
    command = shlex.split((ROOT / shown.script).read_text("utf-8").splitlines()[-1])
    run = ["run", DEMO, "--host", "127.0.0.1", "--port", "${PORT:-8000}"]
    assert command == ["exec", ".venv/bin/wirework", *run, "$@"]


class Talker:
    """A page of somebody who has said hello, and the worker that it is connected to."""

    def __init__(self, tab: Tab, name: str) -> None:
        self.tab = tab
        self.name = name
        self.worker = 0
        tab.page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._hear)

    def _hear(self, frame: str | bytes) -> None:
        for line in str(frame).splitlines():
            if connected := json.loads(line).get("connect"):
                self.worker = process_of(connected["client"])


def process_of(connection: str) -> int:
    return int(connection.split("-")[0], 16)


async def talker(visit: Visit, demo: Served, name: str) -> Talker:
    found = Talker(await Tab.of(await visit(), f"http://{demo.authority}", "/talk/"), name)
    await found.tab.say(name, "#login")
    await found.tab.expect_badge("connected")
    await found.tab.say("hello")
    await expect(found.tab.find("#messages li").last).to_have_text(f"{name}hello")
    return found


async def talkers_of_both(visit: Visit, demo: Served) -> list[Talker]:
    """Open pages until there are some on each worker, the first and the last on two of them."""
    talkers = [await talker(visit, demo, "p0")]
    while len({each.worker for each in talkers}) < 2:
        talkers.append(await talker(visit, demo, f"p{len(talkers)}"))
    return talkers


async def test_pages_on_two_workers_talk_and_one_is_killed(visit: Visit, demo: Served) -> None:
    talkers = await talkers_of_both(visit, demo)
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


async def test_pages_with_htmx_miss_nothing_when_one_worker_after_the_other_is_killed(
    visit: Visit, demo: Served, broker: BrokerServer
) -> None:
    workers = {each.worker for each in await talkers_of_both(visit, demo)}
    visitor, origin = await visit(), f"http://{demo.authority}"
    pages = [await Tab.of(visitor, origin, "/chat/")]
    await pages[0].say("Ana", "#login")
    pages += [await Tab.of(visitor, origin, f"/chat/?htmx={2 + 2 * (n % 2)}") for n in range(3)]
    for page in pages:
        await page.expect_badge("connected")
    lines = []
    async with Publisher(broker.url) as outside:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
            for number in range(3):
                lines.append(f"{number} after {worker}")
                line = Fragment(li[lines[-1]], target="#messages", swap="beforeend")
                await outside.publish("chat", line)
            for page in pages:
                await expect_messages(page, *lines)
    await pages[0].say("hello")
    for page in pages:
        await expect_messages(page, *lines, "Anahello")


async def test_the_session_of_whythawk_is_shared_by_pages_on_every_worker(
    visit: Visit, demo: Served
) -> None:
    async def enter(name: str) -> Tab:
        tab = await Tab.of(await visit(), f"http://{demo.authority}", "/whythawk/")
        await tab.say(name, "#login")
        await expect(tab.find("#users")).to_contain_text(name)
        return tab

    tabs = [await enter(name) for name in ("Ana", "Ben", "Cid", "Dan")]
    for number, tab in enumerate(tabs):
        await tab.say(f"thing {number}", "#thing")
        for each in tabs:
            await expect(each.find("[name=text]")).to_have_value(f"thing {number}")
            await expect(each.find("#users")).to_have_text("Here: Ana, Ben, Cid, Dan")


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

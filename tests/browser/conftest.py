"""One Chromium for all browser tests of a worker, and one demo server for each module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from examples.demo import app
from tests.browser.cable import Cable, cable_to
from tests.browser.server import SECONDS, serving
from tests.browser.tab import Tab

OpenTab: TypeAlias = Callable[..., Awaitable[Tab]]
OpenWired: TypeAlias = Callable[[str], Awaitable[Tab]]
Visit: TypeAlias = Callable[..., Awaitable[BrowserContext]]

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DESKTOP = (1280, 800)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=SECONDS * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=OPTIONS
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def origin() -> AsyncIterator[str]:
    """Of the demo, served by Uvicorn as scripts/demo does."""
    async with serving(app) as origin:
        yield origin


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """`await visit()` is a new visitor, without cookies."""
    visitors: list[BrowserContext] = []

    async def visit(size: tuple[int, int] = DESKTOP) -> BrowserContext:
        width, height = size
        visitor = await browser.new_context(
            viewport={"width": width, "height": height}, is_mobile=width < 500
        )
        visitor.set_default_timeout(SECONDS * 1000)
        visitors.append(visitor)
        return visitor

    yield visit
    for visitor in visitors:
        await visitor.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(visit: Visit, origin: str) -> AsyncIterator[OpenTab]:
    """`await open_tab("/echo/")`, of a new visitor or `visitor=...`; no tab may have problems."""
    tabs: list[Tab] = []
    for name in ("chat", "talk", "readings", "cursors", "table:window", "table:stove", "things"):
        await app.channel_named(name).forget()

    async def open_tab(path: str, *, visitor: BrowserContext | None = None) -> Tab:
        tab = await Tab.of(visitor or await visit(), origin, path)
        tabs.append(tab)
        return tab

    yield open_tab
    assert [tab.problems for tab in tabs] == [[] for _ in tabs]


@pytest_asyncio.fixture(loop_scope="session")
async def cable(origin: str) -> AsyncIterator[Cable]:
    async with cable_to(origin) as cable:
        yield cable


@pytest_asyncio.fixture(loop_scope="session")
async def open_wired(visit: Visit, open_tab: OpenTab, cable: Cable) -> OpenWired:
    """As `open_tab`, of a page that is at the other end of `cable`."""

    async def open_wired(path: str) -> Tab:
        return await Tab.of(await visit(), cable.origin, path)

    return open_wired

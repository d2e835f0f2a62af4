"""Places for scripts, and workers on memory or on Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.brokers.servers import BrokerServer, redis_server

from .application import Workers
from .script import Script, in_chromium, in_node


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=options
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser without cookies."""
    visitor = await browser.new_context()
    yield visitor
    await visitor.close()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    server = redis_server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.end()


class Stage:
    """Where a test plays: a place for scripts, the format of their clients, and workers."""

    def __init__(
        self, place: str, broker: str, request: pytest.FixtureRequest, *, format: str
    ) -> None:
        self.place = place
        self.format = format
        self.is_shared = broker == "redis"
        self._url = request.getfixturevalue("redis").url if self.is_shared else "memory://"
        self._visitor: BrowserContext | None = None
        if place == "chromium":
            self._visitor = request.getfixturevalue("visitor")

    def workers(self, **options: float) -> Workers:
        """Return workers, not running yet: two of them on a broker that can be shared."""
        return Workers(self._url, 2 if self.is_shared else 1, **options)

    @asynccontextmanager
    async def run(self, workers: Workers, text: str) -> AsyncIterator[Script]:
        """Run a script against the first worker."""
        if self._visitor is None:
            playing = in_node(workers.url, text, self.format)
        else:
            page = await self._visitor.new_page()
            await page.goto(workers.origin)
            playing = in_chromium(page, workers.url, text, self.format)
        async with playing as script:
            yield script

    async def be_offline(self, is_offline: bool) -> None:
        """Cut the browser's network, or mend it."""
        assert self._visitor is not None
        await self._visitor.set_offline(is_offline)


STAGES = [("node", "memory"), ("node", "redis"), ("chromium", "memory")]


def in_protobuf_too(*others: tuple[str, ...]) -> pytest.MarkDecorator:
    """Have a test play on the usual stages, and on one with Protobuf, or on these others."""
    stages = [*STAGES, *(others or [("node", "memory", "protobuf")])]
    return pytest.mark.parametrize("stage", stages, ids="-".join, indirect=True)


@pytest.fixture(params=STAGES, ids="-".join)
def stage(request: pytest.FixtureRequest) -> Stage:
    """Every place and broker that matters in turn; JSON, where the test names nothing else."""
    place, broker, *format = request.param
    return Stage(place, broker, request, format=format[0] if format else "json")
